//! Whatever a file system does, a lock works there, or is refused before it is held.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::kit::elsewhere::{arrived, go_with_mount};
use crate::kit::fuse::{Changes, Dates, Faults, Faulty, MOUNT, Request};
use crate::kit::{names, snapshot, this_test, wait_until};
use linklock::mailbox::MailboxLock;
use linklock::{Error, Lock, Obstacle, Operation, Owner, RwLock, Slots, State};
use tempfile::tempdir;

/// Goes on with the file system mounted.
fn go(test: &str) {
    let dir = tempdir().unwrap();
    go_with_mount(test, dir.path(), MOUNT);
}

/// The lock is refused at once, each time, by an error that names the mount and contains this part;
/// nothing is left behind.
#[track_caller]
fn is_refused(dir: &Path, file: &str, says: &[&str]) {
    for _ in 0..2 {
        let begun = Instant::now();
        let lock = Lock::options(dir.join(file)).host_name("vm").build().unwrap();
        let error = lock.try_lock_for(Duration::from_secs(30)).unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(10), "{error}");
        assert!(
            matches!(error, Error::NoHardLinks { .. } | Error::UnsupportedFileSystem { .. }),
            "{error:?}"
        );
        let message = error.to_string();
        let mount = format!("fuse from faulty on {}", dir.display());
        for part in says.iter().chain([&&*mount]) {
            assert!(message.contains(part), "no {part:?} in {message}");
        }
        assert!(names(dir).is_empty(), "{:?}, {error}", names(dir));
    }
}

/// The lock is held, excludes others, and is refreshed and released; its lease is written.
#[track_caller]
fn works(dir: &Path, file: &str) {
    let lock = |slop| {
        let options = Lock::options(dir.join(file)).host_name("vm");
        options.clock_slop(Duration::from_millis(slop)).lifetime(Duration::from_secs(30))
    };
    let lock = |slop| lock(slop).build().unwrap();
    let guard = lock(10_000).try_lock_for(Duration::from_secs(20)).unwrap();
    for _ in 0..2 {
        let written = fs::metadata(dir.join(file)).unwrap().modified().unwrap();
        let left = written.duration_since(SystemTime::now()).unwrap_or_default();
        assert!(left + Duration::from_millis(500) > guard.remaining(), "{left:?} are written");
        let error = lock(100).try_lock_for(Duration::from_millis(300)).unwrap_err();
        assert!(error.is_contention(), "{error}");
        guard.refresh().unwrap();
        guard.verify().unwrap();
    }
    guard.unlock().unwrap();
    assert!(names(dir).is_empty(), "{:?}", names(dir));
}

// ---- dates ----

#[test]
fn a_date_that_is_stored_only_together_with_the_other() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    Faulty::serve(Faults { dates: Dates::NeedBoth, ..Faults::default() });
    works(&dir, "x.lock");
}

#[test]
fn dates_that_are_not_kept() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    let place = Faulty::serve(Faults::default());
    for dates in [Dates::Ignored, Dates::Coarse(3600)] {
        place.set(Faults { dates, ..Faults::default() });
        is_refused(&dir, "x.lock", &["does not keep the dates"]);
    }
    for errno in [libc::ENOSYS, libc::EPERM, libc::EINVAL, libc::EIO, libc::EACCES, libc::EROFS] {
        let refuses = Some((Request::SetAttributes, errno));
        place.set(Faults { refuses, ..Faults::default() });
        is_refused(&dir, "x.lock", &["does not keep the dates"]);
    }
}

#[test]
fn dates_to_a_second_or_two() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    let place = Faulty::serve(Faults::default());
    for unit in [1, 2] {
        place.set(Faults { dates: Dates::Coarse(unit), ..Faults::default() });
        works(&dir, "x.lock");
    }
}

#[test]
fn dates_that_end_before_the_lease() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    let soon = SystemTime::now() + Duration::from_secs(5);
    let soon = soon.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    Faulty::serve(Faults { dates: Dates::Until(soon), ..Faults::default() });
    is_refused(&dir, "x.lock", &["does not keep the dates"]);
}

#[test]
fn dates_that_are_lost_at_close() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    Faulty::serve(Faults { dates: Dates::LostAtClose, ..Faults::default() });
    works(&dir, "x.lock");
}

