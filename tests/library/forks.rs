//! A forked child inherits a guard, but not the lock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::kit::again::alone;
use crate::kit::child::Child;
use crate::kit::wait::LIMIT;
use crate::kit::{names, snapshot, wait_until};
use linklock::mailbox::MailboxLock;
use linklock::{Clock, Error, Lock, LockGuard, State, SystemClock};
use tempfile::{TempDir, tempdir};

fn held() -> (TempDir, Lock, LockGuard) {
    let dir = tempdir().unwrap();
    let lock = Lock::new(dir.path().join("lock")).unwrap();
    let guard = lock.lock().unwrap();
    (dir, lock, guard)
}

/// What a child does with its parent's guard leaves everything as it is.
#[track_caller]
fn releases_nothing(work: impl FnOnce(&Lock, LockGuard)) {
    let (dir, lock, guard) = held();
    let before = snapshot(dir.path());
    let mut guard = Some(guard);
    let child = Child::fork(|| work(&lock, guard.take().unwrap()));
    assert_eq!(child.status(), Some(0));
    assert_eq!(snapshot(dir.path()), before);
    let guard = guard.unwrap();
    guard.verify().unwrap();
    guard.unlock().unwrap();
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_child_that_drops_its_parents_guard_releases_nothing() {
    alone!();
    releases_nothing(|_, guard| drop(guard));
}

#[test]
fn a_child_that_unwinds_releases_nothing() {
    alone!();
    releases_nothing(|_, guard| {
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let _guard = guard;
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(unwound.is_err());
    });
}

#[test]
fn a_child_learns_that_it_does_not_hold_its_parents_lock() {
    alone!();
    releases_nothing(|lock, guard| {
        let parent = std::os::unix::process::parent_id();
        for error in [guard.verify(), guard.refresh()].map(Result::unwrap_err) {
            assert!(error.is_lost(), "{error:?}");
            assert_eq!(error.holder().unwrap().pid(), parent);
        }
        assert!(!lock.is_locked().unwrap());
        assert_eq!(lock.claim_path(), None);
        assert_eq!(lock.state().unwrap(), State::Unknown);
        let error = guard.unlock().unwrap_err();
        assert!(error.is_lost(), "released by nobody: {error:?}");
    });
}

#[test]
fn a_child_contends_like_any_other_process() {
    alone!();
    releases_nothing(|lock, _guard| {
        let error = lock.try_lock().unwrap_err();
        assert!(matches!(error, Error::Held { .. }), "not AlreadyLocked: {error:?}");
        assert_eq!(error.holder().unwrap().pid(), std::os::unix::process::parent_id());
    });
}

#[test]
fn a_child_that_drops_its_parents_guard_of_a_mailbox_unlocks_nothing() {
    alone!();
    let dir = tempdir().unwrap();
    let mbox = dir.path().join("joe");
    std::fs::write(&mbox, "").unwrap();
    let lock = MailboxLock::new(&mbox).unwrap();
    let mut guard = Some(lock.lock().unwrap());
    let before = snapshot(dir.path());
    let child = Child::fork(|| {
        let guard = guard.take().unwrap();
        assert!(guard.refresh().unwrap_err().is_lost());
        assert!(guard.unlock().unwrap_err().is_lost());
    });
    assert_eq!(child.status(), Some(0));
    assert_eq!(snapshot(dir.path()), before);
    let refused = lock.clone().try_lock().unwrap_err();
    assert!(refused.to_string().contains("fcntl"), "the mailbox is locked too: {refused}");
    guard.unwrap().unlock().unwrap();
}

/// A lock by open file description is the child's as well, which has inherited the file.
#[test]
fn a_mailbox_is_unlocked_for_a_child_that_lives_on() {
    alone!();
    let dir = tempdir().unwrap();
    let mbox = dir.path().join("joe");
    std::fs::write(&mbox, "").unwrap();
    let lock = MailboxLock::new(&mbox).unwrap();
    let guard = lock.lock().unwrap();
    let child = Child::fork(|| {
        let _guard = &guard;
        thread::sleep(LIMIT); // lives until it is killed
    });
    guard.unlock().unwrap();
    lock.try_lock().unwrap().unlock().unwrap();
    child.kill();
}

/// Forks a child that lives on, each time the clock is asked: at every step.
#[derive(Debug, Default)]
struct ForkingClock(Mutex<Vec<Child>>);

impl Clock for ForkingClock {
    fn now(&self) -> Duration {
        self.0.lock().unwrap().push(Child::fork(|| thread::sleep(LIMIT)));
        SystemClock.now()
    }

    fn wall(&self) -> SystemTime {
        SystemClock.wall()
    }

    fn sleep(&self, time: Duration) {
        SystemClock.sleep(time);
    }
}

#[test]
fn a_child_that_is_forked_while_a_dotlock_is_in_the_way_does_not_keep_the_mailbox_locked() {
    alone!();
    let dir = tempdir().unwrap();
    let (mbox, dotlock) = (dir.path().join("joe"), dir.path().join("joe.lock"));
    std::fs::write(&mbox, "").unwrap();
    std::fs::write(&dotlock, "0\n").unwrap();
    let clock = Arc::new(ForkingClock::default());
    let lock = MailboxLock::options(&mbox).clock(clock.clone()).build().unwrap();
    lock.try_lock().unwrap_err();
    std::fs::remove_file(dotlock).unwrap();
    MailboxLock::new(&mbox).unwrap().try_lock().unwrap().unlock().unwrap();
    clock.0.lock().unwrap().iter().for_each(Child::kill);
}

#[test]
fn a_child_can_lock_for_itself() {
    alone!();
    let dir = tempdir().unwrap();
    let lock = Lock::new(dir.path().join("lock")).unwrap();
    drop(lock.lock().unwrap()); // so that this process is known, when the child is another
    let child = Child::fork(|| {
        let guard = lock.lock().unwrap();
        let holder = lock.holder().unwrap().unwrap();
        assert_eq!(holder.pid(), std::process::id());
        assert_eq!(lock.state().unwrap(), State::Ours);
        guard.unlock().unwrap();
    });
    assert_eq!(child.status(), Some(0));
    assert!(names(dir.path()).is_empty());
}

#[test]
fn the_lock_of_a_child_that_ends_is_taken_over_at_once() {
    alone!();
    let dir = tempdir().unwrap();
    let lock = Lock::new(dir.path().join("lock")).unwrap();
    let child = Child::fork(|| std::mem::forget(lock.lock().unwrap()));
    assert_eq!(child.status(), Some(0));
    assert_eq!(lock.state().unwrap(), State::Stale);
    drop(lock.try_lock().unwrap());
}

#[test]
fn a_child_can_keep_its_own_lock_alive() {
    const LIFETIME: Duration = Duration::from_millis(1500);
    alone!();
    let (_dir, _lock, guard) = held();
    guard.keep_alive(|why| panic!("{why}")).unwrap(); // by a thread that the child does not have
    let dir = tempdir().unwrap();
    let child = Child::fork(|| {
        let options = Lock::options(dir.path().join("lock")).lifetime(LIFETIME);
        let guard = options.build().unwrap().lock().unwrap();
        guard.keep_alive(|why| panic!("{why}")).unwrap();
        let first = guard.expires_at();
        wait_until("it outlasts its lease", || guard.expires_at() > first + 2 * LIFETIME);
        guard.unlock().unwrap();
    });
    assert_eq!(child.status(), Some(0));
}

/// At the moment of the fork the keep-alive thread may be in the middle of a refresh, for a long
/// time if the file server does not answer. Mutexes that it has locked stay locked in the child.
#[test]
fn a_child_never_hangs_on_its_parents_guard() {
    alone!();
    for moment in 1..=6 {
        let dir = tempdir().unwrap();
        let clock = Arc::new(StallingClock::at(moment));
        let options = Lock::options(dir.path().join("lock")).lifetime(Duration::from_millis(300));
        let guard = options.clock(clock.clone()).build().unwrap().lock().unwrap();
        guard.keep_alive(|_| ()).unwrap();
        wait_until("the keep-alive stalls", || clock.has_stalled());
        let mut guard = Some(guard);
        let child = Child::fork(|| {
            let guard = guard.take().unwrap();
            assert!(guard.verify().unwrap_err().is_lost());
            assert!(guard.refresh_for(Duration::from_secs(1)).unwrap_err().is_lost());
            drop(guard);
        });
        let status = child.status();
        clock.go_on();
        assert_eq!(status, Some(0), "hangs, forked at moment {moment} of a keep-alive");
        drop(guard);
        assert!(names(dir.path()).is_empty());
    }
}

/// Stops the keep-alive thread when it reads the clock for the nth time: once a refresh is due, and
/// again in the middle of each refresh.
#[derive(Debug)]
struct StallingClock {
    looks_left: AtomicU32,
    goes_on: AtomicBool,
}

impl StallingClock {
    fn at(look: u32) -> StallingClock {
        StallingClock { looks_left: AtomicU32::new(look), goes_on: AtomicBool::new(false) }
    }

    fn has_stalled(&self) -> bool {
        self.looks_left.load(Ordering::SeqCst) == 0
    }

    fn go_on(&self) {
        self.goes_on.store(true, Ordering::SeqCst);
    }
}

impl Clock for StallingClock {
    fn now(&self) -> Duration {
        if thread::current().name() == Some("linklock-renew") {
            let count = |left: u32| left.checked_sub(1);
            let (order, looks) = (Ordering::SeqCst, &self.looks_left);
            if looks.fetch_update(order, order, count) == Ok(1) {
                wait_until("the test lets it go on", || self.goes_on.load(Ordering::SeqCst));
            }
        }
        SystemClock.now()
    }

    fn wall(&self) -> SystemTime {
        SystemClock.wall()
    }

    fn sleep(&self, time: Duration) {
        SystemClock.sleep(time);
    }
}

#[test]
fn a_child_leaves_its_parents_kept_claim_alone() {
    alone!();
    let dir = tempdir().unwrap();
    let mut lock = Lock::options(dir.path().join("lock")).keep_claim(true).build().unwrap();
    lock.lock().unwrap().unlock().unwrap();
    let before = snapshot(dir.path());
    let child = Child::fork(|| {
        let guard = lock.lock().unwrap();
        assert!(
            guard.claim_path().to_string_lossy().contains(&format!("|{}|", std::process::id()))
        );
        guard.unlock().unwrap();
        drop(lock.clone());
        // Its own claim is removed with the handle, which a child that just exits does not drop.
        drop(std::mem::replace(&mut lock, Lock::new(dir.path().join("other")).unwrap()));
    });
    assert_eq!(child.status(), Some(0));
    assert_eq!(snapshot(dir.path()), before);
}
