//! The locks that this server is in charge of: their guards, by which it prolongs their leases.
//!
//! Several servers may be in charge of one lock. A guard prolongs the lease, which any number of
//! them may do at once, but it never releases the lock: a lock of ours is ended only in its
//! succession (see `linklock`), which exactly one of them wins.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use linklock::LockGuard;

use crate::info::LockId;

/// A guard that does not release its lock.
#[derive(Debug)]
pub(crate) struct Charge(Option<LockGuard>);

impl Charge {
    pub(crate) fn guard(&self) -> &LockGuard {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

/// A guard that has learnt that its lock is gone touches nothing more, and its memory is given back.
/// Any other is left as it is.
impl Drop for Charge {
    fn drop(&mut self) {
        let Some(guard) = self.0.take() else { return };
        match guard.refresh() {
            Err(linklock::Error::Lost { .. }) => drop(guard),
            _ => mem::forget(guard),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Charges(Mutex<HashMap<LockId, Arc<Charge>>>);

impl Charges {
    pub(crate) fn get(&self, id: LockId) -> Option<Arc<Charge>> {
        self.all().get(&id).cloned()
    }

    /// Whoever was quicker keeps the lock's charge.
    pub(crate) fn take(&self, id: LockId, guard: LockGuard) -> Arc<Charge> {
        let charge = Arc::new(Charge(Some(guard)));
        self.all().entry(id).or_insert(charge).clone()
    }

    /// The lock is gone.
    pub(crate) fn end(&self, id: LockId) {
        let charge = self.all().remove(&id);
        drop(charge); // which takes a few file operations: not under the mutex
    }

    fn all(&self) -> MutexGuard<'_, HashMap<LockId, Arc<Charge>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server that stops leaves its locks held.
impl Drop for Charges {
    fn drop(&mut self) {
        mem::forget(mem::take(&mut *self.all()));
    }
}
