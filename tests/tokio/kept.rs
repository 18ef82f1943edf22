//! Locks that a task keeps alive.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use linklock::Error;
use linklock::tokio::{Lock, LockGuard};
use tempfile::tempdir;

use crate::kit::{HOUR, names, wait_until};
use crate::{
    alone, in_company, in_time, lock, on_each_runtime, one_thread, runtimes, threads, until,
};

const LIFETIME: Duration = Duration::from_secs(1);

async fn short(path: &std::path::Path) -> LockGuard {
    let options = linklock::Lock::options(path).lifetime(LIFETIME);
    Lock::from(options.build().unwrap()).lock().await.unwrap()
}

#[test]
fn a_short_lease_lasts_for_several_lifetimes() {
    on_each_runtime(&async |path: &Path| {
        let guard = short(path).await;
        let mut kept = guard.keep_alive();
        let first = guard.expires_at();
        let refreshed =
            until("four lifetimes are over", || guard.expires_at() >= first + 4 * LIFETIME);
        tokio::select! {
            why = kept.lost() => panic!("lost: {why:?}"),
            () = refreshed => {}
        }
        until("its lease runs", || !guard.remaining().is_zero()).await;
        guard.verify().await.unwrap();
        guard.unlock().await.unwrap();
        assert!(in_time("the task ends", kept.lost()).await.is_none());
        assert!(kept.lost().await.is_none() && !kept.is_lost(), "asked again");
    });
}

#[test]
fn a_loss_is_reported_once_with_its_reason() {
    on_each_runtime(&async |path: &Path| {
        let guard = short(path).await;
        let mut kept = guard.keep_alive();
        assert!(!kept.is_lost());
        assert!(linklock::Lock::new(path).unwrap().break_if(|_| true).unwrap().is_some());
        let successor = lock(path).lock().await.unwrap();
        let why = in_time("the loss is reported", kept.lost()).await.expect("it is lost");
        assert!(matches!(why, Error::Lost { .. }), "{why:?}");
        assert_eq!(why.holder().unwrap().claim_path(), successor.claim_path());
        assert!(kept.lost().await.is_none() && kept.is_lost());
        assert!(guard.unlock().await.is_err());
        successor.unlock().await.unwrap();
    });
}

/// A holder that releases the lock, or replaces its keep-alive, has not lost it, at whatever moment
/// that is.
#[test]
fn a_released_lock_is_not_lost() {
    let _company = in_company();
    for runtime in runtimes() {
        let dir = tempdir().unwrap();
        let path = dir.path().join("lock");
        let options = linklock::Lock::options(&path).lifetime(Duration::from_millis(10));
        let lock = Lock::from(options.build().unwrap());
        runtime.block_on(async {
            for round in 0..200 {
                let guard = in_time("it is free", lock.lock()).await.unwrap();
                let mut first = guard.keep_alive();
                let mut kept = guard.keep_alive();
                assert!(in_time("it is replaced", first.lost()).await.is_none());
                tokio::time::sleep(Duration::from_micros(2900 + round * 5)).await; // about to refresh
                if round % 2 == 0 {
                    guard.unlock().await.unwrap();
                } else {
                    drop(guard);
                }
                assert!(in_time("the task ends", kept.lost()).await.is_none(), "round {round}");
            }
        });
    }
}

#[test]
fn a_changed_lifetime_is_respected() {
    on_each_runtime(&async |path: &Path| {
        let options = linklock::Lock::options(path).lifetime(HOUR);
        let guard = Lock::from(options.build().unwrap()).lock().await.unwrap();
        let mut kept = guard.keep_alive(); // the first time in twenty minutes
        guard.refresh_for(LIFETIME).await.unwrap();
        let first = guard.expires_at();
        until("it is refreshed twice", || guard.expires_at() > first + LIFETIME / 2).await;
        // A dropped future has changed the lifetime, too.
        guard.refresh_for(HOUR).await.unwrap();
        drop(guard.refresh_for(LIFETIME));
        let _ = crate::dropped::polled(1, guard.refresh_for(LIFETIME)).await;
        let before = guard.expires_at();
        until("it is refreshed again", || guard.expires_at() != before).await;
        guard.verify().await.unwrap();
        drop(guard);
        assert!(kept.lost().await.is_none());
    });
}

/// First its pool has no thread for a refresh, then its only thread has no time for a task.
#[test]
fn a_runtime_that_is_busy_delays_no_refresh() {
    let _company = in_company();
    let dir = tempdir().unwrap();
    let runtime = one_thread();
    runtime.block_on(async {
        let guard = short(&dir.path().join("lock")).await;
        let mut kept = guard.keep_alive();
        let (ends, blocked) = std::sync::mpsc::channel::<()>();
        let blocked = Arc::new(Mutex::new(blocked));
        for _ in 0..10 {
            let blocked = blocked.clone();
            // Far more than the pool has threads: each waits until the sender is dropped.
            tokio::task::spawn_blocking(move || blocked.lock().unwrap().recv());
        }
        let first = guard.expires_at();
        until("it is refreshed", || guard.expires_at() > first + 2 * LIFETIME).await;
        let first = guard.expires_at();
        wait_until("it is refreshed", || guard.expires_at() > first + 2 * LIFETIME);
        let lost = tokio::time::timeout(Duration::ZERO, kept.lost()).await;
        assert!(lost.is_err(), "lost: {lost:?}");
        drop(ends);
        guard.unlock().await.unwrap();
    });
}

/// A hundred locks are kept alive without a thread of their own.
#[test]
fn no_thread_is_spent() {
    let _alone = alone();
    for runtime in runtimes() {
        let dir = tempdir().unwrap();
        runtime.block_on(async {
            let before = threads();
            let mut guards = Vec::new();
            for number in 0..100 {
                let guard = short(&dir.path().join(format!("lock{number}"))).await;
                drop(guard.keep_alive()); // which changes nothing
                guards.push((guard.expires_at(), guard));
            }
            until("all are refreshed", || {
                guards.iter().all(|(first, guard)| guard.expires_at() > *first + LIFETIME)
            })
            .await;
            // The pool's threads, and a few that refresh in turn: more of them when the machine is
            // busy.
            assert!(threads() <= before + 20, "{} threads, and {before} before", threads());
        });
        drop(runtime);
        assert!(names(dir.path()).is_empty());
    }
}
