//! Hundreds of tasks that wait in one runtime, whose pool has few threads.

use std::sync::Arc;
use std::time::Duration;

use linklock::tokio::Lock;
use tempfile::tempdir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::kit::{HOUR, beside, names};
use crate::{alone, by_ear, in_time, lock, threads, until};

const WAITERS: usize = 500;
const POOL: usize = 4;

fn crowd(runtime: &Runtime, lock_of: impl Fn(&std::path::Path) -> Lock) {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    runtime.block_on(async {
        let held = lock(&path).lock().await.unwrap();
        held.refresh_for(HOUR).await.unwrap();
        let inside = Arc::new(Mutex::new(()));
        let mut waiters = JoinSet::new();
        for _ in 0..WAITERS {
            let (lock, inside) = (lock_of(&path), inside.clone());
            waiters.spawn(async move {
                let guard = lock.lock().await.unwrap();
                let alone = inside.try_lock().expect("no other task holds the lock");
                tokio::task::yield_now().await;
                drop(alone);
                guard.unlock().await.unwrap();
            });
        }
        until("all wait", || beside(&path).len() == WAITERS + 1).await;
        // However long they wait, the pool is free for others.
        for _ in 0..100 {
            in_time("a thread of the pool is free", tokio::task::spawn_blocking(|| ()))
                .await
                .unwrap();
        }
        assert!(threads() <= POOL + 12, "{} threads", threads());
        held.unlock().await.unwrap();
        let begun = std::time::Instant::now();
        in_time("all are served", async {
            while let Some(served) = waiters.join_next().await {
                served.unwrap();
            }
        })
        .await;
        let each = begun.elapsed() / u32::try_from(WAITERS).unwrap();
        eprintln!("{WAITERS} tasks were served in turn, in {each:?} each");
    });
    assert!(names(dir.path()).is_empty());
}

#[test]
fn all_get_the_lock() {
    let _alone = alone();
    let mut one = Builder::new_current_thread();
    let mut many = Builder::new_multi_thread();
    for builder in [&mut one, many.worker_threads(2)] {
        let runtime = builder.enable_all().max_blocking_threads(POOL).build().unwrap();
        crowd(&runtime, by_ear);
    }
}

/// All of them poll now and then, and renew their claims.
#[test]
fn pollers_that_touch_their_claims_all_get_the_lock() {
    let _alone = alone();
    let runtime =
        Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    crowd(&runtime, |path| {
        let (lifetime, pause) = (Duration::from_secs(5), Duration::from_millis(200));
        let options = linklock::Lock::options(path).lifetime(lifetime).polling(pause, pause);
        options.build().unwrap().into()
    });
}
