//! Sweeping removes what others have left once it is of no use, and nothing else.

use std::fs;
use std::path::{Path, PathBuf};

use linklock::{Error, Lock};
use tempfile::tempdir;

use crate::kit::clock::ManualClock;
use crate::kit::{
    beside, claim_like_flufl, far_off, lock_like_flufl, long_ago, names, set_lease_end, snapshot,
};

/// Expired claims, an expired seat and a lock file that was put aside, of several hosts.
fn litter(lock: &Path) -> Vec<PathBuf> {
    let claims = ["mars|1|1", "venus|2|x0123456789abcdef", "lock|3|3", "break|4|5"];
    let mut litter: Vec<_> =
        claims.iter().map(|who| claim_like_flufl(lock, who, long_ago())).collect();
    for name in ["break|n815|0", "break|x12|1", "aside|x12|77"] {
        litter.push(claim_like_flufl(lock, name, long_ago()));
    }
    litter.sort();
    litter
}

#[test]
fn expired_files_are_swept_of_whatever_host() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let litter = litter(&path);
    let mut swept = Lock::new(&path).unwrap().sweep().unwrap();
    swept.sort();
    assert_eq!(swept, litter);
    assert!(names(dir.path()).is_empty());
}

#[test]
fn files_that_have_not_expired_are_left() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    for file in litter(&path) {
        set_lease_end(&file, far_off());
    }
    let before = snapshot(dir.path());
    assert!(Lock::new(&path).unwrap().sweep().unwrap().is_empty());
    assert_eq!(snapshot(dir.path()), before);
}

#[test]
fn the_lock_file_and_its_claim_are_left_even_when_expired() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    lock_like_flufl(&path, long_ago());
    let before = snapshot(dir.path());
    assert!(Lock::new(&path).unwrap().sweep().unwrap().is_empty());
    assert_eq!(snapshot(dir.path()), before);
}

/// A seat must be passed over, not freed, while the lock file is what it was: see `takeover`.
#[test]
fn a_dead_breakers_seat_is_left_while_the_lock_is_what_it_was_to_break() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    lock_like_flufl(&path, long_ago()); // number 815
    let seat = claim_like_flufl(&path, "break|n815|0", long_ago());
    let anothers = claim_like_flufl(&path, "break|n816|0", long_ago());
    let lock = Lock::options(&path).clock(ManualClock::new()).build().unwrap();
    assert_eq!(lock.sweep().unwrap(), [anothers]);
    let guard = lock.try_lock_for(crate::kit::HOUR).unwrap();
    assert!(!seat.exists(), "passed over, and removed with the tenure that it belonged to");
    assert_eq!(beside(&path), [guard.claim_path()]);
}

#[test]
fn names_that_are_not_the_locks_are_left() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let others = [
        "lock|mars|1",         // three fields
        "lock|mars|1|2|3",     // five
        "lock|mars|pid|1",     // neither a pid nor a seat
        "lock|mars|1|",        // no number
        "lock|mars|1|../evil", // not such a number, and a file in another directory
        "lock|mars|-1|2",
        "lock|break|n1|x",
        "lock2|mars|1|2", // another lock's
        "lock",
        "Lock|mars|1|2",
        "lock|",
    ];
    fs::create_dir(dir.path().join("lock|mars|1|..")).unwrap();
    for name in others {
        fs::write(dir.path().join(name), "").unwrap();
        set_lease_end(&dir.path().join(name), long_ago());
    }
    let before = snapshot(dir.path());
    let lock = Lock::new(&path).unwrap();
    assert!(lock.sweep().unwrap().is_empty());
    assert_eq!(snapshot(dir.path()), before);
}

#[test]
fn a_directory_with_a_claims_name_is_left() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let inner = dir.path().join("lock|mars|1|2");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("file"), "").unwrap();
    set_lease_end(&inner, long_ago());
    let before = snapshot(dir.path());
    assert!(Lock::new(&path).unwrap().sweep().unwrap().is_empty());
    assert_eq!(snapshot(dir.path()), before);
}

#[test]
fn a_handle_sweeps_when_it_first_acquires() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    litter(&path);
    let lock = Lock::new(&path).unwrap();
    let guard = lock.lock().unwrap();
    assert_eq!(beside(&path), [guard.claim_path()]);
    drop(guard);
    let later = claim_like_flufl(&path, "mars|1|1", long_ago());
    drop(lock.lock().unwrap());
    assert_eq!(beside(&path), [later], "once is enough: it lists the whole directory");
}

#[test]
fn a_handle_may_leave_sweeping_to_others() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let left = claim_like_flufl(&path, "mars|1|1", long_ago());
    let mut lock = Lock::new(&path).unwrap();
    lock.set_sweeping(false);
    drop(lock.lock().unwrap());
    drop(lock.clone().lock().unwrap());
    assert_eq!(beside(&path), [left]);
    lock.set_sweeping(true);
    drop(lock.lock().unwrap());
    assert!(beside(&path).is_empty());
}

#[test]
fn sweeping_needs_a_directory() {
    let dir = tempdir().unwrap();
    let missing = dir.path().join("missing");
    let error = Lock::new(missing.join("lock")).unwrap().sweep().unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    assert!(error.path().starts_with(&missing));
}
