//! A handle that keeps its claim from one tenure to the next.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use linklock::{Error, Lock, LockOptions};
use tempfile::{TempDir, tempdir};

use crate::kit::clock::ManualClock;
use crate::kit::{beside, names};

fn keeping() -> (TempDir, PathBuf, LockOptions) {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let options = Lock::options(&path).keep_claim(true);
    (dir, path, options)
}

#[test]
fn one_claim_serves_again_and_again_and_goes_with_the_handle() {
    let (dir, path, options) = keeping();
    let lock = options.build().unwrap();
    let first = lock.lock().unwrap();
    let claim = first.claim_path().to_owned();
    first.unlock().unwrap();
    assert!(!path.exists());
    assert_eq!(beside(&path), [claim.as_path()]);
    for _ in 0..3 {
        let guard = lock.lock().unwrap();
        assert_eq!(guard.claim_path(), claim);
        guard.verify().unwrap();
        drop(guard);
    }
    drop(lock);
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_guard_that_outlives_its_handle_leaves_no_claim() {
    let (dir, _, options) = keeping();
    let lock = options.build().unwrap();
    lock.lock().unwrap().unlock().unwrap();
    let guard = lock.lock().unwrap();
    drop(lock);
    guard.unlock().unwrap();
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_claim_that_has_expired_is_not_linked_again() {
    let (_dir, path, options) = keeping();
    let clock = ManualClock::new();
    let lock = options.clock(clock.clone()).build().unwrap();
    let first = lock.lock().unwrap();
    let claim = first.claim_path().to_owned();
    first.unlock().unwrap();
    clock.advance(Duration::from_secs(16)); // a lifetime of 15 s
    let second = lock.lock().unwrap();
    assert_ne!(second.claim_path(), claim);
    assert_eq!(beside(&path), [second.claim_path()]);
}

#[test]
fn a_late_tenure_gives_up_its_claim() {
    let (_dir, path, options) = keeping();
    let clock = ManualClock::new();
    let lock = options.clock(clock.clone()).build().unwrap();
    let guard = lock.lock().unwrap();
    clock.advance(Duration::from_secs(16));
    guard.unlock().unwrap();
    assert!(beside(&path).is_empty());
}

#[test]
fn a_claim_that_was_removed_is_made_again() {
    let (_dir, path, options) = keeping();
    let lock = options.build().unwrap();
    lock.lock().unwrap().unlock().unwrap();
    fs::remove_file(&beside(&path)[0]).unwrap();
    let guard = lock.lock().unwrap();
    guard.verify().unwrap();
    assert_eq!(beside(&path), [guard.claim_path()]);
}

#[test]
fn a_claim_that_was_refused_is_kept_as_well() {
    let (_dir, path, options) = keeping();
    let lock = Arc::new(options.build().unwrap());
    let held = Lock::new(&path).unwrap().lock().unwrap();
    for _ in 0..2 {
        assert!(matches!(lock.try_lock(), Err(Error::Held { .. })));
        assert_eq!(beside(&path).len(), 2);
    }
    let mine = beside(&path).into_iter().find(|claim| claim != held.claim_path()).unwrap();
    held.unlock().unwrap();
    assert_eq!(lock.lock().unwrap().claim_path(), mine);
}

#[test]
fn a_clone_has_a_claim_of_its_own() {
    let (dir, path, options) = keeping();
    let lock = options.build().unwrap();
    lock.lock().unwrap().unlock().unwrap();
    let other = lock.clone();
    other.lock().unwrap().unlock().unwrap();
    assert_eq!(beside(&path).len(), 2);
    drop((lock, other));
    assert!(names(dir.path()).is_empty());
}
