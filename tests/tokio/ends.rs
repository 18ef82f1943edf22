//! A runtime that ends with waiters and holders in it leaves nothing behind, and the lock is
//! released.

use std::sync::mpsc;
use std::time::Duration;

use tempfile::tempdir;

use crate::kit::{beside, names, wait_until};
use crate::{
    alone, by_ear, descriptors, in_company, lock, many_threads, one_thread, runtimes, until,
};

/// A task that holds the lock and keeps it alive, and some that wait.
async fn settle(path: &std::path::Path) {
    let guard = lock(path).lock().await.unwrap();
    tokio::spawn(async move {
        let _kept = guard.keep_alive();
        std::future::pending::<()>().await;
        drop(guard);
    });
    for waiter in 0..20 {
        let lock = if waiter % 2 == 0 { lock(path) } else { by_ear(path) };
        tokio::spawn(async move { lock.lock().await.map(drop) });
    }
    until("all wait", || beside(path).len() == 21).await;
}

#[test]
fn when_it_is_dropped() {
    let _alone = alone();
    let before = descriptors();
    for runtime in runtimes() {
        let dir = tempdir().unwrap();
        let path = dir.path().join("lock");
        runtime.block_on(settle(&path));
        drop(runtime);
        assert!(names(dir.path()).is_empty(), "{:?}", names(dir.path()));
        linklock::Lock::new(&path).unwrap().try_lock().unwrap().unlock().unwrap();
    }
    // At first there may have been more, of a thread that was about to end.
    wait_until("no descriptor is left", || descriptors() <= before);
}

/// The waiters of another runtime, and threads, go on.
#[test]
fn when_others_wait_too() {
    let _company = in_company();
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let (ends, goes_on) = (many_threads(), one_thread());
    ends.block_on(settle(&path));
    let (says, hears) = mpsc::channel();
    let thread = by_ear(&path);
    std::thread::spawn(move || {
        says.send(thread.as_blocking().lock().and_then(linklock::LockGuard::unlock))
    });
    wait_until("the thread has come", || beside(&path).len() == 22);
    let task = by_ear(&path);
    let task = goes_on.spawn(async move { task.lock().await?.unlock().await });
    goes_on.block_on(until("the task has come", || beside(&path).len() == 23));
    drop(ends);
    goes_on.block_on(crate::in_time("the task is served", task)).unwrap().unwrap();
    hears.recv_timeout(Duration::from_secs(60)).expect("the thread is served").unwrap();
    assert!(names(dir.path()).is_empty());
}

/// It does not wait, but its threads do what is left to do all the same.
#[test]
fn when_it_is_shut_down_in_the_background() {
    let _company = in_company();
    for runtime in runtimes() {
        let dir = tempdir().unwrap();
        let path = dir.path().join("lock");
        runtime.block_on(settle(&path));
        runtime.shutdown_background();
        wait_until("nothing is left", || names(dir.path()).is_empty());
    }
}

/// A future that is awaited elsewhere when the runtime is gone returns an error, or panics as tokio
/// does; either way nothing is left.
#[test]
fn when_a_future_outlives_it() {
    let _company = in_company();
    for runtime in runtimes() {
        let dir = tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = linklock::Lock::new(&path).unwrap().lock().unwrap();
        let handle = runtime.handle().clone();
        let waits = lock(&path);
        let waiter = std::thread::spawn(move || handle.block_on(waits.lock()));
        wait_until("it has come", || beside(&path).len() == 2);
        drop(runtime);
        held.unlock().unwrap();
        match waiter.join() {
            Ok(Err(error)) => assert!(error.io_error().is_some(), "{error:?}"),
            Ok(Ok(guard)) => panic!("it can't have been served: {guard:?}"),
            Err(_) => {}
        }
        assert!(names(dir.path()).is_empty());
    }
}

/// A guard does not depend on the runtime on which it was made.
#[test]
fn when_a_guard_outlives_it() {
    let _company = in_company();
    for (runtime, next) in runtimes().into_iter().zip(runtimes()) {
        let dir = tempdir().unwrap();
        let path = dir.path().join("lock");
        let guard = runtime.block_on(async { lock(&path).lock().await.unwrap() });
        let mut kept = runtime.block_on(async { guard.keep_alive() });
        drop(runtime);
        let short = Duration::from_secs(1);
        next.block_on(guard.refresh_for(short)).unwrap();
        let first = guard.expires_at();
        next.block_on(until("it is still kept alive", || guard.expires_at() > first + 2 * short));
        next.block_on(guard.unlock()).unwrap();
        assert!(next.block_on(kept.lost()).is_none());
        assert!(names(dir.path()).is_empty());
    }
}
