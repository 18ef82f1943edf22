//! Errors: each says what went wrong, on which file, and who holds the lock.

use std::fs;
use std::io;
use std::time::Duration;

use linklock::{Error, Lock, Operation, Owner};
use tempfile::{TempDir, tempdir};

use crate::kit::clock::ManualClock;
use crate::kit::{far_off, lock_like_flufl};

const LIFETIME: Duration = Duration::from_secs(15);

fn held_by_another() -> (TempDir, Lock) {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    lock_like_flufl(&path, far_off());
    let lock = Lock::options(&path).clock(ManualClock::new()).build().unwrap();
    (dir, lock)
}

fn no_such_directory() -> Error {
    let dir = tempdir().unwrap();
    Lock::new(dir.path().join("missing/lock")).unwrap().lock().unwrap_err()
}

fn invalid() -> Error {
    Lock::new("/").unwrap_err()
}

fn already_locked() -> Error {
    let dir = tempdir().unwrap();
    let lock = Lock::new(dir.path().join("lock")).unwrap();
    let _guard = lock.lock().unwrap();
    lock.lock().unwrap_err()
}

fn lost() -> Error {
    let dir = tempdir().unwrap();
    let guard = Lock::new(dir.path().join("lock")).unwrap().lock().unwrap();
    fs::remove_file(guard.path()).unwrap();
    guard.refresh().unwrap_err()
}

fn expired() -> Error {
    let (dir, clock) = (tempdir().unwrap(), ManualClock::new());
    let options = Lock::options(dir.path().join("lock")).lifetime(LIFETIME);
    let guard = options.clock(clock.clone()).build().unwrap().lock().unwrap();
    clock.advance(2 * LIFETIME);
    guard.verify().unwrap_err()
}

fn no_such_owner() -> Error {
    let dir = tempdir().unwrap();
    let guard = Lock::new(dir.path().join("lock")).unwrap().lock().unwrap();
    guard.detach(Owner::Process(0)).unwrap_err()
}

#[test]
fn contention_names_the_lock_its_holder_and_the_rest_of_its_lease() {
    let (_dir, lock) = held_by_another();
    let path = lock.path().display();
    let error = lock.try_lock().unwrap_err();
    let (start, end) = (format!("lock {path} is taken: held by process 4711 on elsewhere"), " s");
    let message = error.to_string();
    assert!(message.starts_with(&start) && message.contains("its lease ends in"), "{message}");
    assert!(message.ends_with(end), "{message}");
    assert_eq!((error.path(), error.holder().unwrap().pid()), (lock.path(), 4711));
    assert!(error.is_contention() && !error.is_lost() && error.io_error().is_none());

    let error = lock.try_lock_for(Duration::from_secs(30)).unwrap_err();
    let start = format!("waited 30 s for lock {path}: held by process 4711 on elsewhere");
    assert!(error.to_string().starts_with(&start), "{error}");
    assert!(error.is_contention());
}

#[test]
fn contention_reports_a_live_holder_on_this_host() {
    let dir = tempdir().unwrap();
    let lock = Lock::new(dir.path().join("lock")).unwrap();
    let _guard = lock.lock().unwrap();
    let error = lock.clone().try_lock().unwrap_err();
    let (pid, host) = (std::process::id(), lock.host_name().to_string_lossy());
    let holder = format!("held by process {pid} on {host} (alive), its lease ends in 15 s");
    let message = error.to_string();
    assert!(message.contains(holder.trim_end_matches("15 s")), "{message}");
}

#[test]
fn a_failed_operation_is_named_with_its_file_and_the_systems_reason() {
    let error = no_such_directory();
    let Error::Io { operation: Operation::Create, path, error: cause, .. } = &error else {
        panic!("{error:?}")
    };
    assert!(path.parent().unwrap().ends_with("missing"), "{path:?}");
    let message = format!("failed to create {}: {cause}", path.display());
    assert_eq!(error.to_string(), message);
    assert_eq!(error.io_error().unwrap().raw_os_error(), Some(libc::ENOENT));
}

#[test]
fn every_message_names_the_lock() {
    for error in [already_locked(), lost(), expired(), no_such_owner()] {
        assert!(error.path().ends_with("lock"), "{error:?}");
        let message = error.to_string();
        assert!(message.contains(&format!("lock {}", error.path().display())), "{message}");
    }
    assert!(invalid().to_string().contains("lock /"));
}

#[test]
fn an_io_error_keeps_the_kind_and_the_message() {
    let (_dir, lock) = held_by_another();
    let held = lock.try_lock().unwrap_err();
    let timed_out = lock.try_lock_for(Duration::ZERO).unwrap_err();
    for (error, kind) in [
        (held, io::ErrorKind::WouldBlock),
        (timed_out, io::ErrorKind::TimedOut),
        (already_locked(), io::ErrorKind::Deadlock),
        (lost(), io::ErrorKind::Other),
        (expired(), io::ErrorKind::Other),
        (invalid(), io::ErrorKind::InvalidInput),
        (no_such_owner(), io::ErrorKind::NotFound),
        (no_such_directory(), io::ErrorKind::NotFound),
    ] {
        let words = error.to_string();
        let error = io::Error::from(error);
        assert_eq!((error.kind(), error.to_string()), (kind, words));
        let inner = error.into_inner().unwrap().downcast::<Error>();
        assert!(inner.is_ok(), "the error itself can be taken out again");
    }
}
