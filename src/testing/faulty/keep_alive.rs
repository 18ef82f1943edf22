//! The keep-alive on a file system that fails: it tries again while the lease runs, and reports the
//! cause if the lease ends all the same.

use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::{Duration, Instant};

use super::fault::{Fault, Op, When};
use super::scene::{LIFETIME, NEIGHBOUR, Scene, US};
use crate::error::Error;
use crate::guard::LockGuard;
use crate::sys::errno;
use crate::sys::fs::Mount;

/// Errors of a server or a network that may pass.
pub(super) const PASSING: [i32; 4] = [errno::EIO, errno::ESTALE, errno::ETIMEDOUT, errno::EINTR];
/// The operations of a refresh.
pub(super) const OPS: [Op; 2] = [Op::Touch, Op::Stat];
/// The pause between two attempts.
pub(super) const RETRY: Duration = Duration::from_secs(1);
/// A limit in real time, which only the keep-alive thread takes.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// A lock that is kept alive while operations fail.
struct Kept {
    scene: Scene,
    guard: LockGuard,
    lost: Receiver<Error>,
    /// Another lock, which wakes the keep-alive thread when its own keep-alive starts.
    alarm: LockGuard,
}

impl Kept {
    fn begin(mount: Mount) -> Kept {
        let scene = Scene::new(mount);
        let guard = scene.lock_of(US).lock().unwrap();
        let alarm = scene.lock_at(&scene.path().with_file_name("alarm"), NEIGHBOUR);
        let alarm = alarm.lock().unwrap();
        let (tell, lost) = mpsc::channel();
        guard.keep_alive(move |why| tell.send(why).unwrap()).unwrap();
        Kept { scene, guard, lost, alarm }
    }

    fn pass(&self, time: Duration) {
        self.scene.pass(time);
        self.alarm.keep_alive(|_| ()).unwrap();
    }

    fn fail(&self, op: Op, errno: i32) {
        let fault = Fault { op, errno, when: When::From(0), executed: false };
        self.scene.fs.arm(Some(fault));
    }

    /// Waits for the keep-alive thread.
    fn until(&self, what: &str, is_so: impl Fn(&Kept) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < LIMIT, "not seen: {what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets the time of the next attempt come, and waits for what it does. The thread may be so slow
    /// that it counts its pause from a moment after that time: then the same time passes again.
    fn until_due(&self, what: &str, is_so: impl Fn(&Kept) -> bool) {
        self.pass(RETRY);
        let begun = Instant::now();
        while !is_so(self) && begun.elapsed() < LIMIT / 4 {
            std::thread::sleep(Duration::from_millis(1));
        }
        if !is_so(self) {
            self.pass(RETRY);
        }
        self.until(what, is_so);
    }

    /// Waits for one more failed attempt.
    fn tried_again(&self, before: usize) {
        self.until("an attempt", |kept| kept.scene.fs.failures().len() > before);
    }
}

/// Runs every case of an operation that fails for a while, on both kinds of file system.
fn for_all(act: impl Fn(&Kept, Op, i32) + Sync) {
    // Each case mostly waits for threads.
    std::thread::scope(|scope| {
        for (op, errno) in OPS.iter().flat_map(|op| PASSING.map(|errno| (*op, errno))) {
            let act = &act;
            scope.spawn(move || {
                for mount in [Mount::Local, Mount::Nfs] {
                    act(&Kept::begin(mount), op, errno);
                }
            });
        }
    });
}

#[test]
fn a_keep_alive_survives_errors_that_pass() {
    for_all(|kept, op, errno| {
        kept.fail(op, errno);
        kept.pass(LIFETIME / 3);
        kept.tried_again(0);
        for _ in 0..2 {
            let tries = kept.scene.fs.failures().len();
            kept.until_due("an attempt", |kept| kept.scene.fs.failures().len() > tries);
        }
        kept.scene.fs.disarm();
        kept.until_due(&format!("a refresh after {op:?} {errno}"), |kept| {
            kept.guard.remaining() + 3 * RETRY > LIFETIME // it was less than two thirds
        });
        assert_eq!(kept.lost.try_recv().err(), Some(TryRecvError::Empty), "{op:?} {errno}");
        kept.guard.verify().unwrap();
    });
}

#[test]
fn a_lost_lock_is_reported_with_the_error_of_its_refresh() {
    for_all(|kept, op, errno| {
        kept.fail(op, errno);
        kept.pass(LIFETIME / 3);
        kept.tried_again(0);
        assert_eq!(
            kept.lost.try_recv().err(),
            Some(TryRecvError::Empty),
            "{op:?} {errno}: too early"
        );
        kept.pass(LIFETIME);
        match kept.lost.recv_timeout(LIMIT) {
            Ok(Error::Expired { error: Some(error), .. }) => {
                assert_eq!(error.raw_os_error(), Some(errno), "{op:?}");
            }
            other => panic!("{op:?} {errno}: {other:?}"),
        }
    });
}

#[test]
fn a_lock_file_that_is_gone_is_reported_as_lost() {
    let kept = Kept::begin(Mount::Local);
    std::fs::remove_file(kept.scene.path()).unwrap();
    kept.pass(LIFETIME / 3);
    match kept.lost.recv_timeout(LIMIT) {
        Ok(Error::Lost { .. }) => {}
        other => panic!("{other:?}"),
    }
}
