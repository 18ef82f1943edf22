//! What each method does.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use linklock::tokio::{Lock, LockGuard};
use linklock::{Error, Owner};
use tempfile::tempdir;

use crate::kit::clock::ManualClock;
use crate::kit::{HOUR, beside, names, set_lease_end};
use crate::{
    in_company, in_time, lock, many_threads, on_each_runtime, one_thread, runtimes, until,
};

const SOON: Duration = Duration::from_millis(50);

#[test]
fn a_lock_is_taken_and_given_back() {
    on_each_runtime(&async |path: &Path| {
        let guard = lock(path).lock().await.unwrap();
        assert_eq!(guard.path(), path);
        assert_eq!(beside(path), [guard.claim_path()]);
        assert!(guard.remaining() > Duration::from_secs(10));
        assert!(guard.expires_at() > std::time::SystemTime::now());
        assert_eq!(guard.token(), None);
        guard.verify().await.unwrap();
        guard.unlock().await.unwrap();
    });
}

#[test]
fn a_task_that_does_not_wait_learns_who_holds_it() {
    let _company = in_company();
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    one_thread().block_on(async {
        let guard = lock(&path).try_lock().await.unwrap();
        let error = lock(&path).try_lock().await.unwrap_err();
        assert!(matches!(error, Error::Held { .. }), "{error:?}");
        assert_eq!(error.holder().unwrap().claim_path(), guard.claim_path());
        let timed_out = lock(&path).try_lock_for(SOON).await.unwrap_err();
        assert!(matches!(timed_out, Error::TimedOut { waited, .. } if waited >= SOON));
        let by_then = lock(&path).try_lock_until(Instant::now() + SOON).await.unwrap_err();
        assert!(matches!(by_then, Error::TimedOut { .. }), "{by_then:?}");
        let options = linklock::Lock::options(&path).timeout(SOON);
        let by_default = Lock::from(options.build().unwrap()).lock().await.unwrap_err();
        assert!(matches!(by_default, Error::TimedOut { .. }), "{by_default:?}");
        guard.unlock().await.unwrap();
        lock(&path).try_lock_for(SOON).await.unwrap().unlock().await.unwrap();
        lock(&path).try_lock_until(Instant::now()).await.unwrap().unlock().await.unwrap();
    });
    assert!(names(dir.path()).is_empty());
}

#[test]
fn tasks_that_share_a_handle_wait_for_each_other_as_clones_do() {
    let _company = in_company();
    let dir = tempdir().unwrap();
    let lock = Arc::new(lock(&dir.path().join("lock")));
    many_threads().block_on(async {
        let mut waiters = Vec::new();
        let guard = lock.lock().await.unwrap();
        let error = lock.try_lock().await.unwrap_err();
        assert!(matches!(error, Error::Held { .. }), "{error:?}");
        for other in [lock.clone(), Arc::new(Lock::clone(&lock))] {
            let waiter = tokio::spawn(async move { other.lock().await?.unlock().await });
            waiters.push(waiter);
        }
        guard.unlock().await.unwrap();
        for waiter in waiters {
            in_time("it has the lock in turn", waiter).await.unwrap().unwrap();
        }
    });
}

/// A dropped guard's release that is still under way does not hinder its own handle.
#[test]
fn a_handle_that_was_released_can_lock_again_at_once() {
    let _company = in_company();
    for runtime in runtimes() {
        let dir = tempdir().unwrap();
        let lock = lock(&dir.path().join("lock"));
        runtime.block_on(async {
            for _ in 0..100 {
                drop(lock.try_lock().await.unwrap());
            }
            for _ in 0..100 {
                lock.try_lock().await.unwrap().unlock().await.unwrap();
            }
            for polls in 0..100 {
                let guard = lock.try_lock().await.unwrap();
                let unlock = crate::dropped::polled(polls % 5, guard.unlock()).await;
                assert!(unlock.is_none_or(|unlocked| unlocked.is_ok()));
            }
        });
    }
}

