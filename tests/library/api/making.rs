//! Making a lock, and how it shows itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use linklock::mailbox::MailboxLock;
use linklock::{Error, Lock, Owner};
use nix::sys::stat::{Mode, umask};
use tempfile::tempdir;

use crate::kit::again::alone;

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

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_locks_files_have_the_chosen_mode_whatever_the_umask_is() {
    alone!(); // the umask is the whole process's
    for mask in [0, 0o022, 0o077] {
        umask(Mode::from_bits_truncate(0o022));
        let dir = tempdir().unwrap();
        let path = dir.path().join("lock");
        umask(Mode::from_bits_truncate(mask));
        for (chosen, searchable) in
            [(0o600, 0o700), (0o640, 0o750), (0o644, 0o755), (0o664, 0o775), (0o666, 0o777)]
        {
            let lock = Lock::options(&path).mode(chosen).fencing(true).build().unwrap();
            let guard = lock.lock().unwrap();
            assert_eq!((mode(&path), mode(guard.claim_path())), (chosen, chosen));
            guard.unlock().unwrap();
            let fence = dir.path().join("lock.fence");
            let counter = fence.join("1");
            assert_eq!((mode(&fence), mode(&counter)), (searchable, chosen), "{mask:o}");
            fs::remove_dir_all(&fence).unwrap();
        }
    }
}

#[test]
fn an_adopted_locks_claim_has_the_chosen_mode_too() {
    let dir = tempdir().unwrap();
    let lock = Lock::options(dir.path().join("lock")).mode(0o666).build().unwrap();
    let claim = lock.lock().unwrap().detach(Owner::Lease).unwrap();
    let guard = lock.adopt(claim).unwrap();
    assert_eq!((mode(guard.path()), mode(guard.claim_path())), (0o666, 0o666));
    guard.unlock().unwrap();
}

#[test]
fn the_counters_directory_keeps_the_group_that_it_inherits() {
    let dir = tempdir().unwrap();
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o2775)).unwrap();
    let lock = Lock::options(dir.path().join("lock")).mode(0o664).fencing(true).build().unwrap();
    fs::create_dir(dir.path().join("other")).unwrap();
    let inherited = mode(&dir.path().join("other")) & 0o2000; // on Linux
    lock.lock().unwrap().unlock().unwrap();
    assert_eq!(mode(&dir.path().join("lock.fence")), 0o775 | inherited);
}

#[test]
fn a_mode_is_refused_that_is_no_plain_files_or_locks_its_owner_out() {
    for mode in [0, 0o066, 0o400, 0o200, 0o700, 0o755, 0o1666, 0o4644, 0o10_0644] {
        let error = Lock::options("lock").mode(mode).build().unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{mode:o}: {error:?}");
        assert!(error.to_string().contains(&format!("the mode {mode:o} must")), "{error}");
    }
}
