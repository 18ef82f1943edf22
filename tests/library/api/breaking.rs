//! Ending another's tenure: by policy when acquiring, and by `break_if`.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, SystemTime};

use linklock::{Error, Holder, Lock, LockFile, StalePolicy, Successor};
use tempfile::tempdir;

use crate::kit::{
    HOUR, beside, far_off, lock_like_flufl, long_ago, names, set_lease_end, snapshot, wait_until,
};

#[test]
fn break_if_ends_even_a_lease_that_runs() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let lock = Lock::new(&path).unwrap();
    let guard = lock.lock().unwrap();

    let broken = Lock::new(&path).unwrap().break_if(|_| true).unwrap().unwrap();
    assert_eq!(broken.claim_path(), guard.claim_path());
    assert!(names(dir.path()).is_empty());
    let error = guard.refresh().unwrap_err();
    assert!(matches!(error, Error::Lost { now: Successor::Nobody, .. }), "{error:?}");
}

/// Even if it keeps its claim, which spares it other looks.
#[test]
fn a_holder_that_was_broken_leaves_the_next_ones_lock_alone() {
    for keeps_claim in [false, true] {
        let dir = tempdir().unwrap();
        let path = dir.path().join("lock");
        let lock = Lock::options(&path).keep_claim(keeps_claim).build().unwrap();
        for _ in 0..2 {
            let guard = lock.lock().unwrap();
            let next = Lock::new(&path).unwrap();
            next.break_if(|_| true).unwrap().unwrap();
            let others = next.try_lock().unwrap();
            let error = guard.unlock().unwrap_err();
            assert!(matches!(error, Error::Lost { .. }), "{error:?}");
            others.unlock().unwrap();
        }
    }
}

#[test]
fn break_if_shows_the_condition_who_holds_the_lock() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let claim = lock_like_flufl(&path, far_off());
    Lock::new(&path)
        .unwrap()
        .break_if(|holder| {
            assert_eq!((holder.host(), holder.pid()), ("elsewhere".as_ref(), 4711));
            assert_eq!(holder.claim_path(), claim);
            assert!(!holder.is_expired() && holder.idle() < HOUR);
            assert!(holder.expires_at() > SystemTime::now() + HOUR / 2);
            assert!(holder.refreshed_at() < SystemTime::now() + HOUR / 2);
            true
        })
        .unwrap()
        .unwrap();
}

#[test]
fn break_if_leaves_everything_as_it_is_when_the_condition_says_no() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let guard = Lock::new(&path).unwrap().lock().unwrap();
    let before = snapshot(dir.path());
    assert_eq!(Lock::new(&path).unwrap().break_if(|_| false).unwrap(), None);
    assert_eq!(snapshot(dir.path()), before);
    guard.unlock().unwrap();
}

#[test]
fn break_if_asks_again_in_the_seat() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let guard = Lock::new(&path).unwrap().lock().unwrap();
    let before = snapshot(dir.path());
    let asked = Cell::new(0);
    let first_time_only = |_: &_| asked.replace(asked.get() + 1) == 0;
    assert_eq!(Lock::new(&path).unwrap().break_if(first_time_only).unwrap(), None);
    assert_eq!(asked.get(), 2);
    assert_eq!(snapshot(dir.path()), before, "the seat is left");
    guard.verify().unwrap();
}

/// What the break itself does to the files must not count as a refresh.
#[test]
fn break_if_asks_again_about_the_same_age() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let _guard = Lock::new(&path).unwrap().lock().unwrap();
    let lock = Lock::new(&path).unwrap();
    let age = Duration::from_millis(200);
    wait_until("it is old", || lock.holder().unwrap().unwrap().idle() >= 2 * age);
    assert!(lock.break_if(|holder| holder.idle() >= age).unwrap().is_some());

    let _guard = Lock::new(&path).unwrap().lock().unwrap();
    wait_until("it is old", || lock.holder().unwrap().unwrap().idle() >= 2 * age);
    let is_old = |file: &LockFile, holder: Option<&Holder>| {
        file.unchanged_for() >= age && holder.unwrap().idle() >= age
    };
    assert!(lock.break_file_if(is_old).unwrap().is_some());
}

