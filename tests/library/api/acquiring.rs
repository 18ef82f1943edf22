//! Acquiring a lock: at once, after a wait, or not in time.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use linklock::{Error, Lock};
use tempfile::tempdir;

use crate::kit::clock::ManualClock;
use crate::kit::{
    HOUR, beside, far_off, lock_like_flufl, names, same_inode, set_lease_end, snapshot, wait_until,
};

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = crate::kit::wait::LIMIT;

#[test]
fn the_lock_file_is_a_link_to_a_claim_that_names_itself() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let before = SystemTime::now();
    let lock = Lock::options(&path).lifetime(HOUR).build().unwrap();
    let guard = lock.lock().unwrap();

    let claim = guard.claim_path();
    assert_eq!(beside(&path), [claim]);
    assert!(same_inode(&path, claim));
    assert_eq!(fs::read(&path).unwrap(), claim.as_os_str().as_encoded_bytes());
    let meta = fs::metadata(&path).unwrap();
    assert_eq!(meta.nlink(), 2);
    let lease = meta.modified().unwrap().duration_since(before).unwrap();
    // The kernel stamps files by a coarse clock.
    assert!(lease + LONG > HOUR && lease < HOUR + LONG, "{lease:?}");

    guard.unlock().unwrap();
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_claim_has_the_mode_that_the_umask_leaves() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let _guard = Lock::new(&path).unwrap().lock().unwrap();
    fs::write(dir.path().join("other"), "").unwrap();
    let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().mode();
    assert_eq!(mode("lock"), mode("other"));
}

#[test]
fn a_handle_returns_what_it_was_built_with() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let plain = Lock::new(&path).unwrap();
    assert_eq!(plain.path(), path);
    assert_eq!(plain.lifetime(), Duration::from_secs(15));
    assert_eq!(plain.timeout(), None);
    assert!(plain.retry_errnos().is_empty());
    assert!(!plain.host_name().is_empty());

    let options = Lock::options(&path).lifetime(LONG).timeout(SHORT).host_name("mars");
    let chosen = options.retry_errnos([5]).build().unwrap();
    assert_eq!((chosen.lifetime(), chosen.timeout()), (LONG, Some(SHORT)));
    assert_eq!(chosen.host_name(), "mars");
    assert_eq!(chosen.retry_errnos(), [5]);
    assert!(names(dir.path()).is_empty(), "a handle by itself does nothing");
}

#[test]
fn a_handle_knows_the_claim_by_which_it_holds() {
    let dir = tempdir().unwrap();
    let lock = Lock::new(dir.path().join("lock")).unwrap();
    assert_eq!(lock.claim_path(), None);
    let guard = lock.lock().unwrap();
    assert_eq!(lock.claim_path().as_deref(), Some(guard.claim_path()));
    assert_eq!(lock.clone().claim_path(), None, "a clone holds nothing");
    drop(guard);
    assert_eq!(lock.claim_path(), None);
}

#[test]
fn try_lock_does_not_wait_and_leaves_no_trace() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let _guard = Lock::new(&path).unwrap().lock().unwrap();
    let before = snapshot(dir.path());
    let error = Lock::new(&path).unwrap().try_lock().unwrap_err();
    assert!(matches!(error, Error::Held { .. }), "{error:?}");
    assert_eq!(error.holder().unwrap().pid(), std::process::id());
    assert_eq!(snapshot(dir.path()), before);
}

#[test]
fn try_lock_for_waits_as_long_as_asked_and_leaves_no_trace() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    lock_like_flufl(&path, far_off());
    let before = snapshot(dir.path());
    let lock = Lock::options(&path).clock(ManualClock::new()).build().unwrap();
    let error = lock.try_lock_for(LONG).unwrap_err();
    let Error::TimedOut { waited, .. } = error else { panic!("{error:?}") };
    assert_eq!(waited, LONG);
    assert_eq!(snapshot(dir.path()), before);
}

#[test]
fn lock_waits_for_the_default_timeout() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    lock_like_flufl(&path, far_off());
    let lock = Lock::options(&path).timeout(LONG).clock(ManualClock::new()).build().unwrap();
    let error = lock.lock().unwrap_err();
    assert!(matches!(error, Error::TimedOut { waited, .. } if waited == LONG), "{error:?}");
    assert_eq!(beside(&path).len(), 1, "no claim but the holder's");
}

