//! The locks of readers, beside the lock file.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use super::read::{ATTEMPTS, Reading};
use crate::error::{Error, Operation};
use crate::guard::LockGuard;
use crate::holder::{Holder, Obstacle};
use crate::lock::Lock;
use crate::model::config::Config;
use crate::model::context::Context;
use crate::model::memory::Memory;
use crate::protocol::observe::{Observation, observe};
use crate::protocol::tenure::Tenure;
use crate::wait::limit::WaitLimit;
use crate::wait::park::Park;

/// Makes readers' locks with the options of their lock, and finds those that others have made.
pub(crate) struct Readers {
    /// The context of the lock.
    lock: Arc<Context>,
    lifetime: Duration,
    /// This handle's readers, as far as they are threads.
    current: Mutex<Vec<(u64, Weak<Tenure>)>>,
}

impl Readers {
    pub(crate) fn of(lock: &Lock) -> Readers {
        Readers { lock: lock.context.clone(), lifetime: lock.lifetime(), current: Mutex::default() }
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn context(&self) -> &Context {
        &self.lock
    }

    /// The same for another handle of the lock.
    pub(super) fn handle(&self) -> Readers {
        Readers { lock: self.lock.clone(), lifetime: self.lifetime, current: Mutex::default() }
    }

    /// Whether readers' locks can have the names that they need.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let path = self.lock.names.new_reader(0);
        let checked = self.lock.names.of_reader(path.clone()).check_length();
        checked.map_err(|bad| Error::Invalid { path, reason: bad.to_string() })
    }

    /// Acquires a reader's lock of our own. Its name is new, so nobody contends for it but a writer that
    /// finds it there after a stall of ours.
    pub(crate) async fn begin(&self, parker: &impl Park) -> Result<Reading, Error> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let lock = self.reader(self.lock.names.new_reader((self.lock.machine.random)()));
            let limit = WaitLimit::<fn(&Obstacle) -> Duration>::None;
            match lock.contend(lock.begin_acquisition(), limit, parker).await {
                Err(error) if error.is_contention() && attempts < ATTEMPTS => {}
                begun => return begun.map(|tenure| Reading { lock, tenure }),
            }
        }
    }

    /// Makes this handle a reader, by a tenure of this thread's or, if it is `None`, of a task's.
    pub(crate) fn hold(&self, reading: Reading, thread: Option<u64>) -> LockGuard {
        let guard = reading.lock.hold(reading.tenure, thread);
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.retain(|(_, tenure)| is_held(tenure));
        current.extend(thread.map(|thread| (thread, Arc::downgrade(guard.tenure()))));
        guard
    }

    pub(super) fn thread(&self) -> u64 {
        self.lock.machine.processes.thread()
    }

    /// Whether this thread is a reader through this handle.
    pub(super) fn is_held_by(&self, thread: u64) -> bool {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.iter().any(|(by, tenure)| *by == thread && is_held(tenure))
    }

    /// The locks of all readers that are in. A writer lists them while it holds the lock file, so that no
    /// other enters.
    pub(super) fn list(&self) -> Result<Vec<Reader>, Error> {
        let entries = self.entries()?;
        let paths = entries.iter().filter_map(|entry| self.lock.names.parse_reader(entry));
        Ok(paths.map(|path| Reader(self.reader(path))).collect())
    }

    fn entries(&self) -> Result<Vec<OsString>, Error> {
        let (machine, dir) = (&self.lock.machine, self.lock.names.dir());
        machine.retry_estale(|| machine.fs.list(dir)).map_err(Error::io(Operation::List, dir))
    }

    pub(super) fn holders(&self) -> Result<Vec<Holder>, Error> {
        let mut holders = Vec::new();
        for Reader(lock) in self.list()? {
            if let Observation::Held(_, holder) = observe(&lock.context)? {
                holders.push(holder);
            }
        }
        Ok(holders)
    }

    /// Takes over the locks of readers that are stale, and removes them. Returns how many there were.
    /// Sweeps what dead readers have left beside their locks, too.
    pub(super) fn sweep(&self) -> Result<usize, Error> {
        let mut swept = 0;
        let entries = self.entries()?;
        let left = entries.iter().filter_map(|entry| self.lock.names.parse_beside_reader(entry));
        for path in left.collect::<BTreeSet<_>>() {
            self.reader(path).sweep()?;
        }
        for Reader(lock) in self.list()? {
            match lock.try_lock() {
                Ok(guard) => {
                    guard.unlock()?;
                    swept += 1;
                }
                Err(error) if error.is_contention() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(swept)
    }

    /// The reader's lock with this path.
    fn reader(&self, path: PathBuf) -> Lock {
        let Context { names, config, machine, memory } = &*self.lock;
        // It has one tenure, and only one writer at a time waits for it.
        let config = Config { fencing: false, keep_claim: false, ..config.clone() };
        let memory = Memory {
            queue: OnceLock::from(None),
            is_tried: memory.is_tried.clone(),
            wake_address: memory.wake_address.clone(),
            has_swept: AtomicBool::new(true),
            ..Memory::default()
        };
        let names = names.of_reader(path);
        let context = Context { names, config, machine: machine.clone(), memory };
        Lock::with(context, self.lifetime, None)
    }
}

fn is_held(tenure: &Weak<Tenure>) -> bool {
    tenure.upgrade().is_some_and(|tenure| tenure.is_held())
}

/// The lock of another reader, as a writer waits for it.
pub(super) struct Reader(pub(super) Lock);

impl Reader {
    /// Waits until the reader is gone, for good; or returns what it is when the limit is reached.
    pub(super) async fn outlast<W: FnMut(&Obstacle) -> Duration>(
        &self,
        limit: WaitLimit<'_, W>,
        parker: &impl Park,
    ) -> Result<Result<(), Obstacle>, Error> {
        match self.0.contend(self.0.begin_acquisition(), limit, parker).await {
            Ok(tenure) => tenure.release().map(Ok),
            Err(Error::Held { obstacle, .. } | Error::TimedOut { obstacle, .. }) => {
                Ok(Err(*obstacle))
            }
            Err(error) => Err(error),
        }
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").field("path", &self.lock.lock_path()).finish_non_exhaustive()
    }
}
