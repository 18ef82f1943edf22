//! Our own dotlock, as other programs see it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime};

use nix::sys::stat::{Mode, umask};

use super::scene::Scene;
use crate::kit::set_lease_end;
use crate::kit::this_test;

#[test]
fn it_is_the_kind_that_every_program_recognises() {
    let scene = Scene::new();
    let guard = scene.lock().lock().unwrap();
    assert_eq!(guard.dotlock_path(), scene.dotlock);
    assert_eq!(fs::read(&scene.dotlock).unwrap(), b"0\n");
    let meta = fs::symlink_metadata(&scene.dotlock).unwrap();
    assert_eq!(meta.mode() & 0o7777, 0o644);
    assert_eq!(meta.nlink(), 1);
    let age = SystemTime::now().duration_since(meta.modified().unwrap()).unwrap_or_default();
    assert!(age < Duration::from_secs(30), "its date is now: {age:?}");
    assert_eq!(scene.beside(), ["joe.lock"], "the name under which it was made is gone");
    guard.unlock().unwrap();
    assert!(scene.beside().is_empty());
}

/// In a process of its own, since the umask belongs to the whole process.
#[test]
fn its_mode_is_the_same_under_any_umask() {
    let scene = Scene::new();
    if let Some(dir) = crate::kit::elsewhere::arrived() {
        umask(Mode::from_bits_truncate(0o077));
        let mbox = dir.join("joe");
        let _guard = linklock::mailbox::MailboxLock::new(&mbox).unwrap().lock().unwrap();
        let mode = fs::metadata(dir.join("joe.lock")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o644);
        return;
    }
    let mut this = std::process::Command::new("/proc/self/exe");
    crate::kit::elsewhere::go(this_test!(), &mut this, scene.dir.path());
}

#[test]
fn a_refresh_makes_its_date_the_present() {
    let scene = Scene::new();
    let guard = scene.lock().lock().unwrap();
    let then = SystemTime::now() - Duration::from_secs(3600);
    set_lease_end(&scene.dotlock, then);
    guard.refresh().unwrap();
    let date = fs::metadata(&scene.dotlock).unwrap().modified().unwrap();
    assert!(date > then + Duration::from_secs(3000));
    guard.unlock().unwrap();
}

#[test]
fn nothing_is_left_when_the_mailbox_is_taken() {
    let scene = Scene::new();
    scene.dotlock_of("0", 0o444);
    let _ = scene.lock().try_lock().unwrap_err();
    assert_eq!(scene.beside(), ["joe.lock"]);
    assert_eq!(fs::read(&scene.dotlock).unwrap(), b"0");
}
