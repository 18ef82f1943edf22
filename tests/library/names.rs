//! Odd names: any bytes that a path can have, as long as claims can be recognised.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::kit::this_test;
use crate::kit::{elsewhere, names, same_inode};
use linklock::{Error, Lock, LockOptions, State};
use tempfile::tempdir;

const MINUTE: Duration = Duration::from_secs(60);

/// The whole life of a lock, with contention and a takeover.
#[track_caller]
fn works(options: &LockOptions) {
    let lock = options.clone().build().unwrap();
    let dir = lock.path().parent().unwrap();
    let before = names(dir);
    let guard = lock.lock().unwrap();
    assert_eq!(fs::read(lock.path()).unwrap(), guard.claim_path().as_os_str().as_bytes());
    let other = options.clone().build().unwrap();
    let error = other.try_lock().unwrap_err();
    assert_eq!(error.holder().unwrap().claim_path(), guard.claim_path());
    assert_eq!(other.state().unwrap(), State::Ours);
    guard.refresh().unwrap();
    let broken = other.break_if(|_| true).unwrap().unwrap();
    assert_eq!(broken.claim_path(), guard.claim_path());
    assert!(guard.unlock().unwrap_err().is_lost());
    other.lock().unwrap().unlock().unwrap();
    assert_eq!(names(dir), before);
}

#[track_caller]
fn is_refused(options: &LockOptions, why: &str) {
    let error = options.clone().build().unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{options:?}: {error:?}");
    let message = error.to_string();
    assert!(message.contains(why), "{message}");
    assert!(message.contains(&error.path().display().to_string()), "{message}");
}

#[test]
fn a_name_may_have_any_bytes() {
    let dir = tempdir().unwrap();
    for name in [
        &b"with spaces"[..],
        b" leading and trailing ",
        b"new\nline",
        b"trailing\n",
        b"-rf",
        b"*?[]{}$`'\"\\",
        b"\xff\xfe not UTF-8 \x80",
        "\u{1F512}".as_bytes(),
        b"\x01\x7f\x1b[2J",
        b".hidden",
        b"...",
        b"a",
    ] {
        works(&Lock::options(dir.path().join(OsStr::from_bytes(name))));
    }
}

#[test]
fn the_directory_and_the_host_may_have_any_bytes_too() {
    let dir = tempdir().unwrap();
    let odd = dir.path().join(OsStr::from_bytes(b"a b\n\xff"));
    fs::create_dir(&odd).unwrap();
    works(&Lock::options(odd.join("lock")));
    for host in [&b"mars.example.org"[..], b"a b\n", b"\xff", b"break", b"aside", b"1", b".", b".."]
    {
        works(&Lock::options(odd.join("lock")).host_name(OsStr::from_bytes(host)));
    }
}

#[test]
fn the_separator_must_not_occur_in_the_path_or_the_host() {
    let dir = tempdir().unwrap();
    let with_bar = dir.path().join("this|that");
    is_refused(&Lock::options(&with_bar), "separator occurs in the path");
    works(&Lock::options(&with_bar).separator('+'));
    fs::create_dir(&with_bar).unwrap();
    is_refused(&Lock::options(with_bar.join("lock")), "separator occurs in the path");
    works(&Lock::options(with_bar.join("lock")).separator('+'));

    let plain = dir.path().join("plain");
    for host in ["a|b", "a/b", "", "a\0b"] {
        is_refused(&Lock::options(&plain).host_name(host), "host name");
    }
    works(&Lock::options(&plain).host_name("a|b").separator('+'));
}

#[test]
fn any_separator_works_that_is_no_letter_digit_slash_or_control_character() {
    let dir = tempdir().unwrap();
    let options = Lock::options(dir.path().join("lock")).host_name("mars");
    // ASCII, two, three and four bytes; one whose bytes overlap those of another.
    for good in ['|', '+', ':', '%', ' ', '\\', '\u{a7}', '\u{2192}', '\u{1F512}', '\u{a9}'] {
        works(&options.clone().separator(good));
    }
    for bad in ['a', 'Z', '0', 'é', '字', '٣', '/', '\0', '\n', '\x7f'] {
        is_refused(&options.clone().separator(bad), "separator");
    }
}

/// `ä` ends with the same byte as `¤`: only all bytes of a separator are one.
#[test]
fn a_separator_of_several_bytes_may_have_its_last_in_the_name() {
    let dir = tempdir().unwrap();
    works(&Lock::options(dir.path().join("sch\u{e4}fer")).separator('\u{a4}'));
}