#[test]
fn break_if_does_not_break_a_successor() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let guard = Cell::new(Some(Lock::new(&path).unwrap().lock().unwrap()));
    let next = Lock::new(&path).unwrap();
    let (succeeded, asked) = (Cell::new(None), Cell::new(0));
    let broken = Lock::new(&path).unwrap().break_if(|_| {
        asked.set(asked.get() + 1);
        // In the middle of the break the holder releases the lock, and another process takes it.
        if let Some(guard) = guard.take() {
            guard.unlock().unwrap();
            succeeded.set(Some(next.lock().unwrap()));
        }
        true
    });
    assert_eq!(broken.unwrap(), None);
    assert_eq!(asked.get(), 1, "the condition is not asked about the successor");
    let successor = succeeded.take().unwrap();
    successor.verify().unwrap();
    assert_eq!(beside(&path), [successor.claim_path()]);
}

#[test]
fn break_if_of_a_free_lock_does_nothing() {
    let dir = tempdir().unwrap();
    let lock = Lock::new(dir.path().join("lock")).unwrap();
    assert_eq!(lock.break_if(|_| unreachable!("nobody holds it")).unwrap(), None);
    assert!(names(dir.path()).is_empty());
}

#[test]
fn break_if_does_not_ask_about_other_files() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    fs::write(&path, "save me").unwrap();
    let before = snapshot(dir.path());
    let error =
        Lock::new(&path).unwrap().break_if(|_| unreachable!("it is not a lock")).unwrap_err();
    assert!(matches!(error, Error::Held { .. }), "{error:?}");
    assert_eq!(snapshot(dir.path()), before);
}

#[test]
fn one_of_many_simultaneous_breaks_of_a_lock_succeeds() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    lock_like_flufl(&path, far_off());
    let lock = Lock::new(&path).unwrap();
    let broken = std::thread::scope(|scope| {
        let breakers: Vec<_> = (0..8).map(|_| scope.spawn(|| lock.break_if(|_| true))).collect();
        breakers.into_iter().filter_map(|one| one.join().unwrap().unwrap()).count()
    });
    assert_eq!(broken, 1);
    assert!(names(dir.path()).is_empty());
}

/// Files that have a lock's name but are not locks.
const CONTENTS: [&[u8]; 4] = [b"save me", b"", &[0; 70], b"/somewhere/lock|elsewhe"];

#[test]
fn break_file_if_ends_any_plain_file_and_says_what_it_was() {
    for content in CONTENTS {
        let dir = tempdir().unwrap();
        let path = dir.path().join("lock");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let broken = Lock::new(&path).unwrap().break_file_if(|_, _| true).unwrap().unwrap();
        assert_eq!((broken.size(), broken.permissions()), (content.len() as u64, 0o640));
        assert_eq!(broken.owner(), nix::unistd::geteuid().as_raw());
        assert!(broken.unchanged_for() < HOUR && broken.changed_at() < SystemTime::now() + HOUR);
        assert!(names(dir.path()).is_empty());
    }
}

#[test]
fn break_file_if_ends_a_lock_as_break_if_does() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let guard = Lock::new(&path).unwrap().lock().unwrap();
    let claim = guard.claim_path().to_owned();
    let broken = Lock::new(&path)
        .unwrap()
        .break_file_if(|_, holder| holder.unwrap().claim_path() == claim)
        .unwrap();
    assert_eq!(broken.unwrap().size(), claim.as_os_str().len() as u64);
    assert!(names(dir.path()).is_empty());
    assert!(matches!(guard.refresh(), Err(Error::Lost { now: Successor::Nobody, .. })));
    let lock = Lock::new(&path).unwrap();
    assert_eq!(lock.break_file_if(|_, _| unreachable!("nothing is there")).unwrap(), None);
}

#[test]
fn break_file_if_leaves_anything_but_plain_files() {
    let dir = tempdir().unwrap();
    let victim = dir.path().join("victim");
    fs::write(&victim, "save me").unwrap();
    let plant: [fn(&Path, &Path); 4] = [
        |path, _| fs::create_dir(path).unwrap(),
        |path, victim| std::os::unix::fs::symlink(victim, path).unwrap(),
        |path, _| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRUSR).unwrap(),
        |path, _| drop(std::os::unix::net::UnixListener::bind(path).unwrap()),
    ];
    for (number, plant) in plant.into_iter().enumerate() {
        let path = dir.path().join(format!("lock{number}"));
        plant(&path, &victim);
        let before = snapshot(dir.path());
        let lock = Lock::new(&path).unwrap();
        let error = lock.break_file_if(|_, _| unreachable!("it is no plain file")).unwrap_err();
        assert!(matches!(error, Error::Held { .. }), "{error:?}");
        assert_eq!(snapshot(dir.path()), before);
    }
}

