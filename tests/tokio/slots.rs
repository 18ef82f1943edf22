//! Sets of slots on tokio.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use linklock::tokio::Slots;
use linklock::{Error, Lock};
use tokio::time::timeout;

use crate::{LONG, in_time, on_each_runtime};

#[test]
fn as_many_tasks_hold_a_slot_as_there_are() {
    const SLOTS: u32 = 3;
    on_each_runtime(&async |path: &Path| {
        let slots = Slots::new(path, SLOTS).unwrap();
        let inside: Arc<Vec<_>> = Arc::new((0..SLOTS).map(|_| AtomicUsize::new(0)).collect());
        let tasks = [(); 12].map(|()| {
            let (slots, inside) = (slots.clone(), inside.clone());
            tokio::spawn(async move {
                for _ in 0..3 {
                    let guard = slots.try_lock_for(LONG).await.unwrap();
                    let slot = guard.slot();
                    assert_eq!(inside[slot].fetch_add(1, Ordering::SeqCst), 0, "slot {slot}");
                    tokio::task::yield_now().await;
                    inside[slot].fetch_sub(1, Ordering::SeqCst);
                    guard.into_guard().unlock().await.unwrap();
                }
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn a_dropped_wait_for_a_slot_leaves_nothing() {
    on_each_runtime(&async |path: &Path| {
        let slots = Slots::new(path, 2).unwrap();
        let guards = [slots.lock().await.unwrap(), slots.lock().await.unwrap()];
        let error = slots.try_lock().await.unwrap_err();
        assert!(matches!(error, Error::Held { .. }), "{error}");
        {
            let mut waiting = pin!(slots.lock());
            let waits = |lock: &Lock| !lock.waiters().unwrap().is_empty();
            let contends_for_both = || slots.as_blocking().locks().iter().all(waits);
            in_time("it contends for both", async {
                while !contends_for_both() {
                    let wait = timeout(Duration::from_millis(1), &mut waiting).await;
                    assert!(wait.is_err(), "two slots have three holders");
                }
            })
            .await;
        }
        for guard in guards {
            guard.into_guard().unlock().await.unwrap();
        }
    });
}

#[test]
fn a_waiting_task_gets_the_slot_that_is_released() {
    on_each_runtime(&async |path: &Path| {
        let slots = Slots::new(path, 2).unwrap();
        let (one, other) = (slots.lock().await.unwrap(), slots.lock().await.unwrap());
        let released = one.slot();
        let mut waiting = pin!(slots.lock());
        assert!(timeout(Duration::from_millis(1), &mut waiting).await.is_err());
        one.into_guard().unlock().await.unwrap();
        let guard = in_time("the slot is free", waiting).await.unwrap();
        assert_eq!(guard.slot(), released);
        guard.into_guard().unlock().await.unwrap();
        other.into_guard().unlock().await.unwrap();
    });
}
