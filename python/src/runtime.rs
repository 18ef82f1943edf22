//! The runtime in which the coroutines of asyncio wait: one thread that all of them share, and a pool
//! for file operations.

use std::future::Future;
use std::process;
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::AbortHandle;

/// A pool for file operations, which do not take long unless a server hangs.
const THREADS: usize = 32;

/// With the process that started it. Locked only while attached to the interpreter, except at exit.
static RUNTIME: Mutex<Option<(u32, Runtime)>> = Mutex::new(None);

fn runtime() -> PyResult<Handle> {
    let mut place = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    match &*place {
        Some((pid, runtime)) if *pid == process::id() => return Ok(runtime.handle().clone()),
        // Its threads stayed in the parent: to drop it would be to wait for them.
        Some(_) => std::mem::forget(place.take()),
        None => {}
    }
    let new = Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(THREADS)
        .thread_name("linklock")
        .enable_all()
        .build()?;
    let handle = new.handle().clone();
    *place = Some((process::id(), new));
    Ok(handle)
}

pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> PyResult<AbortHandle> {
    Ok(runtime()?.spawn(task).abort_handle())
}

/// Runs what blocks on a thread of the pool.
pub(crate) fn spawn_blocking(work: impl FnOnce() + Send + 'static) -> PyResult<()> {
    drop(runtime()?.spawn_blocking(work));
    Ok(())
}

/// Cancels what waits, and returns once nothing of it is left.
pub(crate) fn end() {
    let ended = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner).take();
    match ended {
        Some((pid, runtime)) if pid == process::id() => drop(runtime),
        other => std::mem::forget(other),
    }
}
