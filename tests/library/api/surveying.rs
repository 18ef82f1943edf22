//! Listing what is around a lock, without touching it.

use std::fs;
use std::time::{Duration, SystemTime};

use linklock::{Error, Format, Life, Lock};
use tempfile::tempdir;

use crate::kit::{
    claim_like_flufl, far_off, lock_like_flufl, long_ago, names, set_lease_end, snapshot,
};

#[test]
fn waiters_are_listed_and_the_holder_is_not() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let lock = Lock::new(&path).unwrap();
    assert!(lock.waiters().unwrap().is_empty());
    let guard = lock.lock().unwrap();
    let waiter = claim_like_flufl(&path, "mars|17|42", far_off());
    let before = snapshot(dir.path());
    let waiters = Lock::new(&path).unwrap().waiters().unwrap();
    assert_eq!(snapshot(dir.path()), before);
    assert_eq!(waiters.len(), 1, "{waiters:?}");
    assert_eq!((waiters[0].host().to_str(), waiters[0].pid()), (Some("mars"), 17));
    assert_eq!(waiters[0].claim_path(), waiter);
    assert_eq!((waiters[0].format(), waiters[0].life()), (Format::FluflLock, Life::Unknown));
    drop(guard);
    assert_eq!(lock.waiters().unwrap().len(), 1, "it may wait although nobody holds the lock");
}

#[test]
fn a_thread_that_waits_is_listed() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let lock = Lock::new(&path).unwrap();
    let guard = lock.lock().unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| Lock::new(&path).unwrap().lock_while(|_| true).unwrap());
        let waiting = || lock.waiters().unwrap();
        while waiting().is_empty() {
            std::thread::yield_now();
        }
        let found = waiting().remove(0);
        assert_eq!((found.pid(), found.life()), (std::process::id(), Life::Alive));
        assert_eq!(found.format(), Format::Linklock);
        assert_ne!(found.claim_path(), guard.claim_path());
        guard.unlock().unwrap();
        drop(waiter.join().unwrap());
    });
    assert!(lock.waiters().unwrap().is_empty());
}

#[test]
fn a_dead_waiters_claim_is_not_listed() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    claim_like_flufl(&path, "mars|17|42", long_ago());
    claim_like_flufl(&path, "break|n815|0", far_off());
    assert!(Lock::new(&path).unwrap().waiters().unwrap().is_empty());
}

#[test]
fn the_format_is_named() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    lock_like_flufl(&path, far_off());
    let holder = Lock::new(&path).unwrap().holder().unwrap().unwrap();
    assert_eq!(holder.format(), Format::FluflLock);
    assert_eq!(holder.overdue(), Duration::ZERO);
    set_lease_end(&path, long_ago());
    let holder = Lock::new(&path).unwrap().holder().unwrap().unwrap();
    assert!(holder.overdue() > Duration::from_secs(60), "{:?}", holder.overdue());
    assert_eq!(holder.remaining(), Duration::ZERO);
}

#[test]
fn orphans_are_listed_and_left() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let orphan = claim_like_flufl(&path, "mars|1|1", long_ago());
    claim_like_flufl(&path, "mars|1|2", far_off());
    let before = snapshot(dir.path());
    let lock = Lock::new(&path).unwrap();
    assert_eq!(lock.orphans().unwrap(), std::slice::from_ref(&orphan));
    assert_eq!(snapshot(dir.path()), before);
    assert_eq!(lock.sweep().unwrap(), [orphan]);
    assert!(lock.orphans().unwrap().is_empty());
}

#[test]
fn the_servers_time_is_asked_without_a_trace() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let before = SystemTime::now() - Duration::from_secs(1); // for coarse time stamps
    let time = Lock::new(&path).unwrap().server_time().unwrap();
    assert!(before <= time && time <= SystemTime::now() + Duration::from_secs(1));
    assert!(names(dir.path()).is_empty());
    fs::remove_dir(dir.path()).unwrap();
    let error = Lock::new(&path).unwrap().server_time().unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
}
