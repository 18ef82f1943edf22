//! The lock for readers and writers of the tokio face: a handle, as in the blocking face.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::acquire::{AsyncWaitLimit, drive};
use super::guard::{ReadGuard, WriteGuard};
use super::pool::leave_to_pool;
use crate::error::Error;
use crate::wait::limit::WaitLimit;
use crate::wait::yielding::Yielding;

/// A lock that any number of readers hold at once, or one writer:
/// [`linklock::RwLock`](crate::RwLock), but its methods are futures. See
/// [the module](crate::tokio) for what they need, and what happens to a future that is dropped.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("cache.lock");
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
/// use linklock::tokio::RwLock;
///
/// let cache = RwLock::new(&path)?;
/// let readers = [1, 2, 3].map(|_| {
///     let cache = cache.clone();
///     tokio::spawn(async move {
///         let guard = cache.read().await?;
///         // ... all at the same time ...
///         guard.unlock().await
///     })
/// });
/// for reader in readers {
///     reader.await.expect("no task panics")?;
/// }
/// let guard = cache.write().await?.downgrade().await?;
/// # Ok::<(), linklock::Error>(())
/// # })?;
/// # Ok::<(), linklock::Error>(())
/// ```
#[derive(Clone)]
pub struct RwLock {
    /// `None` only while this is being dropped.
    blocking: Option<Arc<crate::RwLock>>,
}

impl RwLock {
    /// A lock with the default options. To set options, make a
    /// [`linklock::RwLock`](crate::LockOptions::rw_lock) and convert it.
    ///
    /// # Errors
    ///
    /// As for [`linklock::RwLock::new`](crate::RwLock::new).
    pub fn new(path: impl Into<PathBuf>) -> Result<RwLock, Error> {
        crate::RwLock::new(path).map(RwLock::from)
    }

    /// Acquires the lock as a reader. Waits until that is done, or for the default timeout if the
    /// options set one.
    ///
    /// # If it is dropped
    ///
    /// As for [`Lock::lock`](super::Lock::lock).
    ///
    /// # Errors
    ///
    /// As for [`Lock::lock`](super::Lock::lock).
    ///
    /// # Panics
    ///
    /// As for [`Lock::lock`](super::Lock::lock).
    pub async fn read(&self) -> Result<ReadGuard, Error> {
        self.begin_read(self.usual()).await
    }

    /// Acquires the lock as a reader if no writer holds it or waits for its readers, which takes a few
    /// file operations, and waits while other readers do the same.
    ///
    /// # If it is dropped
    ///
    /// As for [`read`](Self::read).
    ///
    /// # Errors
    ///
    /// [`Error::Held`] with the writer; otherwise as for [`read`](Self::read).
    ///
    /// # Panics
    ///
    /// As for [`read`](Self::read).
    pub async fn try_read(&self) -> Result<ReadGuard, Error> {
        self.begin_read(WaitLimit::None).await
    }

