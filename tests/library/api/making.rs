//! Making a lock, and how it shows itself.

use linklock::Lock;
use linklock::mailbox::MailboxLock;
use tempfile::tempdir;

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
