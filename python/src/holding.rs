//! What a handle holds in one process: the library's handle, and the guard while it is locked.

use std::collections::HashMap;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock, RwLockReadGuard, Weak};
use std::time::Duration;

use linklock::{Error, LockGuard};
use pyo3::prelude::*;

use crate::gate::{Closed, Gate, User};

pub(crate) struct Holding {
    /// The process that made it: a forked child holds nothing.
    pub(crate) pid: u32,
    pub(crate) lock: linklock::tokio::Lock,
    /// Waited for only while detached from the interpreter: a refresh may hang.
    guard: RwLock<Option<LockGuard>>,
    /// Entered to acquire the lock, and left after its release.
    gate: Gate,
}

/// The right to acquire the lock through a handle.
pub(crate) struct Reservation(Option<Arc<Holding>>);

impl Reservation {
    /// Gets it if the handle is not in use.
    pub(crate) fn try_get(holding: &Arc<Holding>, user: User) -> Result<Reservation, Closed> {
        holding.gate.try_enter(user).map(|()| Reservation(Some(holding.clone())))
    }

    /// Gets it once the handle is not in use: see [`Gate::enter_while`]. Blocks.
    pub(crate) fn get_while(
        holding: &Arc<Holding>,
        user: User,
        pause: impl FnMut() -> Option<Duration>,
    ) -> Result<Reservation, Closed> {
        let entered = holding.gate.enter_while(user, pause);
        entered.map(|()| Reservation(Some(holding.clone())))
    }

    /// Gets it once the handle is not in use.
    pub(crate) async fn get(holding: &Arc<Holding>, user: User) -> Result<Reservation, Closed> {
        holding.gate.enter(user).await.map(|()| Reservation(Some(holding.clone())))
    }

    /// Makes the handle the holder. Blocks while another thread uses the guard.
    pub(crate) fn put(mut self, guard: LockGuard) {
        if let Some(holding) = self.0.take() {
            *holding.guard.write().unwrap_or_else(PoisonError::into_inner) = Some(guard);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(holding) = &self.0 {
            holding.gate.leave();
        }
    }
}

/// A tenure that is about to end. The order of the fields matters: the next thread gets the handle
/// once the lock is released.
struct Ending {
    guard: LockGuard,
    _reservation: Reservation,
}

/// All of them, by their addresses, to be released at exit. Locked only while attached to the
/// interpreter, and never while another thread can run: so no fork finds it locked.
static ALL: LazyLock<Mutex<HashMap<usize, Weak<Holding>>>> = LazyLock::new(Mutex::default);

impl Holding {
    pub(crate) fn new(py: Python<'_>, lock: linklock::Lock) -> PyResult<Arc<Holding>> {
        release_at_exit(py)?;
        let lock = linklock::tokio::Lock::from(lock);
        let (pid, guard, gate) = (process::id(), RwLock::default(), Gate::default());
        let new = Arc::new(Holding { pid, lock, guard, gate });
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

    /// Ends the tenure, which is released when the value is. Blocks while another thread uses the
    /// guard.
    fn take(self: &Arc<Self>) -> Option<Ending> {
        let guard = self.guard.write().unwrap_or_else(PoisonError::into_inner).take()?;
        self.gate.begin_to_leave();
        Some(Ending { guard, _reservation: Reservation(Some(self.clone())) })
    }

    /// Releases the lock; `None` if it is not held. Whatever the outcome, it is not held any more.
    pub(crate) fn unlock(self: &Arc<Self>) -> Option<Result<(), Error>> {
        let Ending { guard, _reservation } = self.take()?;
        Some(guard.unlock())
    }

    /// Does something with the guard; `None` if the lock is not held.
    pub(crate) fn with_guard<T>(&self, act: impl FnOnce(&LockGuard) -> T) -> Option<T> {
        self.read().as_ref().map(act)
    }

    /// Looks at the guard, which takes no file operation; `None` if the lock is not held. Detaches
    /// from the interpreter only while another thread uses the guard.
    pub(crate) fn look<T: Send>(
        &self,
        py: Python<'_>,
        question: impl FnOnce(&LockGuard) -> T + Send,
    ) -> Option<T> {
        if let Ok(guard) = self.guard.try_read() {
            return guard.as_ref().map(question);
        }
        py.detach(|| self.with_guard(question))
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<LockGuard>> {
        self.guard.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Releases the lock, if it is held, where no caller gets an error.
    pub(crate) fn abandon(self: &Arc<Self>) {
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
