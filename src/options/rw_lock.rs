//! How options become a lock for readers and writers.

use std::path::PathBuf;

use super::LockOptions;
use crate::error::Error;
use crate::holder::Role;
use crate::lock::Lock;
use crate::model::machine::Machine;
use crate::model::memory::Memory;
use crate::rw_lock::{Readers, RwLock};

impl RwLock {
    /// Makes a lock for readers and writers with the default options: see [`LockOptions::rw_lock`].
    ///
    /// # Errors
    ///
    /// As for [`LockOptions::rw_lock`].
    pub fn new(path: impl Into<PathBuf>) -> Result<RwLock, Error> {
        Lock::options(path).rw_lock()
    }
}

impl LockOptions {
    /// Makes a lock for any number of readers at once, or one writer. Only writers get
    /// [fencing tokens](Self::fencing). The file system is not accessed yet, and nothing blocks.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("cache.lock");
    /// use std::time::Duration;
    /// use linklock::Lock;
    ///
    /// let cache = Lock::options(&path).lifetime(Duration::from_secs(60)).rw_lock()?;
    /// let guard = cache.read()?;
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`build`](Self::build). A reader's lock has a name of 22 bytes more.
    pub fn rw_lock(self) -> Result<RwLock, Error> {
        let machine = self.machine();
        self.rw_lock_on(&machine)
    }

    /// Makes it on a given machine, which may be a simulated one.
    pub(crate) fn rw_lock_on(self, machine: &Machine) -> Result<RwLock, Error> {
        let writer = self.clone().build_on(machine.clone())?;
        let memory = Memory {
            fairness: writer.context.memory.fairness.clone(),
            is_tried: writer.context.memory.is_tried.clone(),
            wake_address: writer.context.memory.wake_address.clone(),
            ..Memory::default()
        };
        // A reader needs its claim for a moment only, and mostly more than once.
        let options =
            LockOptions { role: Role::Entrance, keep_claim: true, fencing: false, ..self };
        let entrance = options.build_with(machine.clone(), memory)?;
        let readers = Readers::of(&writer);
        readers.check()?;
        Ok(RwLock::of(writer, entrance, readers))
    }
}
