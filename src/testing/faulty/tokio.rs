//! The keep-alive on tokio, on a file system that fails: it behaves like that of a thread's guard.

use std::time::{Duration, Instant};

use super::fault::{Fault, Op, When};
use super::keep_alive::{LIMIT, OPS, PASSING, RETRY};
use super::scene::{LIFETIME, NEIGHBOUR, Scene, US};
use crate::error::Error;
use crate::sys::fs::Mount;
use crate::tokio::{KeepAlive, Lock, LockGuard};

/// A lock that is kept alive while operations fail.
struct Kept {
    scene: Scene,
    guard: LockGuard,
    keep_alive: KeepAlive,
    /// Another lock, which wakes the keep-alive task when its own keep-alive starts.
    alarm: crate::LockGuard,
}

impl Kept {
    async fn begin(mount: Mount) -> Kept {
        let scene = Scene::new(mount);
        let guard = Lock::from(scene.lock_of(US)).lock().await.unwrap();
        let alarm = scene.lock_at(&scene.path().with_file_name("alarm"), NEIGHBOUR);
        let alarm = alarm.lock().unwrap();
        let keep_alive = guard.keep_alive();
        Kept { scene, guard, keep_alive, alarm }
    }

    fn pass(&self, time: Duration) {
        self.scene.pass(time);
        self.alarm.keep_alive(|_| ()).unwrap();
    }

    /// Lets the time of the next attempt come, and waits for what it does; the same time passes again
    /// if the task has counted its pause from a later moment.
    async fn until_due(&self, what: &str, is_so: impl Fn(&Kept) -> bool) {
        self.pass(RETRY);
        let begun = Instant::now();
        while !is_so(self) && begun.elapsed() < LIMIT / 4 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if !is_so(self) {
            self.pass(RETRY);
        }
        self.until(what, is_so).await;
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Kept) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < LIMIT, "not seen: {what}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Runs every case of an operation that fails until the fault is disarmed, on both kinds of file
/// system.
fn for_all(act: impl AsyncFn(&mut Kept, Op, i32) + Sync) {
    // Each case waits most of the time.
    std::thread::scope(|scope| {
        for (op, errno) in OPS.iter().flat_map(|op| PASSING.map(|errno| (*op, errno))) {
            let act = &act;
            scope.spawn(move || {
                let mut runtime = tokio::runtime::Builder::new_current_thread();
                // The random numbers of a scene are counted per thread.
                let runtime = runtime.enable_all().max_blocking_threads(1).build().unwrap();
                runtime.block_on(async {
                    for mount in [Mount::Local, Mount::Nfs] {
                        let mut kept = Kept::begin(mount).await;
                        let fault = Fault { op, errno, when: When::From(0), executed: false };
                        kept.scene.fs.arm(Some(fault));
                        kept.pass(LIFETIME / 3);
                        kept.until("an attempt", |kept| !kept.scene.fs.failures().is_empty()).await;
                        act(&mut kept, op, errno).await;
                    }
                });
            });
        }
    });
}

#[test]
fn a_keep_alive_survives_errors_that_pass() {
    for_all(async |kept, op, errno| {
        let tries = kept.scene.fs.failures().len();
        kept.until_due("another attempt", |kept| kept.scene.fs.failures().len() > tries).await;
        kept.scene.fs.disarm();
        let what = format!("a refresh after {op:?} {errno}");
        // Less than two thirds were left.
        kept.until_due(&what, |kept| kept.guard.remaining() + 3 * RETRY > LIFETIME).await;
        let lost = tokio::time::timeout(Duration::ZERO, kept.keep_alive.lost()).await;
        assert!(lost.is_err(), "{op:?} {errno}: {lost:?}");
        kept.guard.verify().await.unwrap();
    });
}

#[test]
fn a_lost_lock_is_reported_with_the_error_of_its_refresh() {
    for_all(async |kept, op, errno| {
        kept.pass(2 * LIFETIME);
        match tokio::time::timeout(LIMIT, kept.keep_alive.lost()).await {
            Ok(Some(Error::Expired { error: Some(error), .. })) => {
                assert_eq!(error.raw_os_error(), Some(errno), "{op:?}");
            }
            other => panic!("{op:?} {errno}: {other:?}"),
        }
    });
}
