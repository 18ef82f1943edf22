//! Who holds a lock does not depend on the content of its file, which may be empty after a power
//! cut.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use linklock::{Error, Lock, LockGuard, Owner};
use tempfile::{TempDir, tempdir};

use crate::kit::clock::ManualClock;
use crate::kit::{HOUR, far_off, long_ago, names, set_lease_end};

/// The clock slop.
const SLOP: Duration = Duration::from_secs(10);

/// What remains of a content that was not on the disk when the power failed.
fn lost(content: &[u8]) -> [Vec<u8>; 3] {
    [Vec::new(), vec![0; content.len()], content[..content.len() / 3].to_vec()]
}

/// A lock that no process owns, and its claim.
fn detached() -> (TempDir, PathBuf, PathBuf) {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let claim = Lock::new(&path).unwrap().lock().unwrap().detach(Owner::Lease).unwrap();
    (dir, path, claim)
}

/// A contender with a clock of its own, by which hours pass in no time.
fn waiter(path: &Path) -> (Lock, Arc<ManualClock>) {
    let clock = ManualClock::new();
    (Lock::options(path).clock(clock.clone()).build().unwrap(), clock)
}

fn waits_for(path: &Path, time: Duration) -> Result<LockGuard, Error> {
    waiter(path).0.try_lock_for(time)
}

#[test]
fn the_claim_beside_a_lock_file_names_the_holder_if_the_content_does_not() {
    let (_dir, path, claim) = detached();
    for content in lost(&fs::read(&path).unwrap()) {
        fs::write(&path, &content).unwrap();
        set_lease_end(&path, far_off());
        let lock = Lock::new(&path).unwrap();
        let holder = lock.holder().unwrap().expect("it is held");
        assert_eq!(holder.claim_path(), claim);
        assert!(matches!(lock.try_lock(), Err(Error::Held { .. })));
        assert!(lock.sweep().unwrap().is_empty(), "only its claim shows that");
        assert!(lock.waiters().unwrap().is_empty());
    }
}

#[test]
fn a_lock_that_has_lost_its_content_ends_by_its_lease() {
    for which in 0..3 {
        let (dir, path, _claim) = detached();
        fs::write(&path, &lost(&fs::read(&path).unwrap())[which]).unwrap();
        set_lease_end(&path, long_ago());
        Lock::new(&path).unwrap().try_lock().unwrap().unlock().unwrap();
        assert!(names(dir.path()).is_empty());
    }
}

#[test]
fn a_holder_whose_lock_file_has_lost_its_content_refreshes_and_releases_it() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    for which in 0..3 {
        let guard = Lock::new(&path).unwrap().lock().unwrap();
        fs::write(&path, &lost(&fs::read(&path).unwrap())[which]).unwrap();
        guard.refresh().unwrap();
        guard.verify().unwrap();
        guard.unlock().unwrap();
        assert!(names(dir.path()).is_empty());
    }
}

/// The power failed after the holder had removed its claim, the first step of a release.
#[test]
fn a_file_without_content_or_claim_is_taken_over_after_it_has_stayed_unchanged() {
    for (content, is_ended) in [("", true), ("\0\0\0", true), ("\0\0?", false), (" ", false)] {
        let dir = tempdir().unwrap();
        let path = dir.path().join("lock");
        fs::write(&path, content).unwrap();
        set_lease_end(&path, long_ago());
        let refused = [Lock::new(&path).unwrap().try_lock(), waits_for(&path, SLOP / 2)];
        for refused in refused {
            assert!(matches!(&refused, Err(error) if error.is_contention()), "{refused:?}");
        }
        let taken = waits_for(&path, SLOP * 3);
        assert_eq!(taken.is_ok(), is_ended, "{content:?}: {taken:?}");
        drop(taken);
        assert_eq!(fs::read(&path).is_err(), is_ended);
    }
}

#[test]
fn a_file_without_content_or_claim_that_changes_is_left() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    File::create(&path).unwrap();
    let (lock, clock) = waiter(&path);
    let refused = lock.lock_while(|_| {
        let now = linklock::Clock::now(&*clock);
        set_lease_end(&path, long_ago() + now);
        now < HOUR
    });
    assert!(matches!(&refused, Err(error) if error.is_contention()), "{refused:?}");
    assert!(path.exists());
}
