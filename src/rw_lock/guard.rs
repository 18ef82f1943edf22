//! The guards of readers and writers.

use std::ops::Deref;
use std::sync::Arc;

use super::Readers;
use crate::error::Error;
use crate::guard::LockGuard;
use crate::wait::park::{ThreadPark, run};

/// A lock that is held as a reader, with others: the [`LockGuard`] of the reader's own lock, or that of
/// tokio. Dropping it releases the lock.
///
/// A guard is a lease: a reader that stalls past it may find that a writer has come meanwhile, and
/// learns of it as any holder does.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("cache.lock");
/// use linklock::RwLock;
///
/// let guard = RwLock::new(&path)?.read()?;
/// guard.keep_alive(|why| eprintln!("what was read may be out of date: {why}"))?;
/// // ... read ...
/// guard.unlock()?; // or just drop it
/// # Ok::<(), linklock::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "dropping a guard releases its lock at once: bind it to a name, even to `_guard`"]
pub struct ReadGuard<G = LockGuard> {
    guard: G,
}

impl<G> ReadGuard<G> {
    pub(crate) fn new(guard: G) -> ReadGuard<G> {
        ReadGuard { guard }
    }

    /// The guard of the reader's lock, for the methods that use it up.
    pub fn into_guard(self) -> G {
        self.guard
    }
}

impl ReadGuard {
    /// Releases the lock. Blocks as [`LockGuard::unlock`] does.
    ///
    /// # Errors
    ///
    /// As for [`LockGuard::unlock`]: after [`Error::Lost`], what was read may be of two versions.
    pub fn unlock(self) -> Result<(), Error> {
        self.guard.unlock()
    }
}

impl<G> Deref for ReadGuard<G> {
    type Target = G;

    fn deref(&self) -> &G {
        &self.guard
    }
}

/// A lock that is held as its writer, alone: the [`LockGuard`] of the lock file, or that of tokio.
/// Dropping it releases the lock.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("cache.lock");
/// use linklock::RwLock;
///
/// let guard = RwLock::new(&path)?.write()?;
/// guard.keep_alive(|why| eprintln!("stop writing: {why}"))?;
/// // ... replace the files ...
/// guard.unlock()?; // or just drop it
/// # Ok::<(), linklock::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "dropping a guard releases its lock at once: bind it to a name, even to `_guard`"]
pub struct WriteGuard<G = LockGuard> {
    guard: G,
    readers: Arc<Readers>,
}

impl<G> WriteGuard<G> {
    pub(crate) fn new(guard: G, readers: Arc<Readers>) -> WriteGuard<G> {
        WriteGuard { guard, readers }
    }

    /// The guard of the lock file, for the methods that use it up.
    pub fn into_guard(self) -> G {
        self.guard
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn into_parts(self) -> (G, Arc<Readers>) {
        (self.guard, self.readers)
    }
}

impl WriteGuard {
    /// Releases the lock. Blocks as [`LockGuard::unlock`] does.
    ///
    /// # Errors
    ///
    /// As for [`LockGuard::unlock`].
    pub fn unlock(self) -> Result<(), Error> {
        self.guard.unlock()
    }

    /// Becomes a reader, with no moment in which another writer could hold the lock: readers that
    /// wait are let in. The new guard is not kept alive yet. Blocks for a few file operations.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("cache.lock");
    /// use linklock::RwLock;
    ///
    /// let cache = RwLock::new(&path)?;
    /// let writer = cache.write()?;
    /// // ... replace the files ...
    /// let reader = writer.downgrade()?;
    /// assert!(cache.clone().try_write().is_err());
    /// let another = cache.clone().read()?;
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`LockGuard::unlock`], and for [`RwLock::read`](super::RwLock::read). After an error the
    /// lock is released.
    pub fn downgrade(self) -> Result<ReadGuard, Error> {
        let reading = run(self.readers.begin(&ThreadPark))?;
        self.guard.unlock()?;
        let thread = self.readers.thread();
        Ok(ReadGuard::new(self.readers.hold(reading, Some(thread))))
    }
}

impl<G> Deref for WriteGuard<G> {
    type Target = G;

    fn deref(&self) -> &G {
        &self.guard
    }
}
