//! What a handle holds in one process: the library's handle, and the guard while it is locked.

use std::collections::HashMap;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock, RwLockReadGuard, Weak};

use linklock::{Error, LockGuard};
use pyo3::prelude::*;

pub(crate) struct Holding {
    /// The process that made it: a forked child holds nothing.
    pub(crate) pid: u32,
    pub(crate) lock: linklock::tokio::Lock,
    /// Locked only while detached from the interpreter: a refresh may hang.
    guard: RwLock<Option<LockGuard>>,
    /// Whether the lock is held or being acquired through this handle. One at a time: otherwise a
    /// thread that has lost the lock would release another's.
    is_taken: AtomicBool,
}

/// The right to acquire the lock through a handle.
pub(crate) struct Reservation(Arc<Holding>);

impl Reservation {
    /// `None` if the handle is in use.
    pub(crate) fn of(holding: &Arc<Holding>) -> Option<Reservation> {
        let was_taken = holding.is_taken.swap(true, Ordering::AcqRel);
        (!was_taken).then(|| Reservation(holding.clone()))
    }

    /// Makes the handle the holder. Blocks while another thread uses the guard.
    pub(crate) fn put(self, guard: LockGuard) {
        *self.0.guard.write().unwrap_or_else(PoisonError::into_inner) = Some(guard);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let is_held = self.0.with_guard(|_| ()).is_some();
        self.0.is_taken.store(is_held, Ordering::Release);
    }
}

/// All of them, by their addresses, to be released at exit. Locked only while attached to the
/// interpreter, and never while another thread can run: so no fork finds it locked.
static ALL: LazyLock<Mutex<HashMap<usize, Weak<Holding>>>> = LazyLock::new(Mutex::default);

impl Holding {
    pub(crate) fn new(py: Python<'_>, lock: linklock::Lock) -> PyResult<Arc<Holding>> {
        release_at_exit(py)?;
        let lock = linklock::tokio::Lock::from(lock);
        let (pid, guard, is_taken) = (process::id(), RwLock::default(), AtomicBool::default());
        let new = Arc::new(Holding { pid, lock, guard, is_taken });
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(address(&new), Arc::downgrade(&new));
        Ok(new)
    }

    /// Its handle is gone.
    pub(crate) fn forget(this: &Arc<Holding>) {
        ALL.lock().unwrap_or_else(PoisonError::into_inner).remove(&address(this));
    }

    pub(crate) fn is_of_this_process(&self) -> bool {
        self.pid == process::id()
    }

    /// Blocks while another thread uses the guard.
    pub(crate) fn take(&self) -> Option<LockGuard> {
        let guard = self.guard.write().unwrap_or_else(PoisonError::into_inner).take();
        if guard.is_some() {
            self.is_taken.store(false, Ordering::Release);
        }
        guard
    }

    /// Releases the lock; `None` if it is not held. Whatever the outcome, it is not held any more.
    pub(crate) fn unlock(&self) -> Option<Result<(), Error>> {
        self.take().map(LockGuard::unlock)
    }

    /// Does something with the guard; `None` if the lock is not held.
    pub(crate) fn with_guard<T>(&self, act: impl FnOnce(&LockGuard) -> T) -> Option<T> {
        self.read().as_ref().map(act)
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<LockGuard>> {
        self.guard.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Releases the lock, if it is held, where no caller gets an error.
    pub(crate) fn abandon(&self) {
        if self.is_of_this_process() {
            drop(self.take());
        }
    }
}

fn address(holding: &Arc<Holding>) -> usize {
    Arc::as_ptr(holding).addr()
}

/// Those of this process; its parent's are not its own.
pub(crate) fn of_this_process() -> Vec<Arc<Holding>> {
    let all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    let alive = all.values().filter_map(Weak::upgrade);
    alive.filter(|holding| holding.is_of_this_process()).collect()
}

/// Has Python call `release_all` at exit. In each process again: multiprocessing clears what a
/// forked child inherits.
fn release_at_exit(py: Python<'_>) -> PyResult<()> {
    static REGISTERED: AtomicU32 = AtomicU32::new(0);
    if REGISTERED.swap(process::id(), Ordering::Relaxed) != process::id() {
        py.import("linklock._exit")?.call_method0("register")?;
    }
    Ok(())
}
