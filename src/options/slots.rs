//! How options become a set of slots.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use super::LockOptions;
use crate::error::Error;
use crate::holder::Role;
use crate::lock::Lock;
use crate::model::machine::Machine;
use crate::model::memory::Memory;
use crate::model::names::with_suffix;
use crate::slots::Slots;

/// The most slots that a set can have. A waiter at the head of its host's queue has a claim in each.
const MOST: u32 = 256;

impl Slots {
    /// Makes a set of this many slots with the default options, from 1 to 256: see
    /// [`LockOptions::slots`].
    ///
    /// # Errors
    ///
    /// As for [`LockOptions::slots`].
    pub fn new(path: impl Into<PathBuf>, slots: u32) -> Result<Slots, Error> {
        Lock::options(path).slots(slots)
    }
}

impl LockOptions {
    /// Makes a set of this many slots, from 1 to 256, in place of one lock: at most so many holders
    /// have one at once. The slots are locks with these options and with the names `PATH.0`,
    /// `PATH.1` and so on. The file system is not accessed yet, and nothing blocks.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("encode.lock");
    /// use std::time::Duration;
    /// use linklock::Lock;
    ///
    /// let slots = Lock::options(&path).lifetime(Duration::from_secs(60)).slots(4)?;
    /// let guard = slots.lock()?;
    /// println!("encoding on GPU {}", guard.slot());
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`build`](Self::build), and [`Error::Invalid`] if there are no slots, or more than
    /// 256.
    pub fn slots(self, slots: u32) -> Result<Slots, Error> {
        let machine = self.machine();
        self.slots_on(slots, &machine)
    }

    /// Makes the slots on a given machine, which may be a simulated one.
    pub(crate) fn slots_on(self, slots: u32, machine: &Machine) -> Result<Slots, Error> {
        if !(1..=MOST).contains(&slots) {
            let reason = format!("a set of {slots} slots is not possible: it has 1 to {MOST}");
            return Err(Error::Invalid { path: self.path, reason });
        }
        let queue = self.clone().with_suffix("slots").build_on(machine.clone())?;
        // One listing of the directory is enough for a handle: each sweeps for one of the slots.
        let sweeper = (machine.random)() % u64::from(slots);
        let memory = |slot: u32| Memory {
            // Only the set has a queue: a waiter takes the slot that is free first.
            queue: OnceLock::from(None),
            fairness: queue.context.memory.fairness.clone(),
            is_tried: queue.context.memory.is_tried.clone(),
            wake_address: queue.context.memory.wake_address.clone(),
            has_swept: AtomicBool::new(u64::from(slot) != sweeper),
            ..Memory::default()
        };
        let locks = (0..slots).map(|slot| {
            let options = LockOptions { role: Role::Slot(slots), ..self.clone() };
            options.with_suffix(&slot.to_string()).build_with(machine.clone(), memory(slot))
        });
        let locks = locks.collect::<Result<_, _>>()?;
        let path = queue.path().with_file_name(self.path.file_name().unwrap_or_default());
        Ok(Slots::of(path, queue, locks))
    }

    /// With `.SUFFIX` at the end of the lock's name. (A path without a name is an error of `build`.)
    fn with_suffix(self, suffix: &str) -> LockOptions {
        LockOptions { path: with_suffix(&self.path, &format!(".{suffix}")), ..self }
    }
}
