//! Places where a lock can't be taken, or not by everyone: a clear error, and nothing left behind.

mod faults;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::kit::elsewhere::{arrived, go_as_ordinary_user, go_with_mount, open_to_all};
use crate::kit::this_test;
use crate::kit::{beside, far_off, lock_like_flufl, long_ago, names, snapshot, wait_until};
use linklock::{Error, Lock, Obstacle, Operation, State};
use tempfile::tempdir;

/// A failed operation, reported with its name, its file and the system's reason.
#[track_caller]
fn assert_failed(error: &Error, operation: Operation, errno: i32, lock: &Path) {
    let Error::Io { operation: failed, path, error: cause, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!((*failed, cause.raw_os_error()), (operation, Some(errno)), "{error}");
    assert_eq!(path.parent(), lock.parent(), "{error}");
    let (name, lock_name) = (path.file_name().unwrap(), lock.file_name().unwrap());
    assert!(name.as_encoded_bytes().starts_with(lock_name.as_encoded_bytes()), "{error}");
    assert_eq!(error.to_string(), format!("failed to {operation} {}: {cause}", path.display()));
}

// ---- directories ----

#[test]
fn a_missing_directory() {
    let dir = tempdir().unwrap();
    let lock = Lock::new(dir.path().join("missing/lock")).unwrap();
    for error in [lock.lock(), lock.try_lock(), lock.try_lock_for(Duration::from_secs(20))] {
        assert_failed(&error.unwrap_err(), Operation::Create, libc::ENOENT, lock.path());
    }
    assert_failed(
        &lock.break_if(|_| true).unwrap_err(),
        Operation::Create,
        libc::ENOENT,
        lock.path(),
    );
    assert_eq!(lock.state().unwrap(), State::Unlocked);
    assert!(names(dir.path()).is_empty(), "nor is it made");
}

#[test]
fn a_file_for_a_directory() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("file"), "save me").unwrap();
    let before = snapshot(dir.path());
    let lock = Lock::new(dir.path().join("file/lock")).unwrap();
    assert_failed(&lock.lock().unwrap_err(), Operation::Create, libc::ENOTDIR, lock.path());
    assert_eq!(snapshot(dir.path()), before);
}

