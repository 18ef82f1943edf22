//! A future or a guard leaves nothing behind, whenever it is dropped, and delays no other.

use std::future::{Future, poll_fn};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use linklock::tokio::{Lock, LockGuard};
use tempfile::{TempDir, tempdir};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::kit::{HOUR, beside, names, wait_until};
use crate::{alone, by_ear, descriptors, in_company, in_time, lock, runtimes, until};

/// Polls a future so many times, and then drops it when it next wants to be polled, or has not for
/// a while; unless it is done.
pub(crate) async fn polled<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    const A_WHILE: Duration = Duration::from_millis(20);
    let mut future = pin!(future);
    let mut left = times;
    let polls = poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    });
    tokio::time::timeout(A_WHILE, polls).await.unwrap_or_default()
}

/// A directory with a lock.
struct Scene {
    dir: TempDir,
    path: PathBuf,
}

impl Scene {
    fn new() -> Scene {
        let dir = tempdir().unwrap();
        let path = dir.path().join("lock");
        Scene { dir, path }
    }

    /// Nothing is left, of files and descriptors alike.
    async fn is_clean(&self, descriptors_before: usize) {
        until("nothing is left in the directory", || names(self.dir.path()).is_empty()).await;
        until("no descriptor is left", || descriptors() <= descriptors_before).await;
    }
}

/// Runs on each kind of runtime, and asserts that no descriptor is left when they are gone.
fn on_runtimes<F: Future<Output = ()>>(act: impl Fn(Scene, usize) -> F) {
    let _alone = alone();
    let before = descriptors();
    for runtime in runtimes() {
        runtime.block_on(async {
            let warm = Scene::new(); // for what is opened only once
            lock(&warm.path).lock().await.unwrap().unlock().await.unwrap();
            act(Scene::new(), descriptors()).await;
        });
    }
    // At first there may have been more, of a thread that was about to end.
    wait_until("no descriptor is left", || descriptors() <= before);
}

#[test]
fn while_nobody_holds_the_lock() {
    on_runtimes(|scene, before| async move {
        let lock = lock(&scene.path);
        for polls in 0..100 {
            drop(polled(polls % 4, lock.lock()).await.map(Result::unwrap));
            if polls % 7 == 0 {
                // The same handle: the dropped future holds nothing through it.
                in_time("it is acquired again", lock.lock()).await.unwrap().unlock().await.unwrap();
            }
        }
        scene.is_clean(before).await;
    });
}

#[test]
fn while_it_waits() {
    on_runtimes(|scene, before| async move {
        let held = lock(&scene.path).lock().await.unwrap();
        // A waiter that stays, at the head or behind it: others come and go before and after it.
        for waits in [lock(&scene.path), by_ear(&scene.path)] {
            for polls in 0..30 {
                assert!(polled(polls, waits.lock()).await.is_none());
            }
            for micros in (0..20_000).step_by(500) {
                let time = Duration::from_micros(micros);
                assert!(tokio::time::timeout(time, waits.lock()).await.is_err());
            }
        }
        until("one claim is left", || beside(&scene.path).len() == 1).await;
        held.unlock().await.unwrap();
        scene.is_clean(before).await;
    });
}

/// A waiter in line behind one that is dropped is woken, and gets the lock.
#[test]
fn the_waiter_behind_it_is_served() {
    on_runtimes(|scene, before| async move {
        for round in 0..40 {
            let held = lock(&scene.path).lock().await.unwrap();
            // Almost in this order: their claims exist before their places in line do.
            let front = start(&scene.path, 2, pass_on).await;
            let dropped = start(&scene.path, 3, pass_on).await;
            let last = start(&scene.path, 4, pass_on).await;
            if round % 2 == 0 {
                front.abort();
            }
            dropped.abort();
            if round % 3 == 0 {
                tokio::task::yield_now().await;
            }
            held.unlock().await.unwrap();
            if round % 2 == 1 {
                in_time("the first is served", front).await.unwrap();
            }
            in_time("the last is served", last).await.unwrap();
        }
        scene.is_clean(before).await;
    });
}

/// A task that waits to be woken, once there are so many claims.
async fn start<F>(path: &Path, claims: usize, task: impl FnOnce(Lock) -> F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let waiter = tokio::spawn(task(by_ear(path)));
    until("it has come", || beside(path).len() >= claims).await;
    waiter
}

async fn pass_on(lock: Lock) {
    lock.lock().await.unwrap().unlock().await.unwrap();
}

async fn take(lock: Lock) -> LockGuard {
    lock.lock().await.unwrap()
}

