//! Odd names, and files that are not mailboxes.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use linklock::Error;
use linklock::mailbox::MailboxLock;
use tempfile::tempdir;

use super::scene::{REST, Scene, make_file};
use crate::kit::elsewhere::{arrived, go_with_mount};
use crate::kit::this_test;

#[test]
fn a_mailbox_may_have_any_name() {
    for name in
        [&b"with blanks"[..], b"\xff\xfe", b"new\nline", b"a|b:c+d", b"-rf", b".joe", b"j.lock"]
    {
        let dir = tempdir().unwrap();
        let mbox = dir.path().join(OsStr::from_bytes(name));
        fs::write(&mbox, "").unwrap();
        let mut dotlock = mbox.clone().into_os_string();
        dotlock.push(".lock");
        make_file(dotlock.as_ref(), "0", 0o444);
        let clock = crate::kit::clock::ManualClock::new();
        let lock = MailboxLock::options(&mbox).clock(clock).build().unwrap();
        let guard = lock.try_lock_for(REST * 2).unwrap(); // after it has broken the other's
        assert_eq!(lock.dotlock_path(), dotlock);
        guard.unlock().unwrap();
        assert_eq!(crate::kit::names(dir.path()), [OsStr::from_bytes(name)]);
    }
}

#[test]
fn a_name_that_is_too_long_is_refused_at_once() {
    let error = MailboxLock::new("/var/mail/".to_owned() + &"x".repeat(240)).unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
    assert!(error.to_string().contains("longer than 255 bytes"), "{error}");
    for path in ["/", "/var/mail/..", ""] {
        assert!(MailboxLock::new(path).is_err(), "{path}");
    }
}

#[test]
fn a_slash_at_the_end_changes_nothing() {
    let scene = Scene::new();
    let path = scene.dir.path().join("joe/");
    assert_eq!(MailboxLock::new(path).unwrap().path(), scene.mbox);
}

#[test]
fn anything_but_a_mailbox_is_refused() {
    let scene = Scene::without_mailbox();
    fs::create_dir(&scene.mbox).unwrap();
    let said = scene.lock().try_lock().unwrap_err().to_string();
    assert!(said.contains("it is a directory: guard it with a lock beside it"), "{said}");
    fs::remove_dir(&scene.mbox).unwrap();
    symlink("/etc/passwd", &scene.mbox).unwrap();
    let said = scene.lock().try_lock().unwrap_err().to_string();
    assert!(said.contains("it is a symbolic link"), "{said}");
    fs::remove_file(&scene.mbox).unwrap();
    nix::unistd::mkfifo(&scene.mbox, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let said = scene.lock().try_lock().unwrap_err().to_string();
    assert!(said.contains("it is not a regular file"), "{said}");
    assert!(scene.beside().is_empty());
}

#[test]
fn a_directory_that_is_gone_is_an_error() {
    let scene = Scene::new();
    let lock = scene.lock();
    fs::remove_dir_all(scene.dir.path()).unwrap();
    let error = lock.try_lock().unwrap_err();
    assert_eq!(error.io_error().map(std::io::Error::kind), Some(std::io::ErrorKind::NotFound));
}

#[test]
fn on_a_full_file_system_nothing_is_left() {
    let Some(dir) = arrived() else {
        let dir = tempdir().unwrap();
        let test = this_test!();
        return go_with_mount(test, dir.path(), r#"mount -t tmpfs -o size=16k tmpfs "$DIR""#);
    };
    let _ = fs::write(dir.join("filling"), vec![0; 1 << 20]).unwrap_err();
    let error = MailboxLock::new(dir.join("joe")).unwrap().try_lock().unwrap_err();
    assert_eq!(
        error.io_error().and_then(std::io::Error::raw_os_error),
        Some(libc::ENOSPC),
        "{error}"
    );
    assert_eq!(crate::kit::names(&dir), ["filling"]);
}

#[test]
fn a_file_system_that_is_read_only_is_an_error() {
    let Some(dir) = arrived() else {
        let dir = tempdir().unwrap();
        let test = this_test!();
        let script = r#"mount -t tmpfs tmpfs "$DIR" && mount -o remount,ro "$DIR""#;
        return go_with_mount(test, dir.path(), script);
    };
    let error = MailboxLock::new(dir.join("joe")).unwrap().try_lock().unwrap_err();
    assert!(matches!(error, Error::Denied { .. }), "{error:?}");
    assert!(error.to_string().contains("Read-only file system"), "{error}");
}
