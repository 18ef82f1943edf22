//! Making a lock, and how it shows itself.

use std::time::Duration;

use linklock::mailbox::MailboxLock;
use linklock::{Error, Lock};
use tempfile::tempdir;

#[test]
fn the_lock_beside_a_file_has_the_files_whole_name() {
    let dir = tempdir().unwrap();
    let lock_of = |file: &str| Lock::beside(dir.path().join(file)).unwrap().path().to_owned();
    for (file, lock) in [
        ("a.json", "a.json.lock"),
        ("a.toml", "a.toml.lock"),
        ("a", "a.lock"),
        (".hidden", ".hidden.lock"),
        ("a.lock", "a.lock.lock"),
        ("directory/", "directory.lock"),
    ] {
        assert_eq!(lock_of(file), dir.path().join(lock));
    }
    let _json = Lock::beside(dir.path().join("a.json")).unwrap().try_lock().unwrap();
    let _toml = Lock::beside(dir.path().join("a.toml")).unwrap().try_lock().unwrap();
}

#[test]
fn the_lock_beside_a_file_can_have_options() {
    let lock = Lock::options_beside("a.json").timeout(Duration::ZERO).build().unwrap();
    assert_eq!(lock.timeout(), Some(Duration::ZERO));
    assert!(lock.path().ends_with("a.json.lock") && lock.path().is_absolute());
}

#[test]
fn no_lock_is_beside_what_has_no_name() {
    for path in ["", ".", "..", "/", "a/.."] {
        let error = Lock::beside(path).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{path}: {error:?}");
    }
}

#[test]
fn what_is_shown_for_debugging_is_short_and_shows_the_state() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let options = Lock::options(&path);
    assert_eq!(
        format!("{options:?}"),
        format!("LockOptions {{ path: {path:?}, lifetime: 15s, timeout: None, .. }}")
    );
    let lock = options.build().unwrap();
    let shown = |held| format!("Lock {{ path: {path:?}, lifetime: 15s, held: {held}, .. }}");
    assert_eq!(format!("{lock:?}"), shown(false));
    let guard = lock.lock().unwrap();
    assert_eq!(format!("{lock:?}"), shown(true));
    assert_eq!(format!("{:?}", lock.clone()), shown(false));
    let claim = guard.claim_path();
    let start = format!("LockGuard {{ path: {path:?}, claim_path: {claim:?}, remaining: ");
    assert!(format!("{guard:?}").starts_with(&start), "{guard:?}");
}

#[test]
fn a_mailboxs_lock_is_shown_for_debugging_as_shortly() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("joe");
    let lock = MailboxLock::new(&path).unwrap();
    let shown = |held| format!("MailboxLock {{ path: {path:?}, held: {held}, .. }}");
    assert_eq!(format!("{lock:?}"), shown(false));
    let guard = lock.lock().unwrap();
    assert_eq!(format!("{lock:?}"), shown(true));
    assert!(format!("{guard:?}").starts_with("MailboxGuard { path: "), "{guard:?}");
}
