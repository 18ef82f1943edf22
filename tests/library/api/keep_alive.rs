//! Keeping a lock alive from another thread.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use linklock::{Clock, Error, Lock, LockGuard, Successor, SystemClock};
use tempfile::{TempDir, tempdir};

use crate::kit::wait::LIMIT;
use crate::kit::{names, wait_until};

/// Long enough that a busy machine refreshes in time, short enough to wait for a few of them.
const LIFETIME: Duration = Duration::from_millis(2500);

fn held(lifetime: Duration) -> (TempDir, LockGuard) {
    let dir = tempdir().unwrap();
    let lock = Lock::options(dir.path().join("lock")).lifetime(lifetime).build().unwrap();
    let guard = lock.lock().unwrap();
    (dir, guard)
}

fn channel() -> (Sender<Error>, Receiver<Error>) {
    mpsc::channel()
}

/// Waits until the guard's lease has been renewed for `time`, and asserts that it never lapses.
fn outlast(guard: &LockGuard, time: Duration) {
    let first = guard.expires_at();
    wait_until("the lease has been renewed again and again", || {
        let on_disk = fs::metadata(guard.path()).unwrap().modified().unwrap();
        assert!(on_disk > SystemTime::now(), "the lease has lapsed");
        guard.verify().unwrap();
        guard.expires_at() > first + time
    });
}

#[test]
fn it_outlasts_several_lifetimes() {
    let (dir, guard) = held(LIFETIME);
    guard.keep_alive(|why| panic!("{why}")).unwrap();
    outlast(&guard, 3 * LIFETIME);
    guard.unlock().unwrap();
    assert!(names(dir.path()).is_empty());
}

#[test]
fn it_keeps_up_with_a_lease_that_is_cut_short() {
    let (_dir, guard) = held(Duration::from_secs(3600));
    let (tell, told) = channel();
    guard.keep_alive(move |why| tell.send(why).unwrap()).unwrap();
    guard.refresh_for(LIFETIME).unwrap();
    outlast(&guard, 2 * LIFETIME);
    drop(guard);
    assert!(told.recv().is_err(), "never called, only dropped");
}

#[test]
fn a_panic_in_a_callback_ends_no_other_keep_alive() {
    let dir = tempdir().unwrap();
    let held = |name| {
        let lock = Lock::options(dir.path().join(name)).lifetime(LIFETIME).build().unwrap();
        lock.lock().unwrap()
    };
    let (lost, kept) = (held("lost"), held("kept"));
    let (tell, told) = channel();
    lost.keep_alive(move |why| {
        tell.send(why).unwrap();
        panic!("as some programs do");
    })
    .unwrap();
    kept.keep_alive(|why| panic!("{why}")).unwrap();
    fs::remove_file(lost.path()).unwrap();
    told.recv_timeout(LIMIT).unwrap();
    outlast(&kept, 2 * LIFETIME);
}

#[test]
fn it_reports_once_that_the_lock_file_is_gone() {
    let (dir, guard) = held(LIFETIME);
    let (tell, told) = channel();
    guard.keep_alive(move |why| tell.send(why).unwrap()).unwrap();
    fs::remove_file(guard.path()).unwrap();
    let why = told.recv_timeout(LIMIT).unwrap();
    assert!(matches!(why, Error::Lost { now: Successor::Nobody, .. }), "{why:?}");
    assert_eq!(told.recv_timeout(LIMIT).unwrap_err(), RecvTimeoutError::Disconnected);
    assert!(guard.unlock().unwrap_err().is_lost());
    assert!(names(dir.path()).is_empty());
}

#[test]
fn its_callback_may_drop_the_guard() {
    let (dir, guard) = held(LIFETIME);
    let guard = Arc::new(Mutex::new(Some(guard)));
    let (tell, told) = channel();
    let dropped = guard.clone();
    let kept = guard.lock().unwrap();
    let on_lost = move |why| {
        drop(dropped.lock().unwrap().take());
        tell.send(why).unwrap();
    };
    kept.as_ref().unwrap().keep_alive(on_lost).unwrap();
    fs::remove_file(kept.as_ref().unwrap().path()).unwrap();
    drop(kept);
    assert!(told.recv_timeout(LIMIT).unwrap().is_lost());
    assert!(names(dir.path()).is_empty());
}

#[test]
fn the_last_callback_replaces_the_others() {
    let (_dir, guard) = held(LIFETIME);
    let ((first, first_told), (second, second_told)) = (channel(), channel());
    guard.keep_alive(move |why| first.send(why).unwrap()).unwrap();
    guard.keep_alive(move |why| second.send(why).unwrap()).unwrap();
    fs::remove_file(guard.path()).unwrap();
    assert!(second_told.recv_timeout(LIMIT).unwrap().is_lost());
    assert!(first_told.recv().is_err(), "replaced, so dropped without being called");
}

