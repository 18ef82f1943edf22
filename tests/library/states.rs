//! What can be inferred about a lock: flufl.lock's six states, and its holder.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::kit::worker::Worker;
use crate::kit::{
    beside, claim_like_flufl, far_off, fresh, lock_like_flufl, long_ago, names, set_lease_end,
    snapshot,
};
use linklock::{Error, Life, Lock, Owner, State};

#[test]
fn unlocked_is_a_lock_without_a_lock_file() {
    let (dir, lock) = fresh();
    claim_like_flufl(lock.path(), "mars|1|2", far_off()); // a waiter holds nothing
    assert_eq!(lock.state().unwrap(), State::Unlocked);
    assert_eq!(lock.holder().unwrap(), None);
    assert_eq!(lock.expires_at().unwrap(), None);
    fs::remove_file(&beside(lock.path())[0]).unwrap();
    dir.close().unwrap();
    assert_eq!(lock.state().unwrap(), State::Unlocked, "without a directory too");
}

#[test]
fn ours_is_a_lock_of_this_process() {
    let (_dir, lock) = fresh();
    let _guard = lock.lock().unwrap();
    assert_eq!(lock.state().unwrap(), State::Ours);
    let other_handle = Lock::new(lock.path()).unwrap();
    assert_eq!(other_handle.state().unwrap(), State::Ours);
    assert_eq!(other_handle.holder().unwrap().unwrap().life(), Life::Alive);
}

#[test]
fn ours_expired_is_one_whose_lease_is_over() {
    let (_dir, lock) = fresh();
    let guard = lock.lock().unwrap();
    set_lease_end(lock.path(), SystemTime::now() - Duration::from_secs(1));
    assert_eq!(lock.state().unwrap(), State::OursExpired);
    assert!(lock.holder().unwrap().unwrap().is_expired());
    guard.refresh().unwrap();
    assert_eq!(lock.state().unwrap(), State::Ours);
}

#[test]
fn stale_is_a_lock_whose_holder_is_provably_dead() {
    let (_dir, lock) = fresh();
    let mut holder = Worker::holding(lock.path());
    assert_eq!(lock.state().unwrap(), State::Unknown);
    holder.kill_and_reap();
    assert_eq!(lock.state().unwrap(), State::Stale, "although its lease runs for an hour");
    assert_eq!(lock.holder().unwrap().unwrap().life(), Life::Dead);
    set_lease_end(lock.path(), long_ago());
    assert_eq!(lock.state().unwrap(), State::Stale);
}

#[test]
fn theirs_expired_is_anothers_whose_lease_is_over() {
    let (_dir, lock) = fresh();
    lock_like_flufl(lock.path(), SystemTime::now() - Duration::from_secs(1));
    assert_eq!(lock.state().unwrap(), State::TheirsExpired);
    set_lease_end(lock.path(), long_ago());
    let holder = Worker::holding(lock.path());
    set_lease_end(lock.path(), SystemTime::now() - Duration::from_secs(1));
    assert_eq!(lock.state().unwrap(), State::TheirsExpired, "alive or not");
    assert_eq!(lock.holder().unwrap().unwrap().life(), Life::Alive);
    holder.finish();
}

#[test]
fn unknown_is_a_lock_of_another_that_may_well_be_alive() {
    let (_dir, lock) = fresh();
    lock_like_flufl(lock.path(), far_off());
    assert_eq!(lock.state().unwrap(), State::Unknown);
    let holder = lock.holder().unwrap().unwrap();
    assert_eq!((holder.host(), holder.pid()), ("elsewhere".as_ref(), 4711));
    assert_eq!(holder.life(), Life::Unknown);
}

#[test]
fn a_file_that_is_not_a_lock_is_unknown() {
    let (dir, lock) = fresh();
    fs::write(lock.path(), "save me").unwrap();
    let before = snapshot(dir.path());
    assert_eq!(lock.state().unwrap(), State::Unknown);
    let errors = [lock.holder().map(|_| ()), lock.expires_at().map(|_| ())];
    for error in errors.map(Result::unwrap_err) {
        assert!(matches!(error, Error::Held { .. }), "{error:?}");
        assert!(error.holder().is_none() && error.to_string().contains("is not a lock"), "{error}");
    }
    assert_eq!(snapshot(dir.path()), before);
}

/// flufl.lock's claims contain only numbers, and pids are reused.
#[test]
fn unknown_is_a_lock_of_this_host_whose_claim_proves_nothing() {
    let (_dir, lock) = fresh();
    let mut dead = std::process::Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    let who = format!("{}|{}|815", lock.host_name().to_string_lossy(), dead.id());
    let claim = claim_like_flufl(lock.path(), &who, far_off());
    fs::hard_link(claim, lock.path()).unwrap();
    assert_eq!(lock.state().unwrap(), State::Unknown);
    assert_eq!(lock.holder().unwrap().unwrap().life(), Life::Unknown);
}

#[test]
fn unknown_is_a_lock_that_was_detached_to_its_lease() {
    let (_dir, lock) = fresh();
    lock.lock().unwrap().detach(Owner::Lease).unwrap();
    assert_eq!(lock.state().unwrap(), State::Unknown);
}

#[test]
fn asking_changes_nothing() {
    let (dir, lock) = fresh();
    lock_like_flufl(lock.path(), long_ago());
    let before = snapshot(dir.path());
    lock.state().unwrap();
    lock.holder().unwrap();
    lock.expires_at().unwrap();
    assert!(!lock.is_locked().unwrap());
    assert_eq!(snapshot(dir.path()), before);
    assert_eq!(names(dir.path()).len(), 2);
}