/// So encfs. It keeps dates nevertheless.
#[test]
fn dates_that_a_rename_truncates() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    Faulty::serve(Faults { renames_truncate_dates: true, ..Faults::default() });
    works(&dir, "x.lock");
    let (path, limit) = (dir.join("x.lock"), Duration::from_secs(20));
    // Of the slots of a set, one drawn at random is swept, and its claim is touched once more then.
    for _ in 0..10 {
        let slots = Slots::new(&path, 8).unwrap();
        slots.try_lock_for(limit).unwrap().into_guard().unlock().unwrap();
        let lock = RwLock::new(&path).unwrap();
        lock.try_read_for(limit).unwrap().unlock().unwrap();
        lock.try_write_for(limit).unwrap().unlock().unwrap();
    }
    let lock = Lock::options(&path).keep_claim(true).build().unwrap();
    for _ in 0..3 {
        lock.try_lock_for(limit).unwrap().unlock().unwrap();
    }
    drop(lock);
    assert!(names(&dir).is_empty(), "{:?}", names(&dir));
}

/// A lock is handed over by a rename.
#[test]
fn a_lock_that_is_handed_over_where_a_rename_truncates_dates() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    Faulty::serve(Faults { renames_truncate_dates: true, ..Faults::default() });
    let lock = Lock::new(dir.join("x.lock")).unwrap();
    let has_whole_lease = |begun: SystemTime| {
        let written = fs::metadata(lock.path()).unwrap().modified().unwrap();
        let short = (begun + lock.lifetime()).duration_since(written);
        assert!(short.is_err(), "its lease is short of {short:?}");
    };
    for _ in 0..5 {
        let guard = lock.try_lock_for(Duration::from_secs(20)).unwrap();
        let begun = SystemTime::now();
        let claim = guard.detach(Owner::Lease).unwrap();
        has_whole_lease(begun);
        let begun = SystemTime::now();
        let guard = lock.adopt(claim).unwrap();
        has_whole_lease(begun);
        guard.unlock().unwrap();
    }
    assert!(names(&dir).is_empty(), "{:?}", names(&dir));
}

/// The time of a file's last change is the server's clock, by which others' leases are judged.
#[test]
fn changes_that_are_not_dated() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    let place = Faulty::serve(Faults::default());
    for changes in [Changes::AtCreation, Changes::Never] {
        place.set(Faults { changes, ..Faults::default() });
        is_refused(&dir, "x.lock", &["last changed"]);
    }
}

/// Time stamps in whole seconds jump by a second at a time, but the clock does not.
#[test]
fn what_the_dead_leave_where_time_stamps_are_coarse() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    let place = Faulty::serve(Faults::default());
    for unit in [1, 2] {
        let (dates, changes) = (Dates::Coarse(unit), Changes::Coarse(unit));
        place.set(Faults { dates, changes, ..Faults::default() });
        works(&dir, "x.lock");
        let lock = |host| {
            let options = Lock::options(dir.join("x.lock")).host_name(host);
            let options = options.lifetime(Duration::from_millis(500));
            options.clock_slop(Duration::from_secs(1)).rw_lock().unwrap()
        };
        // A reader of another host's, which is gone with all its files left.
        let (dead, sweeper) = (lock("one"), lock("two"));
        std::mem::forget(dead.try_read_for(Duration::from_secs(20)).unwrap());
        std::mem::forget(dead);
        assert_eq!(names(&dir).len(), 3, "its lock, and two claims: {:?}", names(&dir));
        wait_until("all is swept", || {
            sweeper.sweep().unwrap();
            names(&dir).is_empty()
        });
    }
}

/// Then a lock file does not show how long its lease was when it was written.
#[test]
fn a_long_lease_where_the_change_has_the_date_of_the_lease() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    Faulty::serve(Faults { changes: Changes::AsMtime, ..Faults::default() });
    works(&dir, "x.lock");
    let lock = |host, lifetime| {
        let options = Lock::options(dir.join("x.lock")).host_name(host).lifetime(lifetime);
        options.clock_slop(Duration::from_millis(200)).build().unwrap()
    };
    let (long, short) = (Duration::from_secs(60), Duration::from_millis(300));
    let guard = lock("one", long).lock().unwrap();
    let error = lock("two", short).try_lock_for(Duration::from_secs(3)).map(drop).unwrap_err();
    assert!(error.is_contention(), "{error}");
    guard.refresh().unwrap();
    guard.verify().unwrap();
    let written = fs::metadata(dir.join("x.lock")).unwrap().modified().unwrap();
    let left = written.duration_since(SystemTime::now()).unwrap();
    assert!(left < long + short, "the lease grows: {left:?} are left");
    guard.unlock().unwrap();
    // It ends nevertheless.
    lock("one", 4 * short).lock().unwrap().detach(Owner::Lease).unwrap();
    lock("two", short).try_lock_for(Duration::from_secs(20)).unwrap().unlock().unwrap();
}

