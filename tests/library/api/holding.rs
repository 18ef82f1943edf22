//! Holding a lock: refresh, verify and release, in time, late, and when it is lost.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use linklock::{Error, Lock, LockGuard, State, Successor};
use tempfile::{TempDir, tempdir};

use crate::kit::clock::ManualClock;
use crate::kit::{HOUR, beside, far_off, lock_like_flufl, names, snapshot};

const LIFETIME: Duration = Duration::from_secs(15);
const LATE: Duration = Duration::from_secs(5);

/// A lock that is held, and a clock by which its holder becomes late.
struct Held {
    dir: TempDir,
    clock: Arc<ManualClock>,
    lock: Lock,
    guard: LockGuard,
}

impl Held {
    fn new() -> Held {
        let dir = tempdir().unwrap();
        let clock = ManualClock::new();
        let options = Lock::options(dir.path().join("lock")).lifetime(LIFETIME);
        let lock = options.clock(clock.clone()).build().unwrap();
        let guard = lock.lock().unwrap();
        Held { dir, clock, lock, guard }
    }

    fn late() -> Held {
        let held = Held::new();
        held.clock.advance(LIFETIME + LATE);
        held
    }

    /// Another process has taken over the lock from a late holder, as flufl.lock does it. Returns
    /// the successor's claim, which has the first one's inode number where the file system is ext4.
    fn succeeded() -> (Held, PathBuf) {
        let held = Held::late();
        fs::remove_file(held.lock.path()).unwrap();
        fs::remove_file(held.guard.claim_path()).unwrap();
        let claim = lock_like_flufl(held.lock.path(), far_off());
        (held, claim)
    }

    fn dir(&self) -> &Path {
        self.dir.path()
    }
}

fn is_lost_to_nobody(error: &Error) -> bool {
    matches!(error, Error::Lost { now: Successor::Nobody, .. })
}

#[test]
fn a_lease_runs_out_by_the_clock() {
    let Held { dir: _dir, clock, lock, guard } = Held::new();
    assert_eq!(guard.remaining(), LIFETIME);
    guard.verify().unwrap();
    assert!(lock.is_locked().unwrap());
    clock.advance(LATE);
    assert_eq!(guard.remaining() + LATE, LIFETIME);
    clock.advance(LIFETIME);
    assert_eq!(guard.remaining(), Duration::ZERO);
    assert!(!lock.is_locked().unwrap());
}

#[test]
fn expires_at_is_what_the_lock_file_says() {
    let Held { dir: _dir, lock, guard, .. } = Held::new();
    let on_disk = fs::metadata(guard.path()).unwrap().modified().unwrap();
    assert_eq!(guard.expires_at(), on_disk);
    assert_eq!(lock.expires_at().unwrap(), Some(on_disk));
    guard.refresh_for(HOUR).unwrap();
    let on_disk = fs::metadata(guard.path()).unwrap().modified().unwrap();
    let apart = |time: SystemTime| {
        time.duration_since(on_disk).unwrap_or_else(|earlier| earlier.duration())
    };
    // The refresh has read the server's time again.
    assert!(apart(guard.expires_at()) < LATE);
    assert!(on_disk > SystemTime::now() + HOUR / 2);
}

#[test]
fn refresh_renews_the_whole_lease() {
    let Held { dir, clock, guard, .. } = Held::new();
    clock.advance(2 * LATE);
    guard.refresh().unwrap();
    assert_eq!(guard.remaining(), LIFETIME);
    assert_eq!(names(dir.path()).len(), 2);
}

#[test]
fn refresh_for_changes_the_lease_and_those_that_follow() {
    let Held { dir: _dir, clock, lock, guard } = Held::new();
    guard.refresh_for(HOUR).unwrap();
    assert_eq!(guard.remaining(), HOUR);
    clock.advance(LATE);
    guard.refresh().unwrap();
    assert_eq!(guard.remaining(), HOUR);
    assert_eq!(lock.lifetime(), LIFETIME, "the handle's lifetime is for later acquisitions");
    guard.refresh_for(LATE).unwrap();
    assert_eq!(guard.remaining(), LATE, "a lease can be shortened too");
    let error = guard.refresh_for(Duration::ZERO).unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
}

#[test]
fn a_lease_that_is_over_is_expired_but_not_lost() {
    let Held { dir: _dir, guard, .. } = Held::late();
    match guard.verify().unwrap_err() {
        Error::Expired { ago, error: None, .. } => assert_eq!(ago, LATE),
        error => panic!("{error:?}"),
    }
    assert!(guard.verify().unwrap_err().is_lost());
}

#[test]
fn a_late_refresh_saves_a_lock_that_was_not_taken_over() {
    let held = Held::late();
    held.guard.refresh().unwrap();
    held.guard.verify().unwrap();
    assert_eq!(held.guard.remaining(), LIFETIME);
    assert_eq!(names(held.dir()).len(), 2, "the seat that it took is left");
    assert!(held.guard.refresh_if_held().unwrap());
}

#[test]
fn a_late_unlock_releases_a_lock_that_was_not_taken_over() {
    let held = Held::late();
    held.guard.unlock().unwrap();
    assert!(names(held.dir.path()).is_empty());
}

#[test]
fn a_lock_whose_file_is_gone_is_lost_to_nobody() {
    for held in [Held::new(), Held::late()] {
        fs::remove_file(held.lock.path()).unwrap();
        for error in [held.guard.verify(), held.guard.refresh()].map(Result::unwrap_err) {
            assert!(is_lost_to_nobody(&error) && error.is_lost(), "{error:?}");
        }
        assert!(!held.guard.refresh_if_held().unwrap());
        assert!(!held.lock.is_locked().unwrap());
        let error = held.guard.unlock().unwrap_err();
        assert!(is_lost_to_nobody(&error), "{error:?}");
        assert!(names(held.dir.path()).is_empty(), "its claim is removed all the same");
    }
}