#[test]
fn a_guard_that_ends_is_kept_no_longer() {
    let (_dir, dropped) = held(LIFETIME);
    let (_other_dir, unlocked) = held(LIFETIME);
    for guard in [&dropped, &unlocked] {
        guard.keep_alive(|why| panic!("{why}")).unwrap();
    }
    let (tell, told) = channel();
    dropped.keep_alive(move |why| tell.send(why).unwrap()).unwrap();
    drop(dropped);
    assert_eq!(told.recv_timeout(LIMIT).unwrap_err(), RecvTimeoutError::Disconnected);
    outlast(&unlocked, LIFETIME); // the same thread keeps the other one alive
    unlocked.unlock().unwrap();
}

#[test]
fn its_value_reports_a_loss_once_to_those_that_wait() {
    let (_dir, guard) = held(LIFETIME);
    let kept = guard.kept_alive().unwrap();
    assert!(!kept.is_lost());
    assert!(kept.lost_within(Duration::ZERO).is_none());
    fs::remove_file(guard.path()).unwrap();
    thread::scope(|scope| {
        let waiters = [(); 2].map(|()| scope.spawn(|| kept.lost()));
        let reasons = waiters.map(|waiter| waiter.join().unwrap());
        let [why] = <[Error; 1]>::try_from(reasons.into_iter().flatten().collect::<Vec<_>>())
            .expect("one of them gets the reason");
        assert!(matches!(why, Error::Lost { now: Successor::Nobody, .. }), "{why:?}");
    });
    assert!(kept.is_lost(), "for good");
    assert!(kept.lost().is_none() && kept.lost_within(LIMIT).is_none(), "it was reported");
    assert!(guard.unlock().unwrap_err().is_lost());
}

#[test]
fn its_value_reports_nothing_of_a_lock_that_is_released_or_kept_alive_by_another() {
    let (dir, guard) = held(LIFETIME);
    let replaced = guard.kept_alive().unwrap();
    let kept = guard.kept_alive().unwrap();
    assert!(replaced.lost().is_none() && !replaced.is_lost());
    thread::scope(|scope| {
        let waiter = scope.spawn(|| kept.lost_within(LIMIT));
        outlast(&guard, LIFETIME);
        guard.unlock().unwrap();
        assert!(waiter.join().unwrap().is_none());
    });
    assert!(!kept.is_lost());
    assert!(names(dir.path()).is_empty());
}

/// A release may take as long as any request to a file server. Here it waits in its thread until
/// the test lets it go on.
#[derive(Debug, Default)]
struct SlowRelease {
    is_releasing: AtomicBool,
    may_go_on: AtomicBool,
    renewer_looked: Mutex<Duration>,
}

const RELEASES: &str = "releases";

impl Clock for SlowRelease {
    fn now(&self) -> Duration {
        let now = SystemClock.now();
        match thread::current().name() {
            Some(RELEASES) => {
                self.is_releasing.store(true, Ordering::SeqCst);
                wait_until("it may go on", || self.may_go_on.load(Ordering::SeqCst));
            }
            Some("linklock-renew") => *self.renewer_looked.lock().unwrap() = now,
            _ => {}
        }
        now
    }

    fn wall(&self) -> SystemTime {
        SystemClock.wall()
    }

    fn sleep(&self, time: Duration) {
        SystemClock.sleep(time);
    }
}

fn kept_until_it_is_released(release: impl FnOnce(LockGuard) + Send) {
    let dir = tempdir().unwrap();
    let clock = Arc::new(SlowRelease::default());
    let options = Lock::options(dir.path().join("lock")).lifetime(LIFETIME).clock(clock.clone());
    let guard = options.build().unwrap().lock().unwrap();
    let (tell, told) = channel();
    guard.keep_alive(move |why| tell.send(why).unwrap()).unwrap();
    let due = SystemClock.now() + LIFETIME / 3;
    thread::scope(|scope| {
        let releases = thread::Builder::new().name(RELEASES.into());
        releases.spawn_scoped(scope, move || release(guard)).unwrap();
        wait_until("the release hangs", || clock.is_releasing.load(Ordering::SeqCst));
        wait_until("a refresh is due", || *clock.renewer_looked.lock().unwrap() > due);
        let still = told.try_recv().unwrap_err();
        assert_eq!(still, TryRecvError::Empty, "it is kept alive no longer");
        clock.may_go_on.store(true, Ordering::SeqCst);
    });
    let told = told.recv_timeout(LIMIT).map_err(|error| error == RecvTimeoutError::Disconnected);
    assert!(matches!(told, Err(true)), "it was released, not lost: {told:?}");
    assert!(names(dir.path()).is_empty());
}

#[test]
fn it_goes_on_until_the_release_is_done() {
    kept_until_it_is_released(|guard| guard.unlock().unwrap());
    kept_until_it_is_released(drop);
}

#[test]
fn one_lost_lock_does_not_harm_another() {
    let ((_dir, lost), (_other_dir, kept)) = (held(LIFETIME), held(LIFETIME));
    let (tell, told) = channel();
    lost.keep_alive(move |why| tell.send(why).unwrap()).unwrap();
    kept.keep_alive(|why| panic!("{why}")).unwrap();
    fs::remove_file(lost.path()).unwrap();
    told.recv_timeout(LIMIT).unwrap();
    outlast(&kept, 2 * LIFETIME);
}