#[test]
fn a_timeout_of_nothing_still_takes_a_free_lock() {
    let dir = tempdir().unwrap();
    let lock = Lock::new(dir.path().join("lock")).unwrap();
    lock.try_lock_for(Duration::ZERO).unwrap().unlock().unwrap();
    let past = Instant::now();
    let guard = lock.try_lock_until(past).unwrap();
    let error = lock.clone().try_lock_until(past).unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    drop(guard);
}

#[test]
fn waiters_get_the_lock_when_it_is_released() {
    type Waiting = fn(&Lock) -> Result<linklock::LockGuard, Error>;
    let ways: [Waiting; 3] = [
        Lock::lock,
        |lock| lock.try_lock_for(LONG),
        |lock| lock.try_lock_until(Instant::now() + LONG),
    ];
    for wait in ways {
        let dir = tempdir().unwrap();
        let path = dir.path().join("lock");
        let lock = Lock::new(&path).unwrap();
        let guard = lock.lock().unwrap();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| wait(&lock.clone()).map(drop));
            wait_until("the waiter has a claim", || beside(&path).len() == 2);
            assert!(!waiter.is_finished());
            guard.unlock().unwrap();
            waiter.join().unwrap().unwrap();
        });
        assert!(names(dir.path()).is_empty());
    }
}

#[test]
fn lock_while_waits_for_as_long_as_the_caller_wants() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let claim = lock_like_flufl(&path, far_off());
    let before = snapshot(dir.path());
    let lock = Lock::options(&path).clock(ManualClock::new()).build().unwrap();
    let mut pauses = 0;
    let error = lock.lock_while(|obstacle| {
        assert_eq!(obstacle.holder().unwrap().claim_path(), claim);
        pauses += 1;
        pauses < 10
    });
    assert!(matches!(error, Err(Error::TimedOut { .. })), "{error:?}");
    assert_eq!(pauses, 10);
    assert_eq!(snapshot(dir.path()), before);

    let guard = lock.lock_while(|_| fs::remove_file(&path).is_ok()).unwrap();
    guard.verify().unwrap();
}

#[test]
fn a_panic_while_waiting_leaves_no_claim() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    lock_like_flufl(&path, far_off());
    let before = snapshot(dir.path());
    let lock = Lock::new(&path).unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        lock.lock_while(|_| std::panic::resume_unwind(Box::new(())))
    }));
    assert!(panicked.is_err());
    assert_eq!(snapshot(dir.path()), before);
}

#[test]
fn a_thread_that_holds_the_lock_does_not_wait_for_itself() {
    let dir = tempdir().unwrap();
    let lock = Lock::new(dir.path().join("lock")).unwrap();
    let guard = lock.lock().unwrap();
    let before = snapshot(dir.path());
    let attempts =
        [lock.lock(), lock.try_lock(), lock.try_lock_for(LONG), lock.adopt(guard.claim_path())];
    for attempt in attempts {
        let error = attempt.unwrap_err();
        assert!(matches!(error, Error::AlreadyLocked { .. }), "{error:?}");
    }
    assert_eq!(snapshot(dir.path()), before);
    guard.unlock().unwrap();
    drop(lock.lock().unwrap());
}

#[test]
fn clones_exclude_each_other() {
    let dir = tempdir().unwrap();
    let lock = Lock::options(dir.path().join("lock")).lifetime(LONG).build().unwrap();
    let clone = lock.clone();
    assert_eq!((clone.path(), clone.lifetime()), (lock.path(), LONG));
    let guard = lock.lock().unwrap();
    assert!(matches!(clone.try_lock(), Err(Error::Held { .. })));
    drop(lock); // a guard does not need its handle
    assert!(matches!(clone.try_lock(), Err(Error::Held { .. })));
    drop(guard);
    drop(clone.try_lock().unwrap());
}

#[test]
fn threads_exclude_each_other() {
    const ROUNDS: u32 = 25;
    let dir = tempdir().unwrap();
    let polling = (Duration::from_micros(100), Duration::from_millis(2));
    let lock =
        Lock::options(dir.path().join("lock")).polling(polling.0, polling.1).build().unwrap();
    let inside = Mutex::new(());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let lock = lock.clone();
                for _ in 0..ROUNDS {
                    let guard = lock.lock().unwrap();
                    drop(inside.try_lock().expect("nobody else holds the lock"));
                    guard.unlock().unwrap();
                }
            });
        }
    });
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_new_lifetime_counts_from_the_next_acquisition() {
    let dir = tempdir().unwrap();
    let mut lock = Lock::new(dir.path().join("lock")).unwrap();
    let clone = lock.clone();
    let guard = lock.lock().unwrap();
    lock.set_lifetime(HOUR).unwrap();
    assert!(guard.remaining() < LONG, "the lease that runs is as it was");
    drop(guard);
    assert_eq!(lock.lifetime(), HOUR);
    assert!(lock.lock().unwrap().remaining() > LONG);
    assert_eq!(clone.lifetime(), Duration::from_secs(15), "a clone has options of its own");
}