// ---- hard links ----

/// A lock that waits without a limit comes to an end, too.
#[test]
fn inode_numbers_that_change() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    Faulty::serve(Faults { inodes_change: true, ..Faults::default() });
    is_refused(&dir, "x.lock", &["another inode number"]);
    Lock::new(dir.join("x.lock")).unwrap().lock().unwrap_err();
}

#[test]
fn two_names_with_two_inode_numbers() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    let place = Faulty::serve(Faults::default());
    for dates in [Dates::Kept, Dates::Ignored, Dates::NeedBoth] {
        place.set(Faults { two_inodes: true, dates, ..Faults::default() });
        is_refused(&dir, "x.lock", &[]);
    }
    place.set(Faults { two_inodes: true, ..Faults::default() });
    is_refused(&dir, "x.lock", &["no hard links", "another inode number"]);
}

#[test]
fn links_that_are_not_counted() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    Faulty::serve(Faults { counts_no_links: true, ..Faults::default() });
    is_refused(&dir, "x.lock", &["no hard links", "not counted"]);
}

#[test]
fn links_that_are_refused() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    let place = Faulty::serve(Faults::default());
    for errno in [
        libc::EPERM,
        libc::ENOSYS,
        libc::EOPNOTSUPP,
        libc::EIO,
        libc::EISDIR,
        libc::ELOOP,
        libc::EBADF,
        libc::ENOKEY,
        libc::EREMOTEIO,
        libc::ERANGE,
        libc::EXDEV,
        libc::EINVAL,
        libc::EACCES,
        libc::ENOENT,
        libc::EEXIST,
        libc::EROFS,
        libc::ENOTDIR,
    ] {
        place.set(Faults { refuses: Some((Request::Link, errno)), ..Faults::default() });
        is_refused(&dir, "x.lock", &["no hard links"]);
    }
}

/// A lock may still be refused after its first tenure through a handle.
#[test]
fn a_file_system_that_loses_a_feature() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    let place = Faulty::serve(Faults::default());
    let lock = Lock::new(dir.join("x.lock")).unwrap();
    for faults in [
        Faults { two_inodes: true, ..Faults::default() },
        Faults { counts_no_links: true, ..Faults::default() },
        Faults { dates: Dates::Ignored, ..Faults::default() },
        Faults { refuses: Some((Request::Link, libc::EXDEV)), ..Faults::default() },
    ] {
        place.set(Faults::default());
        lock.lock().unwrap().unlock().unwrap();
        let what = format!("{faults:?}");
        place.set(faults);
        let error = lock.try_lock_for(Duration::from_secs(30)).unwrap_err();
        assert!(
            matches!(error, Error::NoHardLinks { .. } | Error::UnsupportedFileSystem { .. }),
            "{what}: {error:?}"
        );
        assert!(names(&dir).is_empty(), "{what}: {:?}", names(&dir));
    }
}

/// A dotlock of our own is not taken for another program's.
#[test]
fn mailboxes_without_hard_links() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    let place = Faulty::serve(Faults::default());
    fs::write(dir.join("mbox"), "").unwrap();
    let lock = || MailboxLock::new(dir.join("mbox")).unwrap();
    for faults in [
        Faults { two_inodes: true, ..Faults::default() },
        Faults { inodes_change: true, ..Faults::default() },
        Faults { refuses: Some((Request::Link, libc::ENOTDIR)), ..Faults::default() },
    ] {
        let what = format!("{faults:?}");
        place.set(faults);
        for _ in 0..2 {
            let error = lock().try_lock().unwrap_err();
            assert!(matches!(error, Error::NoHardLinks { .. }), "{what}: {error:?}");
            assert_eq!(names(&dir), ["mbox"], "{what}");
        }
    }
    place.set(Faults::default());
    lock().try_lock().unwrap().unlock().unwrap();
    assert_eq!(names(&dir), ["mbox"]);
}

// ---- names ----

