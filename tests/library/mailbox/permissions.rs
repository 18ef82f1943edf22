//! Permissions: an error says which is missing, and nothing is left behind. The tests prepare a
//! spool as root, and go on as an ordinary user.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::sync::Arc;

use linklock::mailbox::MailboxLock;
use linklock::{Error, Obstacle};
use tempfile::tempdir;

use super::scene::make_file;
use crate::kit::clock::ManualClock;
use crate::kit::elsewhere::{ORDINARY, arrived, go_as_ordinary_user, is_root};
use crate::kit::this_test;
use crate::kit::{HOUR, lock_like_flufl, long_ago, names};

const MAIL: u32 = 8; // base-passwd, on Debian

fn lock(spool: &Path) -> MailboxLock {
    let clock: Arc<ManualClock> = ManualClock::new();
    MailboxLock::options(spool.join("joe")).clock(clock).build().unwrap()
}

/// A spool with a mailbox, as root.
fn prepare(dir: &Path, mode: u32, owner: u32, mailbox_mode: u32) {
    if !is_root() {
        return; // `go_as_ordinary_user` will say so
    }
    let mbox = dir.join("joe");
    fs::write(&mbox, "").unwrap();
    chown(&mbox, Some(owner), Some(MAIL)).unwrap();
    fs::set_permissions(&mbox, fs::Permissions::from_mode(mailbox_mode)).unwrap();
    chown(dir, Some(0), Some(MAIL)).unwrap();
    fs::set_permissions(dir, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn in_a_spool_of_group_mail_the_group_is_named() {
    let Some(spool) = arrived() else {
        let dir = tempdir().unwrap();
        prepare(dir.path(), 0o2775, ORDINARY, 0o660);
        let test = this_test!();
        return go_as_ordinary_user(test, dir.path());
    };
    let error = lock(&spool).try_lock().unwrap_err();
    assert!(matches!(error, Error::Denied { .. }), "{error:?}");
    let said = error.to_string();
    for part in ["a dotlock needs permission to write to", "group mail", "mode 2775", "Permission"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.contains(spool.to_str().unwrap()), "{said}");
    assert_eq!(names(&spool), ["joe"]);
}

#[test]
fn of_a_mailbox_of_another_the_owner_is_named() {
    let Some(spool) = arrived() else {
        let dir = tempdir().unwrap();
        prepare(dir.path(), 0o777, 0, 0o600);
        let test = this_test!();
        return go_as_ordinary_user(test, dir.path());
    };
    let error = lock(&spool).try_lock().unwrap_err();
    assert!(matches!(error, Error::Denied { .. }), "{error:?}");
    let said = error.to_string();
    for part in ["fcntl(2)", "(root, group mail, mode 0600), writable only by root"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(names(&spool), ["joe"]);
}

#[test]
fn in_a_sticky_spool_anothers_stale_dotlock_stays_and_the_error_says_so() {
    let Some(spool) = arrived() else {
        let dir = tempdir().unwrap();
        prepare(dir.path(), 0o1777, ORDINARY, 0o660);
        make_file(&dir.path().join("joe.lock"), "0\n", 0o644);
        let test = this_test!();
        return go_as_ordinary_user(test, dir.path());
    };
    let error = lock(&spool).try_lock_for(HOUR).unwrap_err();
    match &error {
        Error::TimedOut { obstacle, .. } => {
            assert!(matches!(**obstacle, Obstacle::CannotBreakDotlock(..)), "{obstacle:?}");
        }
        other => panic!("{other:?}"),
    }
    let said = error.to_string();
    for part in ["may not be removed", "only root, the owner of", "mode 1777"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(names(&spool), ["joe", "joe.lock"], "and no claims or seats");
}

#[test]
fn in_a_sticky_spool_anothers_expired_lock_stays_and_the_error_says_so() {
    let Some(spool) = arrived() else {
        let dir = tempdir().unwrap();
        prepare(dir.path(), 0o1777, ORDINARY, 0o660);
        lock_like_flufl(&dir.path().join("joe.lock"), long_ago());
        let test = this_test!();
        return go_as_ordinary_user(test, dir.path());
    };
    let before = names(&spool);
    let error = lock(&spool).try_lock_for(HOUR).unwrap_err();
    match &error {
        Error::TimedOut { obstacle, .. } => match &**obstacle {
            Obstacle::CannotBreak(holder, _) => assert_eq!(holder.host(), "elsewhere"),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
    let said = error.to_string();
    for part in ["may not be taken over", "only root, the owner of", "mode 1777"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(names(&spool), before);
}

#[test]
fn a_dotlock_that_may_not_be_read_is_held() {
    let Some(spool) = arrived() else {
        let dir = tempdir().unwrap();
        prepare(dir.path(), 0o777, ORDINARY, 0o660);
        make_file(&dir.path().join("joe.lock"), "0\n", 0o600);
        let test = this_test!();
        return go_as_ordinary_user(test, dir.path());
    };
    let error = lock(&spool).try_lock_for(HOUR).unwrap_err();
    match &error {
        Error::TimedOut { obstacle, .. } => {
            assert!(matches!(**obstacle, Obstacle::Unreadable(_)), "{obstacle:?}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(names(&spool), ["joe", "joe.lock"]);
}

/// Only root may open mutt's, and nothing needs to: it is empty.
#[test]
fn mutts_sealed_dotlock_is_known_without_being_opened() {
    let Some(spool) = arrived() else {
        let dir = tempdir().unwrap();
        prepare(dir.path(), 0o777, ORDINARY, 0o660);
        make_file(&dir.path().join("joe.lock"), "", 0);
        let test = this_test!();
        return go_as_ordinary_user(test, dir.path());
    };
    lock(&spool).try_lock_for(HOUR).unwrap().unlock().unwrap();
    assert_eq!(names(&spool), ["joe"]);
}
