//! The lock on tokio: `cargo test --features tokio --test tokio`.
#![cfg(target_os = "linux")]

#[path = "../kit/mod.rs"]
mod kit;

mod crowd;
mod dropped;
mod ends;
mod example;
mod kept;
mod methods;
mod mixed;
mod order;
mod rw_lock;
mod slots;

use std::future::Future;
use std::path::Path;
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use linklock::tokio::Lock;
use tempfile::tempdir;
use tokio::runtime::{Builder, Runtime};

use crate::kit::{HOUR, names, wait_until};

/// Far longer than anything here takes.
pub(crate) const LONG: Duration = crate::kit::wait::LIMIT;

/// The two kinds of runtime, with few threads for what blocks.
pub(crate) fn runtimes() -> [Runtime; 2] {
    [one_thread(), many_threads()]
}

/// Runs a test on each kind of runtime, with a lock's path in a directory of its own, which must be
/// empty at the end.
pub(crate) fn on_each_runtime(test: &impl AsyncFn(&Path)) {
    let _company = in_company();
    for runtime in runtimes() {
        let dir = tempdir().unwrap();
        runtime.block_on(test(&dir.path().join("lock")));
        // A guard that was dropped may still be releasing.
        wait_until("the directory is empty", || names(dir.path()).is_empty());
    }
}

pub(crate) fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().max_blocking_threads(2).build().unwrap()
}

pub(crate) fn many_threads() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .unwrap()
}

/// A lock with the default options.
pub(crate) fn lock(path: &Path) -> Lock {
    Lock::new(path).unwrap()
}

/// A lock whose waiters only listen.
pub(crate) fn by_ear(path: &Path) -> Lock {
    let options = linklock::Lock::options(path).lifetime(HOUR).polling(HOUR, HOUR);
    options.build().unwrap().into()
}

/// Awaits something that must happen in the end.
pub(crate) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(LONG, future).await;
    done.unwrap_or_else(|_| panic!("not in {LONG:?}: {what}"))
}

/// Waits for a condition without blocking the runtime.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LONG, "not in {LONG:?}: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Tests that count this process's descriptors or threads run alone.
static COMPANY: RwLock<()> = RwLock::new(());

pub(crate) fn in_company() -> RwLockReadGuard<'static, ()> {
    COMPANY.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

pub(crate) fn alone() -> RwLockWriteGuard<'static, ()> {
    COMPANY.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// How many descriptors this process has open. It keeps those that a waiter needs for a while, and
/// closes them after a release.
pub(crate) fn descriptors() -> usize {
    let dir = tempfile::tempdir().unwrap();
    linklock::Lock::new(dir.path().join("another")).unwrap().lock().unwrap().unlock().unwrap();
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// How many threads it has.
pub(crate) fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// Not a test: another process, for tests that need one.
#[test]
#[ignore = "started by tests as another process"]
fn worker() {
    crate::kit::worker::work();
}