/// A lock that is acquired can be released; all others are refused.
#[test]
fn names_of_few_bytes() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    let place = Faulty::serve(Faults::default());
    let mut worked = 0;
    for (most, told) in [(143, 143), (60, 60), (143, 255)] {
        place.set(Faults { name_max: Some((most, told)), ..Faults::default() });
        let is_limited = usize::try_from(told) == Ok(most);
        for length in (6..=most).step_by(3) {
            let file = format!("{}.lock", "n".repeat(length - 5));
            let lock = Lock::options(dir.join(&file)).host_name("vm").build().unwrap();
            match lock.try_lock() {
                Ok(guard) => {
                    worked += 1;
                    guard.unlock().unwrap();
                    assert!(names(&dir).is_empty(), "{length} of {most}: {:?}", names(&dir));
                }
                Err(Error::UnsupportedFileSystem { .. }) => {
                    let said = most.to_string();
                    let said: &[&str] = if is_limited { &[&said] } else { &[] };
                    is_refused(&dir, &file, said);
                }
                Err(error) => panic!("{length} of {most}: {error:?}"),
            }
        }
    }
    assert!(worked > 40, "only {worked} locks were acquired");
}

#[test]
fn names_that_may_not_have_the_separator() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    Faulty::serve(Faults { bad_byte: Some(b'|'), ..Faults::default() });
    is_refused(&dir, "x.lock", &["separator"]);
    let lock = Lock::options(dir.join("x.lock")).separator('+').build().unwrap();
    lock.lock().unwrap().unlock().unwrap();
}

#[test]
fn a_lock_by_another_spelling() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    Faulty::serve(Faults { folds_case: true, ..Faults::default() });
    let short = |file| {
        let options = Lock::options(dir.join(file)).lifetime(Duration::from_millis(200));
        options.clock_slop(Duration::from_millis(200)).build().unwrap()
    };
    let guard = Lock::new(dir.join("x.lock")).unwrap().lock().unwrap();
    let other = Lock::new(dir.join("X.Lock")).unwrap();
    let error = other.try_lock().unwrap_err();
    let holder = error.holder().unwrap_or_else(|| panic!("{error}"));
    assert_eq!(holder.pid(), std::process::id());
    assert_ne!(other.state().unwrap(), State::Unlocked);
    assert_ne!(other.state().unwrap(), State::Unknown);
    guard.unlock().unwrap();
    other.lock().unwrap().unlock().unwrap();
    assert!(names(&dir).is_empty());

    // A dead holder's lock can be taken over, and broken.
    for _ in 0..2 {
        std::mem::forget(short("x.lock").lock().unwrap());
        short("X.Lock").try_lock_for(Duration::from_secs(20)).unwrap().unlock().unwrap();
        assert!(names(&dir).is_empty(), "{:?}", names(&dir));
        std::mem::forget(Lock::new(dir.join("x.lock")).unwrap().lock().unwrap());
        other.break_if(|_| true).unwrap();
        assert!(names(&dir).is_empty(), "{:?}", names(&dir));
    }
}

// ---- renaming and removing ----

#[test]
fn files_that_can_not_be_renamed() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    let place = Faulty::serve(Faults::default());
    for errno in [libc::EXDEV, libc::ENOSYS, libc::EPERM, libc::EOPNOTSUPP, libc::EIO, libc::ENOENT]
    {
        place.set(Faults { refuses: Some((Request::Rename, errno)), ..Faults::default() });
        is_refused(&dir, "x.lock", &["rename"]);
    }
}

/// A lock that was acquired before renames failed can be released, and broken.
#[test]
fn a_lock_file_that_can_not_be_renamed() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    let place = Faulty::serve(Faults { pins_lock_file: true, ..Faults::default() });
    works(&dir, "x.lock");
    let lock = Lock::new(dir.join("x.lock")).unwrap();
    std::mem::forget(lock.lock().unwrap());
    Lock::new(dir.join("x.lock")).unwrap().break_if(|_| true).unwrap();
    assert!(names(&dir).is_empty(), "{:?}", names(&dir));
    place.set(Faults::default());
    let guard = lock.clone().lock().unwrap();
    let refusing = |errno| Faults { refuses: Some((Request::Rename, errno)), ..Faults::default() };
    place.set(refusing(libc::EXDEV));
    guard.unlock().unwrap();
    assert!(names(&dir).is_empty(), "{:?}", names(&dir));
    for errno in [libc::EPERM, libc::EACCES, libc::EIO, libc::ENOTDIR] {
        place.set(Faults::default());
        let guard = Lock::new(dir.join("y.lock")).unwrap().lock().unwrap();
        place.set(refusing(errno));
        guard.unlock().unwrap();
        assert!(names(&dir).is_empty(), "{errno}: {:?}", names(&dir));
    }
}

#[test]
fn files_that_keep_their_old_names() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    Faulty::serve(Faults { keeps_old_names: true, ..Faults::default() });
    is_refused(&dir, "x.lock", &["keeps the old name"]);
}