/// At the very moment at which it would get the lock.
#[test]
fn as_it_is_about_to_succeed() {
    on_runtimes(|scene, before| async move {
        let (mut had, mut dropped) = (0, 0);
        for round in 0..300 {
            let held = lock(&scene.path).lock().await.unwrap();
            let waiter = start(&scene.path, 2, take).await;
            let unlocked = tokio::spawn(held.unlock());
            tokio::time::sleep(Duration::from_micros(round * 10 % 1000)).await;
            waiter.abort();
            match waiter.await {
                Ok(guard) => {
                    had += 1;
                    drop(guard);
                }
                Err(_) => dropped += 1,
            }
            unlocked.await.unwrap().unwrap();
            let next = by_ear(&scene.path);
            in_time("the next has it", next.lock()).await.unwrap().unlock().await.unwrap();
        }
        scene.is_clean(before).await;
        eprintln!(
            "of those dropped as the lock was released, {had} had acquired it and {dropped} had not"
        );
    });
}

#[test]
fn guards() {
    on_runtimes(|scene, before| async move {
        for _ in 0..50 {
            drop(in_time("it is free", by_ear(&scene.path).lock()).await.unwrap());
        }
        for polls in 0..50 {
            let guard = in_time("it is free", by_ear(&scene.path).lock()).await.unwrap();
            let _ = polled(polls % 4, guard.refresh()).await;
            let _ = polled(polls % 3, guard.verify()).await;
            let _ = polled(polls % 4, guard.unlock()).await;
        }
        scene.is_clean(before).await;
    });
}

/// Tasks are aborted at any moment; those that are not go on to lock and unlock, one at a time.
#[test]
fn tasks_at_random() {
    static SEED: AtomicU64 = AtomicU64::new(0x9E37_79B9_7F4A_7C15);
    fn random(below: u64) -> u64 {
        let mut next = SEED.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        next = (next ^ (next >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (next ^ (next >> 27)) % below
    }
    /// Marks a task as the holder, until it is dropped.
    struct Inside(&'static AtomicUsize);
    impl Inside {
        fn enter(count: &'static AtomicUsize) -> Inside {
            assert_eq!(count.fetch_add(1, Ordering::SeqCst), 0, "two hold the lock");
            Inside(count)
        }
    }
    impl Drop for Inside {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    on_runtimes(|scene, before| async move {
        let count: &'static AtomicUsize = Box::leak(Box::default());
        let turns: &'static AtomicUsize = Box::leak(Box::default());
        let task = |kept: bool| {
            let options = linklock::Lock::options(&scene.path).lifetime(HOUR);
            let lock = Lock::from(options.keep_claim(kept).build().unwrap());
            tokio::spawn(async move {
                for _ in 0..5 {
                    let guard = lock.lock().await.unwrap();
                    let inside = Inside::enter(count);
                    turns.fetch_add(1, Ordering::Relaxed);
                    if random(2) == 0 {
                        tokio::time::sleep(Duration::from_micros(random(300))).await;
                    }
                    drop(inside);
                    if random(2) == 0 {
                        guard.unlock().await.unwrap();
                    }
                }
            })
        };
        let tasks: Vec<_> = (0..60).map(|number| task(number % 5 == 0)).collect();
        for (number, task) in tasks.iter().enumerate() {
            if number % 3 != 0 {
                tokio::time::sleep(Duration::from_micros(random(1500))).await;
                task.abort();
            }
        }
        for task in tasks {
            match in_time("the task ends", task).await {
                Ok(()) => {}
                Err(error) => assert!(error.is_cancelled(), "{error}"),
            }
        }
        assert!(turns.load(Ordering::Relaxed) >= 100, "a third of them have five turns each");
        in_time("it is free", by_ear(&scene.path).lock()).await.unwrap().unlock().await.unwrap();
        scene.is_clean(before).await;
    });
}

/// A future that is never polled again keeps its place in line; once it is at the head, the others
/// wait for it no longer than for a stopped process.
#[test]
fn a_future_that_is_not_polled_delays_no_waiter_for_long() {
    let _company = in_company();
    for runtime in runtimes() {
        let scene = Scene::new();
        runtime.block_on(async {
            let held = lock(&scene.path).lock().await.unwrap();
            let stopped = lock(&scene.path);
            let mut stopped = pin!(stopped.lock());
            poll_fn(|context| {
                assert!(stopped.as_mut().poll(context).is_pending());
                Poll::Ready(())
            })
            .await;
            until("it has come", || beside(&scene.path).len() == 2).await;
            let pause = Duration::from_millis(50);
            let options = linklock::Lock::options(&scene.path).lifetime(HOUR).polling(pause, pause);
            let looks = Lock::from(options.build().unwrap());
            let looks = tokio::spawn(async move { looks.lock().await });
            until("the other has come", || beside(&scene.path).len() == 3).await;
            held.unlock().await.unwrap();
            let guard = in_time("it polls by itself", looks).await.unwrap().unwrap();
            guard.unlock().await.unwrap();
        });
        drop(runtime);
        assert!(names(scene.dir.path()).is_empty());
    }
}

/// A guard that is dropped elsewhere still has its runtime.
#[test]
fn a_guard_dropped_outside_a_runtime_is_released_there_and_then() {
    let _company = in_company();
    for runtime in runtimes() {
        let scene = Scene::new();
        let guard = Runtime::block_on(&runtime, lock(&scene.path).lock()).unwrap();
        drop(guard);
        assert!(names(scene.dir.path()).is_empty());
    }
}
