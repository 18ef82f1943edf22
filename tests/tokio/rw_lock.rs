//! Readers and writers on tokio.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use linklock::Error;
use linklock::tokio::RwLock;
use tokio::time::timeout;

use crate::{LONG, in_time, on_each_runtime};

/// What a writer counts as, among readers.
const WRITER: usize = 100;

#[test]
fn a_task_that_writes_is_alone() {
    on_each_runtime(&async |path: &Path| {
        let cache = RwLock::new(path).unwrap();
        let inside = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..12)
            .map(|number| {
                let (cache, inside) = (cache.clone(), inside.clone());
                tokio::spawn(async move {
                    if number % 4 == 0 {
                        let guard = cache.try_write_for(LONG).await.unwrap();
                        assert_eq!(inside.fetch_add(WRITER, Ordering::SeqCst), 0);
                        tokio::task::yield_now().await;
                        assert_eq!(inside.fetch_sub(WRITER, Ordering::SeqCst), WRITER);
                        guard.unlock().await.unwrap();
                    } else {
                        let guard = cache.try_read_for(LONG).await.unwrap();
                        assert!(inside.fetch_add(1, Ordering::SeqCst) < WRITER);
                        tokio::task::yield_now().await;
                        inside.fetch_sub(1, Ordering::SeqCst);
                        guard.unlock().await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn a_dropped_wait_to_write_leaves_nothing() {
    on_each_runtime(&async |path: &Path| {
        let cache = RwLock::new(path).unwrap();
        let reader = cache.read().await.unwrap();
        assert!(matches!(cache.try_write().await, Err(Error::Held { .. })));
        {
            let mut waiting = pin!(cache.write());
            let has_lock_file = || cache.as_blocking().writer().unwrap().is_some();
            in_time("it waits for the reader", async {
                while !has_lock_file() {
                    let wait = timeout(Duration::from_millis(1), &mut waiting).await;
                    assert!(wait.is_err(), "a writer is beside a reader");
                }
            })
            .await;
        }
        // What it has left is given back by the pool, a moment later.
        cache.try_read_for(LONG).await.unwrap().unlock().await.unwrap();
        reader.unlock().await.unwrap();
    });
}

#[test]
fn a_task_that_has_written_may_read_on() {
    on_each_runtime(&async |path: &Path| {
        let cache = RwLock::new(path).unwrap();
        let writer = cache.write().await.unwrap();
        let reader = writer.downgrade().await.unwrap();
        let another = cache.try_read().await.unwrap();
        assert!(matches!(cache.try_write().await, Err(Error::Held { .. })));
        reader.unlock().await.unwrap();
        another.into_guard().unlock().await.unwrap();
        cache.try_write().await.unwrap().unlock().await.unwrap();
    });
}
