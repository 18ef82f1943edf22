//! Threads that share one handle.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use linklock::{Error, Lock, LockGuard};
use tempfile::tempdir;

use crate::kit::{names, wait, wait_until};

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = wait::LIMIT;

/// What eight threads count by turns, in two steps that must not be interleaved.
fn count_together(lock: &Arc<Lock>) {
    const ROUNDS: u32 = 25;
    let (counter, inside) = (AtomicU32::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let guard = lock.lock().unwrap();
                    assert!(!inside.swap(true, Ordering::SeqCst), "two threads hold the lock");
                    let seen = counter.load(Ordering::SeqCst);
                    thread::yield_now();
                    counter.store(seen + 1, Ordering::SeqCst);
                    inside.store(false, Ordering::SeqCst);
                    guard.unlock().unwrap();
                }
            });
        }
    });
    assert_eq!(counter.into_inner(), 8 * ROUNDS);
}

#[test]
fn threads_that_share_a_handle_wait_for_each_other() {
    let dir = tempdir().unwrap();
    let lock = Arc::new(Lock::new(dir.path().join("lock")).unwrap());
    count_together(&lock);
    assert!(names(dir.path()).is_empty());
}

#[test]
fn threads_that_share_a_handle_which_keeps_its_claim_wait_for_each_other() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let lock = Arc::new(Lock::options(&path).keep_claim(true).build().unwrap());
    count_together(&lock);
    drop(lock);
    assert!(names(dir.path()).is_empty());
}

#[test]
fn another_threads_lock_is_held_like_that_of_another_process() {
    let dir = tempdir().unwrap();
    let lock = Lock::options(dir.path().join("lock")).timeout(SHORT).build().unwrap();
    let guard = lock.lock().unwrap();
    thread::scope(|scope| {
        let other = scope.spawn(|| [lock.try_lock(), lock.try_lock_for(SHORT), lock.lock()]);
        let [at_once, in_time, by_default] = other.join().unwrap().map(Result::unwrap_err);
        assert!(matches!(at_once, Error::Held { .. }), "{at_once:?}");
        assert!(matches!(in_time, Error::TimedOut { .. }), "{in_time:?}");
        assert!(matches!(by_default, Error::TimedOut { .. }), "{by_default:?}");
        for error in [at_once, in_time, by_default] {
            assert!(error.is_contention());
            assert_eq!(error.holder().unwrap().claim_path(), guard.claim_path());
        }
    });
    assert_eq!(lock.claim_path().as_deref(), Some(guard.claim_path()), "it is still held");
    guard.unlock().unwrap();
}

#[test]
fn a_thread_waits_for_another_that_holds_the_lock_through_the_same_handle() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let lock = Lock::new(&path).unwrap();
    let guard = lock.lock().unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| lock.lock().map(|guard| guard.claim_path().to_owned()));
        wait_until("it waits", || !lock.waiters().unwrap().is_empty());
        let first = guard.claim_path().to_owned();
        guard.unlock().unwrap();
        assert_ne!(waiter.join().unwrap().unwrap(), first, "its claim is its own");
    });
    assert!(names(dir.path()).is_empty());
}

/// A guard that another thread has now still counts as that of the thread which acquired it.
#[test]
fn a_guard_that_was_sent_to_another_thread_keeps_its_first_thread_from_waiting() {
    let dir = tempdir().unwrap();
    let lock = Lock::new(dir.path().join("lock")).unwrap();
    let (sender, receiver) = mpsc::channel();
    let lock = &lock;
    thread::scope(|scope| {
        scope.spawn(move || {
            let guard: LockGuard = receiver.recv().unwrap();
            assert!(matches!(lock.try_lock(), Err(Error::Held { .. })));
            guard.unlock().unwrap();
        });
        let guard = lock.lock().unwrap();
        assert!(matches!(lock.lock(), Err(Error::AlreadyLocked { .. })));
        sender.send(guard).unwrap();
        lock.clone().try_lock_for(LONG).unwrap().unlock().unwrap();
    });
    lock.try_lock().unwrap().unlock().unwrap();
}