#[test]
fn break_file_if_asks_again_in_the_seat() {
    for content in CONTENTS {
        let dir = tempdir().unwrap();
        let path = dir.path().join("lock");
        fs::write(&path, content).unwrap();
        let before = snapshot(dir.path());
        let asked = Cell::new(0);
        let first_time_only = |_: &_, _: Option<&_>| asked.replace(asked.get() + 1) == 0;
        assert_eq!(Lock::new(&path).unwrap().break_file_if(first_time_only).unwrap(), None);
        assert_eq!(asked.get(), 2);
        assert_eq!(snapshot(dir.path()), before);
    }
}

/// Not even one that has the same inode number, as is usual where an inode was just removed.
#[test]
fn break_file_if_does_not_break_a_successor() {
    for content in CONTENTS {
        let dir = tempdir().unwrap();
        let path = dir.path().join("lock");
        fs::write(&path, content).unwrap();
        let next = Lock::new(&path).unwrap();
        let (succeeded, asked) = (Cell::new(None), Cell::new(0));
        let broken = Lock::new(&path).unwrap().break_file_if(|_, _| {
            asked.set(asked.get() + 1);
            fs::remove_file(&path).unwrap();
            succeeded.set(Some(next.lock().unwrap()));
            true
        });
        assert_eq!((broken.unwrap(), asked.get()), (None, 1), "{content:?}");
        let successor = succeeded.take().unwrap();
        successor.verify().unwrap();
        assert_eq!(beside(&path), [successor.claim_path()]);
    }
}

/// While others break the lock, one thread after the other takes it, and none loses it.
#[test]
fn one_of_many_simultaneous_breaks_of_a_file_succeeds() {
    for content in CONTENTS {
        let dir = tempdir().unwrap();
        let path = dir.path().join("lock");
        fs::write(&path, content).unwrap();
        let lock = Lock::options(&path).stale(StalePolicy::Never).build().unwrap();
        let all_have_looked = Barrier::new(8);
        let breaker = || {
            let is_first = Cell::new(true);
            lock.break_file_if(|_, _| {
                if is_first.replace(false) {
                    all_have_looked.wait();
                }
                true
            })
        };
        let broken = std::thread::scope(|scope| {
            let breakers: Vec<_> = (0..8).map(|_| scope.spawn(breaker)).collect();
            let next = lock.clone().lock().unwrap();
            let broken =
                breakers.into_iter().filter_map(|one| one.join().unwrap().unwrap()).count();
            next.verify().unwrap();
            next.unlock().unwrap();
            broken
        });
        assert_eq!(broken, 1, "{content:?}");
        assert!(names(dir.path()).is_empty());
    }
}

#[test]
fn a_policy_of_never_leaves_even_the_long_expired() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    lock_like_flufl(&path, long_ago());
    let before = snapshot(dir.path());
    let error = Lock::options(&path).stale(StalePolicy::Never).build().unwrap().try_lock();
    assert!(matches!(error, Err(Error::Held { .. })), "{error:?}");
    assert_eq!(snapshot(dir.path()), before);
}

#[test]
fn the_other_policies_take_over_what_has_been_over_for_the_slop() {
    for policy in [StalePolicy::Expired, StalePolicy::ExpiredOrDead] {
        let dir = tempdir().unwrap();
        let path = dir.path().join("lock");
        lock_like_flufl(&path, far_off());
        let slop = Duration::from_secs(60);
        let lock = Lock::options(&path).stale(policy).clock_slop(slop).build().unwrap();
        for (lease_end, is_available) in [
            (far_off(), false),
            (SystemTime::now() - slop / 2, false),
            (SystemTime::now() - slop * 2, true),
        ] {
            set_lease_end(&path, lease_end);
            assert_eq!(lock.try_lock().is_ok(), is_available, "{policy:?}, {lease_end:?}");
        }
    }
}