#[test]
fn an_invalid_lifetime_is_refused() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let mut lock = Lock::new(&path).unwrap();
    let (shortest, longest) = (Duration::from_millis(10), HOUR * 24 * 365 * 10);
    for good in [shortest, longest] {
        lock.set_lifetime(good).unwrap();
    }
    lock.set_lifetime(Duration::from_secs(15)).unwrap();
    let (too_short, too_long) = (Duration::from_millis(9), longest + Duration::from_nanos(1));
    for bad in [Duration::ZERO, too_short, too_long, Duration::MAX] {
        for error in [
            Lock::options(&path).lifetime(bad).build().unwrap_err(),
            lock.set_lifetime(bad).unwrap_err(),
        ] {
            assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
            assert!(error.to_string().contains("lifetime"), "{error}");
        }
    }
    assert_eq!(lock.lifetime(), Duration::from_secs(15));
}

/// flufl.lock's late-touch race: a claim as old as the wait becomes the lock file, and is may be
/// broken for an instant.
#[test]
fn a_waiters_claim_never_expires_and_the_lock_begins_with_a_whole_lease() {
    const LIFETIME: Duration = Duration::from_secs(2);
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let other = lock_like_flufl(&path, far_off());
    let options = Lock::options(&path).lifetime(LIFETIME);
    let lock =
        options.polling(Duration::from_millis(1), Duration::from_millis(10)).build().unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| lock.lock().unwrap());
        wait_until("the waiter has a claim", || beside(&path).len() == 2);
        let claim = beside(&path).into_iter().find(|claim| *claim != other).unwrap();
        let lease_end = || fs::metadata(&claim).unwrap().modified().unwrap();
        // It exists before its lease does: `create` and `touch` are two steps.
        wait_until("the claim has a lease", || lease_end() > SystemTime::now());
        let first = lease_end();
        wait_until("its lease has been renewed", || {
            assert!(lease_end() > SystemTime::now(), "the claim has expired");
            lease_end() > first + LIFETIME / 2
        });
        fs::remove_file(&path).unwrap();
        let guard = waiter.join().unwrap();
        assert!(guard.remaining() > LIFETIME / 2);
        assert!(fs::metadata(&path).unwrap().modified().unwrap() > SystemTime::now());
    });
}

#[test]
fn a_claim_that_is_removed_under_its_waiter_is_made_again() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let other = lock_like_flufl(&path, far_off());
    let options = Lock::options(&path).lifetime(Duration::from_millis(200));
    let lock =
        options.polling(Duration::from_millis(1), Duration::from_millis(10)).build().unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| lock.lock().map(|guard| guard.verify()));
        let own_claim = || beside(&path).into_iter().find(|claim| *claim != other);
        wait_until("the waiter has a claim", || own_claim().is_some());
        let first = own_claim().unwrap();
        fs::remove_file(&first).unwrap();
        wait_until("it has another", || own_claim().is_some_and(|claim| claim != first));
        fs::remove_file(own_claim().unwrap()).unwrap();
        fs::remove_file(&path).unwrap(); // also if the lock becomes free before the waiter notices
        waiter.join().unwrap().unwrap().unwrap();
    });
    assert_eq!(beside(&path), [other]);
}

#[test]
fn an_expired_lock_is_taken_over_without_waiting_any_longer() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    lock_like_flufl(&path, far_off());
    let lock = Lock::options(&path).clock_slop(Duration::from_secs(60)).build().unwrap();
    let expire = |ago| set_lease_end(&path, SystemTime::now() - Duration::from_secs(ago));
    expire(50);
    assert!(lock.try_lock().is_err(), "its lease is over, but not yet for the slop");
    expire(70);
    let guard = lock.try_lock().unwrap();
    assert_eq!(
        beside(&path),
        [guard.claim_path()],
        "the late holder's claim and the seat are gone"
    );
}
