//! The guard of a slot: its owner holds the slot.

use std::ops::Deref;

use crate::guard::LockGuard;

/// A slot that is held: the [`LockGuard`] of its lock, or that of tokio, and its number. Dropping it
/// releases the slot.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("gpu.lock");
/// use linklock::Slots;
///
/// let guard = Slots::new(&path, 4)?.lock()?;
/// guard.keep_alive(|why| eprintln!("stop the work: {why}"))?;
/// println!("working on GPU {}", guard.slot());
/// guard.into_guard().unlock()?; // or just drop it
/// # Ok::<(), linklock::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "dropping a guard releases its slot at once: bind it to a name, even to `_guard`"]
pub struct SlotGuard<G = LockGuard> {
    slot: usize,
    guard: G,
}

impl<G> SlotGuard<G> {
    pub(crate) fn new(slot: usize, guard: G) -> SlotGuard<G> {
        SlotGuard { slot, guard }
    }

    /// The number of the slot, from 0 on. No other holder has it.
    #[must_use]
    pub fn slot(&self) -> usize {
        self.slot
    }

    /// The guard of the slot's lock, for the methods that use it up: to
    /// [unlock](LockGuard::unlock) it and get the error, or to [detach](LockGuard::detach) it.
    pub fn into_guard(self) -> G {
        self.guard
    }
}

impl<G> Deref for SlotGuard<G> {
    type Target = G;

    fn deref(&self) -> &G {
        &self.guard
    }
}
