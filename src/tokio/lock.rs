//! The lock of the tokio face: a handle, as in the blocking face.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::acquire::{AsyncWaitLimit, contend};
use super::guard::LockGuard;
use super::pool::leave_to_pool;
use crate::error::Error;
use crate::wait::limit::WaitLimit;

/// A lock that any program on any machine with the same directory can take:
/// [`linklock::Lock`](crate::Lock), but its methods are futures. See [the module](crate::tokio) for
/// what they need, and what happens to a future that is dropped.
///
/// A `Lock` is a handle, which holds nothing itself. Tasks exclude each other, whether they share a
/// handle or have a clone each. As with tokio's own `Mutex`, a task that waits for a guard of its
/// own waits for ever: tasks move between threads, so nothing shows that it is its own.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("report.lock");
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
/// use std::time::Duration;
/// use linklock::tokio::Lock;
///
/// let lock = Lock::from(linklock::Lock::options(&path).lifetime(Duration::from_secs(60)).build()?);
/// let tasks = [1, 2, 3].map(|_| {
///     let lock = lock.clone();
///     tokio::spawn(async move {
///         let guard = lock.lock().await?;
///         // ... one at a time ...
///         guard.unlock().await
///     })
/// });
/// for task in tasks {
///     task.await.expect("no task panics")?;
/// }
/// # Ok::<(), linklock::Error>(())
/// # })?;
/// # Ok::<(), linklock::Error>(())
/// ```
pub struct Lock {
    /// `None` only while this is being dropped.
    blocking: Option<Arc<crate::Lock>>,
}

impl Lock {
    /// A lock with the default options. To set options, make a
    /// [`linklock::Lock`](crate::Lock::options) and convert it.
    ///
    /// # Errors
    ///
    /// As for [`linklock::Lock::new`](crate::Lock::new).
    pub fn new(path: impl Into<PathBuf>) -> Result<Lock, Error> {
        crate::Lock::new(path).map(Lock::from)
    }

    /// Acquires the lock. Waits until it is acquired, or for the default timeout if the options set
    /// one.
    ///
    /// A waiter is woken when a process on this machine releases the lock, and polls for releases
    /// on other machines (see [`LockOptions::polling`](crate::LockOptions::polling)). A stale lock
    /// is taken over without further waiting.
    ///
    /// # If it is dropped
    ///
    /// The wait is cancelled, and nothing is left behind: see
    /// [the module](crate::tokio#dropped-futures-guards-and-runtimes). A later attempt joins the
    /// queue at its end.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] after the default timeout; [`Error::NoHardLinks`]; [`Error::Io`] if a
    /// file operation failed, or if the runtime shuts down. After an error no file is left behind.
    ///
    /// # Panics
    ///
    /// Outside a runtime, or if the future has to wait in a runtime without I/O or timers.
    pub async fn lock(&self) -> Result<LockGuard, Error> {
        self.acquire(WaitLimit::of(self.as_blocking().timeout())).await
    }

    /// Acquires the lock if it is free, which takes a few file operations.
    ///
    /// # If it is dropped
    ///
    /// As for [`lock`](Self::lock).
    ///
    /// # Errors
    ///
    /// [`Error::Held`] with its holder; otherwise as for [`lock`](Self::lock).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn try_lock(&self) -> Result<LockGuard, Error> {
        self.acquire(WaitLimit::None).await
    }

    /// Acquires the lock if that is possible within `time`, counted from when a thread of the pool
    /// begins the acquisition. Unlike a timeout around [`lock`](Self::lock), the error names the
    /// holder.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use std::time::Duration;
    /// use linklock::tokio::Lock;
    ///
    /// let lock = Lock::new(&path)?;
    /// let guard = lock.lock().await?;
    /// let error = lock.clone().try_lock_for(Duration::from_millis(50)).await.unwrap_err();
    /// assert_eq!(error.holder().unwrap().pid(), std::process::id());
    /// # Ok::<(), linklock::Error>(())
    /// # })?;
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # If it is dropped
    ///
    /// As for [`lock`](Self::lock).
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] with its holder; otherwise as for [`lock`](Self::lock).
    ///
    /// # Panics
    ///
    /// As for [`lock`](Self::lock).
    pub async fn try_lock_for(&self, time: Duration) -> Result<LockGuard, Error> {
        self.acquire(WaitLimit::For(time)).await
    }

    /// Acquires the lock if that is possible before `deadline`.
    ///
    /// # If it is dropped
    ///
    /// As for [`lock`](Self::lock).
    ///
    /// # Errors
    ///
    /// As for [`try_lock_for`](Self::try_lock_for).
    ///
    /// # Panics
    ///
    /// As for [`lock`](Self::lock).
    pub async fn try_lock_until(&self, deadline: Instant) -> Result<LockGuard, Error> {
        self.try_lock_for(deadline.saturating_duration_since(Instant::now())).await
    }

    async fn acquire(&self, limit: AsyncWaitLimit) -> Result<LockGuard, Error> {
        let lock = self.shared();
        // No guard was returned, so no tenure counts as held: if this is dropped, the handle may
        // lock again.
        let tenure = contend(lock, limit).await?;
        Ok(LockGuard::from(lock.hold(tenure, None)))
    }

    /// The path of the lock file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.as_blocking().path()
    }

    /// The blocking handle, for everything else. Its methods with file operations block, and should
    /// run in the runtime's pool, to which a clone of the handle can be moved.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use linklock::State;
    /// use linklock::tokio::Lock;
    ///
    /// let lock = Lock::new(&path)?;
    /// assert_eq!(lock.as_blocking().timeout(), None);
    /// let handle = lock.as_blocking().clone();
    /// let state = tokio::task::spawn_blocking(move || handle.state()).await.expect("no panic")?;
    /// assert_eq!(state, State::Unlocked);
    /// # Ok::<(), linklock::Error>(())
    /// # })?;
    /// # Ok::<(), linklock::Error>(())
    /// ```
    #[must_use]
    pub fn as_blocking(&self) -> &crate::Lock {
        self.shared()
    }

    fn shared(&self) -> &Arc<crate::Lock> {
        self.blocking.as_ref().expect("the handle exists until it is dropped")
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_blocking().fmt(f)
    }
}

/// The same handle: it keeps the lock that it holds.
impl From<crate::Lock> for Lock {
    fn from(lock: crate::Lock) -> Lock {
        Lock { blocking: Some(Arc::new(lock)) }
    }
}

/// An independent handle with the same path and options, which does not hold the lock.
impl Clone for Lock {
    fn clone(&self) -> Lock {
        Lock::from(self.as_blocking().clone())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Only a kept claim makes the drop of a handle take a file operation.
        if self.as_blocking().context.config.keep_claim {
            leave_to_pool(self.blocking.take());
        }
    }
}