#[test]
fn locks_with_different_separators_do_not_interfere() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let (bar, plus) = (Lock::options(&path), Lock::options(&path).separator('+'));
    let guard = bar.build().unwrap().lock().unwrap();
    let error = plus.clone().build().unwrap().try_lock().unwrap_err();
    assert!(
        matches!(error, Error::Held { .. }),
        "a lock that can't be read is respected: {error:?}"
    );
    assert!(plus.build().unwrap().sweep().unwrap().is_empty());
    guard.unlock().unwrap();
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_name_whose_claims_would_be_too_long_is_refused_when_the_lock_is_built() {
    let dir = tempdir().unwrap();
    let named = |length| Lock::options(dir.path().join("l".repeat(length))).host_name("mars");
    let longest = (1..=255).take_while(|length| named(*length).build().is_ok()).last().unwrap();
    assert!(longest > 100, "{longest}");
    works(&named(longest));
    for length in [longest + 1, 255, 256, 5000] {
        is_refused(&named(length), "longer than 255 bytes");
    }
    let host = "h".repeat(256);
    is_refused(&Lock::options(dir.path().join("lock")).host_name(host), "longer than 255 bytes");
}

#[test]
fn a_path_that_names_no_file_is_refused() {
    for path in ["", "/", "..", "/tmp/..", "some/../.."] {
        is_refused(&Lock::options(path), "has no file name");
    }
    is_refused(&Lock::options("nul\0byte"), "NUL");
}

#[test]
fn a_handle_for_another_lock_of_the_directory_is_like_one_from_options() {
    let dir = tempdir().unwrap();
    let options =
        |name: &str| Lock::options(dir.path().join(name)).lifetime(MINUTE).host_name("mars");
    let one = options("one").build().unwrap();
    for name in ["two", " ", "n\u{e4}me"] {
        let two = one.with_file_name(name).unwrap();
        assert_eq!((two.lifetime(), two.host_name()), (MINUTE, OsStr::new("mars")));
        let (guard, _one) = (two.lock().unwrap(), one.lock().unwrap());
        let same = options(name).build().unwrap();
        assert_eq!(same.holder().unwrap().unwrap().claim_path(), guard.claim_path());
        assert!(matches!(same.try_lock(), Err(Error::Held { .. })));
        guard.unlock().unwrap();
    }
    for wrong in ["", ".", "..", "/", "sub/two", "../two", "/two", "two|", "nul\0byte"] {
        let error = one.with_file_name(wrong).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{wrong}: {error:?}");
    }
    assert!(one.with_file_name("l".repeat(255)).is_err());
}

#[test]
fn a_trailing_slash_does_not_matter() {
    let dir = tempdir().unwrap();
    let plain = Lock::new(dir.path().join("lock")).unwrap();
    let mut slashed = dir.path().join("lock").into_os_string();
    slashed.push("//");
    let slashed = Lock::new(slashed).unwrap();
    assert_eq!(slashed.path(), plain.path());
    let guard = slashed.lock().unwrap();
    assert!(matches!(plain.try_lock(), Err(Error::Held { .. })));
    guard.unlock().unwrap();
}

/// The working directory belongs to the whole process, so this test has one of its own.
#[test]
fn a_relative_path_is_made_absolute_when_the_lock_is_built() {
    let Some(dir) = elsewhere::arrived() else {
        let dir = tempdir().unwrap();
        fs::create_dir(dir.path().join("other")).unwrap();
        let this = std::env::current_exe().unwrap();
        let mut command = Command::new(this);
        command.current_dir(dir.path());
        let test = this_test!();
        return elsewhere::go(test, &mut command, dir.path());
    };
    let lock = Lock::new("lock").unwrap();
    let through_dots = Lock::new("./other/../lock").unwrap();
    assert_eq!(lock.path(), dir.join("lock"));
    std::env::set_current_dir("other").unwrap();
    let guard = lock.lock().unwrap();
    assert!(same_inode(&dir.join("lock"), guard.claim_path()));
    assert!(names(&dir.join("other")).is_empty());
    assert!(matches!(through_dots.try_lock(), Err(Error::Held { .. })));
    std::env::set_current_dir("/").unwrap();
    guard.refresh().unwrap();
    guard.unlock().unwrap();
    assert_eq!(names(&dir), ["other"]);
}

/// flufl.lock writes the path as its user gave it, so contents may differ in everything but the
/// name.
#[test]
fn content_with_another_path_to_the_same_directory_is_read() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    for prefix in ["", "./", "/another/mount/", "/tmp/../x//"] {
        let name = OsString::from("lock|mars|4711|815");
        let claim: PathBuf = dir.path().join(&name);
        fs::write(&claim, format!("{prefix}lock|mars|4711|815\n")).unwrap();
        fs::hard_link(&claim, &path).unwrap();
        let holder = Lock::new(&path).unwrap().holder().unwrap().unwrap();
        assert_eq!((holder.host(), holder.pid()), (OsStr::new("mars"), 4711));
        assert_eq!(holder.claim_path(), claim);
        for file in [Path::new(&path), &claim] {
            fs::remove_file(file).unwrap();
        }
    }
}