#[test]
fn files_that_can_not_be_removed() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    let place = Faulty::serve(Faults::default());
    let refusing = |errno| Faults { refuses: Some((Request::Unlink, errno)), ..Faults::default() };
    let cases = [libc::EPERM, libc::EIO, libc::ENOTDIR].map(refusing);
    for faults in cases.into_iter().chain([Faults { keeps_removed: true, ..Faults::default() }]) {
        let what = format!("{faults:?}");
        place.set(faults);
        let error = Lock::new(dir.join("x.lock")).unwrap().try_lock().unwrap_err();
        assert!(matches!(error, Error::UnsupportedFileSystem { .. }), "{what}: {error:?}");
        assert!(error.to_string().contains("remove"), "{error}");
        assert!(error.to_string().contains(&format!("on {} ", dir.display())), "{error}");
        assert!(!dir.join("x.lock").exists(), "no process has to wait for it");
    }
}

/// The error says why, and what may stay.
#[test]
fn files_that_can_not_be_looked_up() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    let place = Faulty::serve(Faults::default());
    for errno in [libc::ENOTDIR, libc::EIO] {
        place.set(Faults { hides_files: Some(errno), ..Faults::default() });
        let error = Lock::new(dir.join("x.lock")).unwrap().try_lock().unwrap_err();
        assert!(matches!(error, Error::UnsupportedFileSystem { .. }), "{errno}: {error:?}");
        let claim = names(&dir).pop().unwrap();
        for part in [&*format!(" on {} does not let", dir.display()), claim.to_str().unwrap()] {
            assert!(error.to_string().contains(part), "no {part:?} in {error}");
        }
        place.set(Faults::default());
        fs::remove_file(dir.join(&claim)).unwrap();
        assert!(names(&dir).is_empty(), "one name");
    }
}

// ---- others ----

#[test]
fn a_file_that_is_busy_after_its_other_name_was_used() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    Faulty::serve(Faults { is_busy_after_other_name: true, ..Faults::default() });
    works(&dir, "x.lock");
    let lock = Lock::new(dir.join("x.lock")).unwrap();
    let guard = lock.lock().unwrap();
    let error = lock.clone().try_lock().unwrap_err();
    assert!(error.holder().is_some(), "{error}");
    guard.unlock().unwrap();
}

#[test]
fn a_mount_without_information() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    Faulty::serve(Faults { refuses: Some((Request::StatFs, libc::ENOSYS)), ..Faults::default() });
    works(&dir, "x.lock");
}

/// A transient error is not taken for a missing feature.
#[test]
fn a_file_system_that_refuses_a_step() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    let place = Faulty::serve(Faults::default());
    fs::write(dir.join("other"), "save me").unwrap();
    let before = snapshot(&dir);
    for errno in [libc::EDQUOT, libc::ENOSPC] {
        for (request, operation) in [
            (Request::Create, Operation::Create),
            (Request::Write, Operation::Create),
            (Request::SetAttributes, Operation::Create), // a claim is made with its date
            (Request::Link, Operation::Link),
        ] {
            place.set(Faults { refuses: Some((request, errno)), ..Faults::default() });
            let error = Lock::new(dir.join("lock")).unwrap().lock().unwrap_err();
            let Error::Io { operation: failed, error: cause, .. } = &error else {
                panic!("{error:?}")
            };
            assert_eq!((*failed, cause.raw_os_error()), (operation, Some(errno)), "{error}");
            assert_eq!(snapshot(&dir), before, "{request:?}, {errno}");
        }
    }
}

/// Where the user declares that an error may be transient, the lock waits and tries again.
#[test]
fn errnos_that_are_waited_out() {
    let Some(dir) = arrived() else { return go(this_test!()) };
    let place = Faulty::serve(Faults::default());
    let path = dir.join("lock");
    fs::write(&path, "save me").unwrap();
    place.set(Faults { refuses: Some((Request::Open, libc::EIO)), ..Faults::default() });
    let error = Lock::new(&path).unwrap().lock().unwrap_err();
    assert!(matches!(error, Error::Io { operation: Operation::Read, .. }), "{error:?}");
    let patient = Lock::options(&path).retry_errnos([libc::EIO]).build().unwrap();
    let error = patient.try_lock_for(Duration::from_millis(20)).unwrap_err();
    let Error::TimedOut { obstacle, .. } = &error else { panic!("{error:?}") };
    assert!(matches!(**obstacle, Obstacle::Unreadable(_)), "{error:?}");
    assert_eq!(names(&dir), ["lock"]);
}
