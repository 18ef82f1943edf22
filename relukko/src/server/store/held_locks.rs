//! The locks that this server maintains: their guards, by which it extends their leases.
//!
//! Several servers may maintain the same lock. A guard extends the lease, which any number of them
//! may do at once, but is not simply unlocked: a lock of ours is ended only by the rules of a takeover
//! (see `linklock`), which exactly one of them wins.

use std::collections::HashMap;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use linklock::LockGuard;

use crate::info::LockId;

/// A guard that does not release its lock when it is dropped.
#[derive(Debug)]
pub(crate) struct HeldLock {
    /// `None` while this is dropped.
    guard: Option<LockGuard>,
    /// Whether it has ended the lock, or tried to: after that it has none.
    is_used: AtomicBool,
}

impl HeldLock {
    pub(crate) fn guard(&self) -> &LockGuard {
        self.guard.as_ref().expect("the guard exists until this is dropped")
    }

    /// Ends the lock, and returns whether this did. `None` if another request does that, or if another
    /// server may have extended the lease: this guard would be late.
    pub(crate) fn end(&self) -> Option<Result<bool, linklock::Error>> {
        let may = !self.guard().remaining().is_zero() && !self.is_used.swap(true, Ordering::AcqRel);
        may.then(|| self.guard().end())
    }
}

/// Frees the guard of a lock that is gone; leaves any other lock held.
impl Drop for HeldLock {
    fn drop(&mut self) {
        if *self.is_used.get_mut() {
            return; // its guard has no lock
        }
        if let Some(Err(guard)) = self.guard.take().map(LockGuard::discard_if_lost) {
            mem::forget(guard);
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct HeldLocks(Mutex<HashMap<LockId, Arc<HeldLock>>>);

impl HeldLocks {
    pub(crate) fn get(&self, id: LockId) -> Option<Arc<HeldLock>> {
        self.all().get(&id).cloned()
    }

    /// Keeps the first guard of a lock.
    pub(crate) fn take(&self, id: LockId, guard: LockGuard) -> Arc<HeldLock> {
        let held = Arc::new(HeldLock { guard: Some(guard), is_used: AtomicBool::new(false) });
        self.all().entry(id).or_insert(held).clone()
    }

    /// Records that the lock is gone.
    pub(crate) fn end(&self, id: LockId) {
        let held = self.all().remove(&id);
        drop(held); // takes a few file operations, so not under the mutex
    }

    fn all(&self) -> MutexGuard<'_, HashMap<LockId, Arc<HeldLock>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server that stops leaves its locks held.
impl Drop for HeldLocks {
    fn drop(&mut self) {
        mem::forget(mem::take(&mut *self.all()));
    }
}