#[test]
fn a_lock_that_was_taken_over_is_lost_to_its_new_holder() {
    let (held, claim) = Held::succeeded();
    let before = snapshot(held.dir());
    for error in [held.guard.verify(), held.guard.refresh()].map(Result::unwrap_err) {
        assert!(matches!(error, Error::Lost { now: Successor::Holder(_), .. }), "{error:?}");
        assert_eq!(error.holder().unwrap().claim_path(), claim);
        assert!(error.to_string().contains("process 4711 on elsewhere"), "{error}");
    }
    assert!(!held.guard.refresh_if_held().unwrap());
    assert!(held.guard.unlock().unwrap_err().is_lost());
    assert_eq!(snapshot(held.dir.path()), before, "the successor's files are untouched");
}

/// A lock that was broken in the middle of its lease, and taken by another process. File systems
/// reuse inode numbers at once: the new lock file has the number and the link count of the old one.
fn broken_and_taken() -> (Held, PathBuf) {
    let held = Held::new();
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let first = inode(held.lock.path());
    held.lock.clone().break_if(|_| true).unwrap().unwrap();
    let mut attempts = 0..100; // other tests use inodes too, and some file systems never reuse them
    loop {
        let claim = lock_like_flufl(held.lock.path(), far_off());
        if inode(&claim) == first || attempts.next().is_none() {
            return (held, claim);
        }
        fs::remove_file(held.lock.path()).unwrap();
        fs::remove_file(claim).unwrap();
    }
}

#[test]
fn verify_does_not_mistake_a_successors_lock_for_one_that_was_broken() {
    let (held, claim) = broken_and_taken();
    let error = held.guard.verify().unwrap_err();
    assert_eq!(error.holder().unwrap().claim_path(), claim);
    assert!(!held.lock.is_locked().unwrap());
}

#[test]
fn unlock_does_not_remove_the_successor_of_a_lock_that_was_broken() {
    let (held, claim) = broken_and_taken();
    let before = snapshot(held.dir());
    let released = held.guard.unlock();
    assert_eq!(snapshot(held.dir.path()), before, "{released:?}");
    assert_eq!(released.unwrap_err().holder().unwrap().claim_path(), claim);
}

#[test]
fn dropping_the_guard_of_a_lock_that_was_taken_over_touches_nothing() {
    let (held, _) = Held::succeeded();
    let before = snapshot(held.dir());
    drop(held.guard);
    assert_eq!(snapshot(held.dir.path()), before);
}

#[test]
fn a_lock_whose_file_was_replaced_is_lost_to_a_stranger() {
    let held = Held::new();
    fs::remove_file(held.lock.path()).unwrap();
    fs::create_dir(held.lock.path()).unwrap();
    for error in [held.guard.verify(), held.guard.refresh()].map(Result::unwrap_err) {
        assert!(matches!(error, Error::Lost { now: Successor::Stranger, .. }), "{error:?}");
    }
    assert!(held.guard.unlock().unwrap_err().is_lost());
    assert_eq!(names(held.dir.path()), ["lock"]);
}

#[test]
fn unlock_if_held_says_whether_it_was() {
    let held = Held::new();
    assert!(held.guard.unlock_if_held().unwrap());
    let (held, _) = Held::succeeded();
    assert!(!held.guard.unlock_if_held().unwrap());
}

#[test]
fn a_claim_that_is_removed_under_its_holder_is_given_back_its_name() {
    let held = Held::new();
    fs::remove_file(held.guard.claim_path()).unwrap();
    held.guard.refresh().unwrap();
    held.guard.verify().unwrap();
    assert_eq!(beside(held.lock.path()), [held.guard.claim_path()]);
    held.guard.unlock().unwrap();
    assert!(names(held.dir.path()).is_empty());
}

#[test]
fn a_lock_whose_claim_was_removed_is_still_held_and_can_be_released() {
    let held = Held::new();
    fs::remove_file(held.guard.claim_path()).unwrap();
    held.guard.verify().unwrap();
    held.guard.unlock().unwrap();
    assert!(names(held.dir.path()).is_empty());
}

#[test]
fn a_late_lock_whose_claim_was_removed_can_be_released() {
    let held = Held::late();
    fs::remove_file(held.guard.claim_path()).unwrap();
    held.guard.unlock().unwrap();
    assert!(names(held.dir.path()).is_empty());
}

#[test]
fn a_guard_releases_when_it_is_dropped_even_by_a_panic() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    drop(Lock::new(&path).unwrap().lock().unwrap());
    assert!(names(dir.path()).is_empty());
    let panicked = std::panic::catch_unwind(|| {
        let _guard = Lock::new(&path).unwrap().lock().unwrap();
        std::panic::resume_unwind(Box::new(())); // a panic without the message
    });
    assert!(panicked.is_err() && names(dir.path()).is_empty());
}

#[test]
fn a_guard_can_be_released_by_another_thread() {
    let held = Held::new();
    std::thread::spawn(|| held.guard.unlock()).join().unwrap().unwrap();
    assert_eq!(held.lock.state().unwrap(), State::Unlocked);
}

#[test]
fn a_guard_knows_its_files_and_prints_them() {
    let Held { dir: _dir, lock, guard, .. } = Held::new();
    assert_eq!(guard.path(), lock.path());
    let holder = lock.holder().unwrap().unwrap();
    assert_eq!(holder.claim_path(), guard.claim_path());
    let printed = format!("{guard:?}");
    assert!(printed.contains(&format!("{:?}", guard.claim_path())), "{printed}");
}