#[test]
fn leases_are_prolonged() {
    let _company = in_company();
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    one_thread().block_on(async {
        let guard = lock(&path).lock().await.unwrap();
        let first = guard.expires_at();
        // Longer than the microseconds that distinguish one touch from another.
        tokio::time::sleep(Duration::from_millis(2)).await;
        guard.refresh().await.unwrap();
        assert!(guard.expires_at() > first);
        assert!(guard.refresh_if_held().await.unwrap());
        guard.refresh_for(HOUR).await.unwrap();
        assert!(guard.remaining() > HOUR / 2);
        let error = guard.refresh_for(Duration::ZERO).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
        assert!(guard.unlock_if_held().await.unwrap());
    });
}

#[test]
fn a_holder_learns_that_it_has_lost_the_lock() {
    let _company = in_company();
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    one_thread().block_on(async {
        let guard = lock(&path).lock().await.unwrap();
        assert!(linklock::Lock::new(&path).unwrap().break_if(|_| true).unwrap().is_some());
        let successor = lock(&path).lock().await.unwrap();
        for lost in [guard.refresh().await, guard.verify().await] {
            let error = lost.unwrap_err();
            assert!(matches!(error, Error::Lost { .. }), "{error:?}");
            assert_eq!(error.holder().unwrap().claim_path(), successor.claim_path());
        }
        assert!(!guard.refresh_if_held().await.unwrap());
        let error = guard.unlock().await.unwrap_err();
        assert!(matches!(error, Error::Lost { .. }), "{error:?}");
        successor.unlock().await.unwrap();
        let guard = lock(&path).lock().await.unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(!guard.unlock_if_held().await.unwrap());
    });
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_stale_lock_is_taken_over() {
    let _company = in_company();
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    crate::kit::lock_like_flufl(&path, crate::kit::long_ago());
    many_threads().block_on(async {
        in_time("it is taken over", lock(&path).lock()).await.unwrap().unlock().await.unwrap();
    });
}

#[test]
fn acquisitions_are_numbered_on_request() {
    let _company = in_company();
    let dir = tempdir().unwrap();
    let options = linklock::Lock::options(dir.path().join("lock")).fencing(true);
    let lock = Lock::from(options.build().unwrap());
    one_thread().block_on(async {
        let mut last = None;
        for _ in 0..3 {
            let guard = lock.lock().await.unwrap();
            assert!(guard.token() > last);
            last = guard.token();
            guard.unlock().await.unwrap();
        }
    });
}

#[test]
fn a_claim_that_is_kept_is_linked_again_and_goes_with_the_handle() {
    let _company = in_company();
    for runtime in runtimes() {
        let dir = tempdir().unwrap();
        let path = dir.path().join("lock");
        let lock = Lock::from(linklock::Lock::options(&path).keep_claim(true).build().unwrap());
        runtime.block_on(async {
            let guard = lock.lock().await.unwrap();
            let claim = guard.claim_path().to_owned();
            guard.unlock().await.unwrap();
            assert_eq!(beside(&path), [claim.as_path()]);
            let guard = lock.lock().await.unwrap();
            assert_eq!(guard.claim_path(), claim);
            drop(guard);
            drop(lock);
            until("the claim is gone", || names(dir.path()).is_empty()).await;
        });
    }
}

#[test]
fn guards_change_between_blocking_and_not() {
    let _company = in_company();
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let blocking = linklock::Lock::new(&path).unwrap();
    let held = blocking.lock().unwrap();
    let handle = Lock::from(blocking);
    one_thread().block_on(async {
        let error = handle.try_lock().await.unwrap_err();
        assert!(matches!(error, Error::Held { .. }), "the same handle: {error:?}");
        let guard = LockGuard::from(held);
        guard.verify().await.unwrap();
        let mut kept = guard.keep_alive();
        let detaches = linklock::LockGuard::from(guard);
        let still = tokio::time::timeout(SOON, kept.lost()).await;
        assert!(still.is_err(), "it is kept alive no longer: {still:?}");
        let claim = detaches.detach(Owner::Lease).unwrap();
        assert!(kept.lost().await.is_none(), "it is kept alive no longer");
        let adopted = LockGuard::from(handle.as_blocking().adopt(&claim).unwrap());
        adopted.unlock().await.unwrap();
    });
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_late_holder_renews_its_lease() {
    let _company = in_company();
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    one_thread().block_on(async {
        let options = linklock::Lock::options(&path).lifetime(Duration::from_millis(20));
        let guard = Lock::from(options.build().unwrap()).lock().await.unwrap();
        until("the lease is over", || guard.remaining().is_zero()).await;
        let error = guard.verify().await.unwrap_err();
        assert!(matches!(error, Error::Expired { .. }), "{error:?}");
        guard.refresh_for(HOUR).await.unwrap();
        guard.verify().await.unwrap();
        guard.unlock().await.unwrap();
    });
    assert!(names(dir.path()).is_empty());
}

/// Its sleep blocks only a thread of the pool.
#[test]
fn a_waiter_sleeps_by_the_clock_it_was_given() {
    let _company = in_company();
    for runtime in runtimes() {
        let dir = tempdir().unwrap();
        let path = dir.path().join("lock");
        let clock = ManualClock::new();
        let options = linklock::Lock::options(&path).clock(clock.clone()).lifetime(HOUR);
        let held = lock(&path);
        runtime.block_on(async {
            let guard = held.lock().await.unwrap();
            set_lease_end(&path, crate::kit::far_off());
            let waits = Lock::from(options.timeout(HOUR / 2).build().unwrap());
            let error = in_time("half an hour passes", waits.lock()).await.unwrap_err();
            assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
            assert!(linklock::Clock::now(&*clock) >= HOUR / 2);
            // A waiter that is dropped while it sleeps is gone.
            let waits = Lock::from(linklock::Lock::options(&path).clock(clock).build().unwrap());
            for polls in 0..10 {
                assert!(crate::dropped::polled(polls, waits.lock()).await.is_none());
            }
            until("one claim is left", || beside(&path).len() == 1).await;
            guard.unlock().await.unwrap();
        });
        assert!(names(dir.path()).is_empty());
    }
}

#[test]
fn futures_and_guards_go_from_thread_to_thread() {
    fn goes<T: Send + 'static>(_: &T) {}
    fn is_shared<T: Send + Sync + 'static>(_: &T) {}
    let _company = in_company();
    let dir = tempdir().unwrap();
    let lock = Arc::new(lock(&dir.path().join("lock")));
    is_shared(&*lock);
    let shared = lock.clone();
    let future = async move {
        let guard = shared.lock().await.unwrap();
        is_shared(&guard);
        is_shared(&guard.keep_alive());
        guard.refresh().await.unwrap();
        guard
    };
    goes(&future);
    many_threads().block_on(async {
        let guard = tokio::spawn(future).await.unwrap();
        assert!(format!("{guard:?} {lock:?}").contains("lock"));
        tokio::spawn(guard.unlock()).await.unwrap().unwrap();
    });
}

#[test]
fn without_a_runtime_it_panics_and_nothing_is_left() {
    let _company = in_company();
    let dir = tempdir().unwrap();
    let lock = lock(&dir.path().join("lock"));
    let mut future = Box::pin(lock.lock());
    let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let _ = future.as_mut().poll(&mut context);
    }));
    assert!(polled.is_err());
    drop(future);
    assert!(names(dir.path()).is_empty());
    assert!(lock.as_blocking().try_lock().is_ok());
}

/// Each kind of runtime that lacks a driver which waiting needs.
#[test]
fn without_a_driver_it_panics_once_it_has_to_wait_and_nothing_is_left() {
    let _company = in_company();
    for (io, time) in [(false, true), (true, false), (false, false)] {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        if io {
            builder.enable_io();
        }
        if time {
            builder.enable_time();
        }
        let runtime = builder.build().unwrap();
        let dir = tempdir().unwrap();
        let path = dir.path().join("lock");
        let guard = runtime.block_on(lock(&path).lock()).unwrap(); // which does not wait
        let waits = lock(&path);
        let waiter = runtime.spawn(async move { waits.lock().await });
        let joined = runtime.block_on(waiter);
        assert!(joined.unwrap_err().is_panic(), "I/O {io}, timers {time}");
        runtime.block_on(guard.unlock()).unwrap();
        drop(runtime);
        assert!(names(dir.path()).is_empty(), "I/O {io}, timers {time}");
    }
}
