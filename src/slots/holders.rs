//! The holders of the slots of a set.

use std::ffi::OsStr;

use super::Slots;
use crate::error::{Error, Operation};
use crate::holder::Holder;
use crate::lock::Lock;
use crate::model::names::{Names, with_suffix};
use crate::protocol::observe::{Observation, observe};
use crate::sys::os_str::OsStrExt;

impl Slots {
    /// The holders of slots, with their slots' numbers, in order. Holders of slots beyond this set's
    /// number are among them. A holder that acquired its slot through a set
    /// [knows](Holder::slots) how many slots that set had: where that is not this set's number,
    /// contenders do not agree. Lists the directory; blocks for a few file operations for each slot
    /// that is held.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("encode.lock");
    /// use linklock::Slots;
    ///
    /// let six = Slots::new(&path, 6)?;
    /// let guards = [six.clone().lock()?, six.clone().lock()?];
    /// let four = Slots::new(&path, 4)?;
    /// let holders = four.holders()?;
    /// assert_eq!(holders.len(), 2);
    /// assert!(holders.iter().all(|(_, holder)| holder.slots() == Some(6)));
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the directory cannot be listed, or a lock file cannot be read.
    pub fn holders(&self) -> Result<Vec<(usize, Holder)>, Error> {
        let dir = self.queue.context.names.dir();
        let entries = self.queue.context.machine.fs.list(dir);
        let entries = entries.map_err(Error::io(Operation::List, dir))?;
        let mut slots: Vec<_> = entries.iter().filter_map(|entry| self.slot_of(entry)).collect();
        slots.sort_unstable();
        let mut holders = Vec::new();
        for slot in slots {
            let beyond = self.locks.get(slot).is_none().then(|| self.beyond(slot)).transpose()?;
            let lock = beyond.as_ref().unwrap_or_else(|| &self.locks[slot]);
            if let Observation::Held(_, holder) = observe(&lock.context)? {
                holders.push((slot, holder));
            }
        }
        Ok(holders)
    }

    /// The number of the slot whose lock file this entry of the directory is, if it is one's.
    fn slot_of(&self, entry: &OsStr) -> Option<usize> {
        let base = self.path.file_name()?.as_bytes();
        let number = entry.as_bytes().strip_prefix(base)?.strip_prefix(b".")?;
        usize::try_from(Names::parse_counter(OsStr::from_bytes(number))?).ok()
    }

    /// The lock of a slot that this set does not have.
    fn beyond(&self, slot: usize) -> Result<Lock, Error> {
        let path = with_suffix(&self.path, &format!(".{slot}"));
        self.locks[0].with_file_name(path.file_name().unwrap_or_default())
    }
}