    /// Acquires the lock as a reader if that is possible within `time`, counted from when a thread of
    /// the pool begins the acquisition.
    ///
    /// # If it is dropped
    ///
    /// As for [`read`](Self::read).
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] with the writer; otherwise as for [`read`](Self::read).
    ///
    /// # Panics
    ///
    /// As for [`read`](Self::read).
    pub async fn try_read_for(&self, time: Duration) -> Result<ReadGuard, Error> {
        self.begin_read(WaitLimit::For(time)).await
    }

    /// Acquires the lock as a reader if that is possible before `deadline`.
    ///
    /// # If it is dropped
    ///
    /// As for [`read`](Self::read).
    ///
    /// # Errors
    ///
    /// As for [`try_read_for`](Self::try_read_for).
    ///
    /// # Panics
    ///
    /// As for [`read`](Self::read).
    pub async fn try_read_until(&self, deadline: Instant) -> Result<ReadGuard, Error> {
        self.try_read_for(deadline.saturating_duration_since(Instant::now())).await
    }

    /// Acquires the lock as its writer. Waits until no other writer and no reader holds it, or for the
    /// default timeout if the options set one.
    ///
    /// # If it is dropped
    ///
    /// As for [`Lock::lock`](super::Lock::lock).
    ///
    /// # Errors
    ///
    /// As for [`Lock::lock`](super::Lock::lock), and as for
    /// [`linklock::RwLock::write`](crate::RwLock::write).
    ///
    /// # Panics
    ///
    /// As for [`Lock::lock`](super::Lock::lock).
    pub async fn write(&self) -> Result<WriteGuard, Error> {
        self.begin_write(self.usual()).await
    }

    /// Acquires the lock as its writer if nobody holds it, which takes a few file operations.
    ///
    /// # If it is dropped
    ///
    /// As for [`write`](Self::write).
    ///
    /// # Errors
    ///
    /// [`Error::Held`] with the writer or one of the readers; otherwise as for
    /// [`write`](Self::write).
    ///
    /// # Panics
    ///
    /// As for [`write`](Self::write).
    pub async fn try_write(&self) -> Result<WriteGuard, Error> {
        self.begin_write(WaitLimit::None).await
    }

    /// Acquires the lock as its writer if that is possible within `time`, counted from when a thread
    /// of the pool begins the acquisition.
    ///
    /// # If it is dropped
    ///
    /// As for [`write`](Self::write).
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] with the writer or one of the readers; otherwise as for
    /// [`write`](Self::write).
    ///
    /// # Panics
    ///
    /// As for [`write`](Self::write).
    pub async fn try_write_for(&self, time: Duration) -> Result<WriteGuard, Error> {
        self.begin_write(WaitLimit::For(time)).await
    }

    /// Acquires the lock as its writer if that is possible before `deadline`.
    ///
    /// # If it is dropped
    ///
    /// As for [`write`](Self::write).
    ///
    /// # Errors
    ///
    /// As for [`try_write_for`](Self::try_write_for).
    ///
    /// # Panics
    ///
    /// As for [`write`](Self::write).
    pub async fn try_write_until(&self, deadline: Instant) -> Result<WriteGuard, Error> {
        self.try_write_for(deadline.saturating_duration_since(Instant::now())).await
    }

    fn usual(&self) -> AsyncWaitLimit {
        WaitLimit::of(self.shared().parts().0.timeout())
    }

    async fn begin_read(&self, limit: AsyncWaitLimit) -> Result<ReadGuard, Error> {
        let contender = self.shared().clone();
        let contention =
            |parker: Arc<Yielding>| async move { contender.enter(limit, &*parker).await };
        let (lock, readers) = self.shared().parts();
        let reading = drive(&lock.context, contention).await?;
        Ok(ReadGuard::new(readers.hold(reading, None).into()))
    }

    async fn begin_write(&self, limit: AsyncWaitLimit) -> Result<WriteGuard, Error> {
        let contender = self.shared().clone();
        let contention =
            |parker: Arc<Yielding>| async move { contender.exclude(limit, &*parker).await };
        let (lock, readers) = self.shared().parts();
        let tenure = drive(&lock.context, contention).await?;
        Ok(WriteGuard::new(lock.hold(tenure, None).into(), readers.clone()))
    }

    /// The path of the lock file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.shared().path()
    }

    /// The blocking handle, for everything else.
    #[must_use]
    pub fn as_blocking(&self) -> &crate::RwLock {
        self.shared()
    }

    fn shared(&self) -> &Arc<crate::RwLock> {
        self.blocking.as_ref().expect("the handle exists until it is dropped")
    }
}

impl Drop for RwLock {
    fn drop(&mut self) {
        leave_to_pool(self.blocking.take()); // it may have kept claims
    }
}

impl fmt::Debug for RwLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_blocking().fmt(f)
    }
}

impl From<crate::RwLock> for RwLock {
    fn from(lock: crate::RwLock) -> RwLock {
        RwLock { blocking: Some(Arc::new(lock)) }
    }
}

impl ReadGuard {
    /// Releases the lock: see [`LockGuard::unlock`](super::LockGuard::unlock).
    ///
    /// # If it is dropped
    ///
    /// As for [`LockGuard::unlock`](super::LockGuard::unlock).
    ///
    /// # Errors
    ///
    /// As for [`LockGuard::unlock`](super::LockGuard::unlock): after [`Error::Lost`], what was read may be of two versions.
    ///
    /// # Panics
    ///
    /// As for [`LockGuard::unlock`](super::LockGuard::unlock).
    pub async fn unlock(self) -> Result<(), Error> {
        self.into_guard().unlock().await
    }
}

impl WriteGuard {
    /// Releases the lock: see [`LockGuard::unlock`](super::LockGuard::unlock).
    ///
    /// # If it is dropped
    ///
    /// As for [`LockGuard::unlock`](super::LockGuard::unlock).
    ///
    /// # Errors
    ///
    /// As for [`LockGuard::unlock`](super::LockGuard::unlock).
    ///
    /// # Panics
    ///
    /// As for [`LockGuard::unlock`](super::LockGuard::unlock).
    pub async fn unlock(self) -> Result<(), Error> {
        self.into_guard().unlock().await
    }

    /// Becomes a reader, with no moment in which another writer could hold the lock: readers that
    /// wait are let in. The new guard is not kept alive yet.
    ///
    /// # If it is dropped
    ///
    /// The lock is released.
    ///
    /// # Errors
    ///
    /// As for [`LockGuard::unlock`](super::LockGuard::unlock), and for [`RwLock::read`]. After an error the lock is released.
    ///
    /// # Panics
    ///
    /// As for [`RwLock::read`].
    pub async fn downgrade(self) -> Result<ReadGuard, Error> {
        let (guard, readers) = self.into_parts();
        let contender = readers.clone();
        let contention = |parker: Arc<Yielding>| async move { contender.begin(&*parker).await };
        let reading = drive(readers.context(), contention).await?;
        guard.unlock().await?;
        Ok(ReadGuard::new(readers.hold(reading, None).into()))
    }
}