#[test]
fn a_directory_that_vanishes_while_we_wait() {
    let dir = tempdir().unwrap();
    let inner = dir.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let lock = Lock::new(inner.join("lock")).unwrap();
    lock_like_flufl(lock.path(), far_off());
    let error = thread::scope(|scope| {
        let waiter = scope.spawn(|| lock.lock().map(drop).unwrap_err());
        wait_until("the waiter has a claim", || beside(lock.path()).len() == 2);
        fs::rename(&inner, dir.path().join("gone")).unwrap(); // in one step, whatever the waiter does now
        fs::remove_dir_all(dir.path().join("gone")).unwrap();
        waiter.join().unwrap()
    });
    assert_failed(&error, Operation::Create, libc::ENOENT, lock.path());
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_directory_that_vanishes_while_we_hold() {
    let dir = tempdir().unwrap();
    let inner = dir.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let guard = Lock::new(inner.join("lock")).unwrap().lock().unwrap();
    fs::remove_dir_all(&inner).unwrap();
    assert!(guard.verify().unwrap_err().is_lost());
    assert!(guard.refresh().unwrap_err().is_lost());
    assert!(guard.unlock().unwrap_err().is_lost());
    assert!(names(dir.path()).is_empty());
}

/// A lock there could be taken, and never released.
#[test]
fn an_append_only_directory() {
    let dir = tempdir().unwrap();
    let chattr = |flag: &str| {
        let chattr = Command::new("chattr").arg(flag).arg(dir.path()).output();
        chattr.is_ok_and(|output| output.status.success())
    };
    if !chattr("+a") {
        return crate::kit::skip(this_test!(), "chattr +a failed");
    }
    let error = Lock::new(dir.path().join("lock")).unwrap().lock().map(drop);
    let left = names(dir.path());
    assert!(chattr("-a"));
    let error = error.unwrap_err();
    assert!(matches!(error, Error::UnsupportedFileSystem { .. }), "{error:?}");
    assert!(error.to_string().contains("append-only"), "{error}");
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_directory_that_others_may_only_read() {
    let Some(dir) = arrived() else {
        let dir = tempdir().unwrap();
        lock_like_flufl(&dir.path().join("held"), long_ago());
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let before = snapshot(dir.path());
        go_as_ordinary_user(this_test!(), dir.path());
        return assert_eq!(snapshot(dir.path()), before);
    };
    for name in ["lock", "held"] {
        let lock = Lock::new(dir.join(name)).unwrap();
        assert_failed(&lock.lock().unwrap_err(), Operation::Create, libc::EACCES, lock.path());
    }
    let lock = Lock::new(dir.join("held")).unwrap();
    assert_eq!(
        lock.state().unwrap(),
        State::TheirsExpired,
        "it is visible to all who may read the directory"
    );
    assert_eq!(lock.holder().unwrap().unwrap().pid(), 4711);
}

#[test]
fn a_directory_that_others_may_not_enter() {
    let Some(dir) = arrived() else {
        let dir = tempdir().unwrap();
        let closed = dir.path().join("closed");
        fs::create_dir(&closed).unwrap();
        lock_like_flufl(&closed.join("lock"), long_ago());
        open_to_all(dir.path(), 0);
        fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
        let before = snapshot(dir.path());
        go_as_ordinary_user(this_test!(), dir.path());
        return assert_eq!(snapshot(dir.path()), before);
    };
    let lock = Lock::new(dir.join("closed/lock")).unwrap();
    assert_failed(&lock.lock().unwrap_err(), Operation::Create, libc::EACCES, lock.path());
    assert_failed(&lock.state().unwrap_err(), Operation::Stat, libc::EACCES, lock.path());
}

// ---- another user's lock ----

/// A file there can be removed only by its owner: an expired lock is waited for, and the error says
/// why.
#[test]
fn anothers_lock_in_a_sticky_directory() {
    let Some(dir) = arrived() else {
        let dir = tempdir().unwrap();
        lock_like_flufl(&dir.path().join("lock"), long_ago());
        open_to_all(dir.path(), 0o1000);
        let before = snapshot(dir.path());
        go_as_ordinary_user(this_test!(), dir.path());
        return assert_eq!(snapshot(dir.path()), before);
    };
    let lock = Lock::new(dir.join("lock")).unwrap();
    let before = snapshot(&dir);
    let errors = [
        lock.try_lock().map(|_| ()),
        lock.try_lock_for(Duration::from_millis(20)).map(|_| ()),
        lock.break_if(|_| true).map(|_| ()),
    ];
    for error in errors.map(Result::unwrap_err) {
        let (Error::Held { obstacle, .. } | Error::TimedOut { obstacle, .. }) = &error else {
            panic!("{error:?}")
        };
        let Obstacle::CannotBreak(holder, cause) = &**obstacle else { panic!("{error:?}") };
        assert_eq!((holder.pid(), cause.raw_os_error()), (4711, Some(libc::EPERM)));
        let message = error.to_string();
        for part in [
            &*lock.path().to_string_lossy(),
            "held by process 4711 on elsewhere",
            "may not be taken over",
            "Operation not permitted",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }
    assert!(lock.sweep().unwrap().is_empty());
    assert_eq!(snapshot(&dir), before, "neither claim nor seat is left");
}

#[test]
fn anothers_leftovers_in_a_sticky_directory() {
    let Some(dir) = arrived() else {
        let dir = tempdir().unwrap();
        crate::kit::claim_like_flufl(&dir.path().join("lock"), "mars|1|2", long_ago());
        open_to_all(dir.path(), 0o1000);
        let before = snapshot(dir.path());
        go_as_ordinary_user(this_test!(), dir.path());
        return assert_eq!(snapshot(dir.path()), before);
    };
    let lock = Lock::new(dir.join("lock")).unwrap();
    lock.lock().unwrap().unlock().unwrap();
    assert!(lock.sweep().unwrap().is_empty(), "what may not be removed is left");
}

#[test]
fn anothers_lock_in_a_directory_that_all_may_write() {
    let Some(dir) = arrived() else {
        let dir = tempdir().unwrap();
        lock_like_flufl(&dir.path().join("lock"), long_ago());
        open_to_all(dir.path(), 0);
        return go_as_ordinary_user(this_test!(), dir.path());
    };
    let guard = Lock::new(dir.join("lock")).unwrap().try_lock().unwrap();
    assert_eq!(beside(guard.path()), [guard.claim_path()]);
    guard.unlock().unwrap();
}

/// It may be a lock, as far as one can tell: it is respected even if it expired long ago.
#[test]
fn a_lock_that_we_may_not_read() {
    let Some(dir) = arrived() else {
        let dir = tempdir().unwrap();
        let claim = lock_like_flufl(&dir.path().join("lock"), long_ago());
        fs::set_permissions(&claim, Permissions::from_mode(0o000)).unwrap();
        fs::remove_file(claim).unwrap(); // its content would name the holder
        open_to_all(dir.path(), 0);
        let before = snapshot(dir.path());
        go_as_ordinary_user(this_test!(), dir.path());
        return assert_eq!(snapshot(dir.path()), before);
    };
    let lock = Lock::new(dir.join("lock")).unwrap();
    let errors = [
        lock.try_lock().map(|_| ()),
        lock.break_if(|_| true).map(|_| ()),
        lock.holder().map(|_| ()),
    ];
    for error in errors.map(Result::unwrap_err) {
        let Error::Held { obstacle, .. } = &error else { panic!("{error:?}") };
        assert!(matches!(**obstacle, Obstacle::ReadDenied(..)), "{error:?}");
        for part in ["Permission denied", "root's, mode 0000, ", "chmod a+r"] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
    assert_eq!(lock.state().unwrap(), State::Unknown);
    assert!(lock.sweep().unwrap().is_empty());
}

// ---- file systems ----

#[test]
fn a_read_only_file_system() {
    let Some(dir) = arrived() else {
        let dir = tempdir().unwrap();
        let mount = "mount -t tmpfs -o ro none \"$DIR\"";
        return go_with_mount(this_test!(), dir.path(), mount);
    };
    let lock = Lock::new(dir.join("lock")).unwrap();
    assert_failed(&lock.lock().unwrap_err(), Operation::Create, libc::EROFS, lock.path());
    assert_failed(&lock.sweep().unwrap_err(), Operation::Create, libc::EROFS, lock.path());
    assert_eq!(lock.state().unwrap(), State::Unlocked);
}

#[test]
fn a_file_system_without_room_for_a_claims_inode() {
    let Some(dir) = arrived() else {
        let dir = tempdir().unwrap();
        let mount = "mount -t tmpfs -o nr_inodes=1 none \"$DIR\""; // which the root directory uses
        return go_with_mount(this_test!(), dir.path(), mount);
    };
    let lock = Lock::new(dir.join("lock")).unwrap();
    assert_failed(&lock.lock().unwrap_err(), Operation::Create, libc::ENOSPC, lock.path());
    assert!(names(&dir).is_empty());
}

/// A tmpfs counts a link as an inode.
#[test]
fn a_file_system_without_room_for_the_link() {
    let Some(dir) = arrived() else {
        let dir = tempdir().unwrap();
        let mount = "mount -t tmpfs -o nr_inodes=2 none \"$DIR\"";
        return go_with_mount(this_test!(), dir.path(), mount);
    };
    let lock = Lock::new(dir.join("lock")).unwrap();
    assert_failed(&lock.lock().unwrap_err(), Operation::Link, libc::ENOSPC, lock.path());
    assert!(names(&dir).is_empty());
}

#[test]
fn a_file_system_without_room_for_another_claims_content() {
    let Some(dir) = arrived() else {
        let dir = tempdir().unwrap();
        let mount = "mount -t tmpfs -o size=1 none \"$DIR\""; // a page: the first claim fills it
        let test = this_test!();
        return go_with_mount(test, dir.path(), mount);
    };
    let lock = Lock::new(dir.join("lock")).unwrap();
    let guard = lock.lock().unwrap();
    let error = lock.clone().try_lock().unwrap_err();
    assert_failed(&error, Operation::Create, libc::ENOSPC, lock.path());
    assert_eq!(beside(lock.path()), [guard.claim_path()]);
    // The holder needs no more room to keep and to release it.
    guard.refresh().unwrap();
    guard.verify().unwrap();
    guard.unlock().unwrap();
    assert!(names(&dir).is_empty());
}
