//! The guards of the tokio face: their owner holds the lock.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::keep_alive::KeepAlive;
use super::pool::{leave_to_pool, on_pool};
use crate::error::Error;
use crate::guard::if_held;
use crate::protocol::tenure::Tenure;

/// A lock that is held: [`linklock::LockGuard`](crate::LockGuard), but its methods with file
/// operations are futures. It can move between tasks. Dropping it releases the lock, a moment
/// later: see [the module](crate::tokio#dropped-futures-guards-and-runtimes).
///
/// A guard is a lease, not a fence: the lock of a holder that stalls past its lease can be taken
/// over. The holder learns of it at the next [`refresh`](Self::refresh), [`verify`](Self::verify)
/// or [`unlock`](Self::unlock), or through [`keep_alive`](Self::keep_alive).
///
/// Drop never panics. A failure in it is reported through the feature `tracing` only; call
/// [`unlock`](Self::unlock) to get the error. To [detach](crate::LockGuard::detach) the lock,
/// convert the guard into a blocking one.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("report.lock");
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use linklock::tokio::Lock;
///
/// let guard = Lock::new(&path)?.lock().await?;
/// for part in 1..=3 {
///     // ... some work that takes well less than the lifetime ...
///     guard.refresh().await?;
/// }
/// guard.unlock().await?;
/// assert!(!path.exists());
/// # Ok::<(), linklock::Error>(())
/// # })?;
/// # Ok::<(), linklock::Error>(())
/// ```
#[must_use = "dropping a guard releases its lock at once: bind it to a name, even to `_guard`"]
pub struct LockGuard {
    /// `None` only while this is being dropped.
    blocking: Option<crate::LockGuard>,
}

/// The guard of a slot of [`Slots`](super::Slots).
pub type SlotGuard = crate::SlotGuard<LockGuard>;

/// The guard of a reader of an [`RwLock`](super::RwLock).
pub type ReadGuard = crate::ReadGuard<LockGuard>;

/// The guard of the writer of an [`RwLock`](super::RwLock).
pub type WriteGuard = crate::WriteGuard<LockGuard>;

impl LockGuard {
    /// The path of the lock file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.blocking().path()
    }

    /// The path of the claim that the lock file is a hard link to.
    #[must_use]
    pub fn claim_path(&self) -> &Path {
        self.blocking().claim_path()
    }

    /// The number of this acquisition, higher than those of all earlier ones; `None` unless the
    /// lock was made with [`fencing`](crate::LockOptions::fencing). See
    /// [Fencing tokens](crate::guide::leases#fencing-tokens).
    #[must_use]
    pub fn token(&self) -> Option<u64> {
        self.blocking().token()
    }

    /// How much longer the lease runs, by this machine's clock, without asking the server. Zero
    /// once it has ended.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.blocking().remaining()
    }

    /// When the lease ends, in the file server's time.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.blocking().expires_at()
    }

    /// Extends the lease to a whole lifetime from now.
    ///
    /// # If it is dropped
    ///
    /// The lock may or may not have been refreshed, and is held as before.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] if the lock is no longer ours; [`Error::Io`] if a file operation failed, or
    /// the runtime shuts down: the refresh may be tried again for as long as the lease runs;
    /// [`Error::Expired`] as for [the blocking guard](crate::LockGuard::refresh).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn refresh(&self) -> Result<(), Error> {
        self.on_pool(Tenure::refresh).await
    }

    /// Refreshes the lock with a new lifetime, which later refreshes keep to.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use std::time::Duration;
    ///
    /// let guard = linklock::tokio::Lock::new(&path)?.lock().await?;
    /// guard.refresh_for(Duration::from_secs(3600)).await?;
    /// assert!(guard.remaining() > Duration::from_secs(3590));
    /// # Ok::<(), linklock::Error>(())
    /// # })?;
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # If it is dropped
    ///
    /// As for [`refresh`](Self::refresh); later refreshes use the new lifetime.
    ///
    /// # Errors
    ///
    /// As for [`refresh`](Self::refresh), and [`Error::Invalid`] if the lifetime is not
    /// between 10 ms and ten years.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn refresh_for(&self, lifetime: Duration) -> Result<(), Error> {
        self.blocking().set_lifetime(lifetime)?;
        // Before the await: if this future is dropped, the keep-alive must still get the new
        // lifetime.
        self.blocking().reschedule();
        self.refresh().await
    }

    /// Refreshes the lock if it is still held, and returns whether it was.
    ///
    /// # If it is dropped
    ///
    /// As for [`refresh`](Self::refresh).
    ///
    /// # Errors
    ///
    /// As for [`refresh`](Self::refresh), except [`Error::Lost`].
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn refresh_if_held(&self) -> Result<bool, Error> {
        if_held(self.refresh().await)
    }

    /// Checks that the lock is ours and that its lease runs, without extending the lease, by one
    /// check of the lock file. The answer is valid for as long as [`remaining`](Self::remaining)
    /// shows.
    ///
    /// # If it is dropped
    ///
    /// The lock and its lease are unchanged.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] if the lock is no longer ours; [`Error::Expired`] if it is ours but its
    /// lease has ended, so that another process may take it at any time; [`Error::Io`] if that
    /// cannot be determined.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn verify(&self) -> Result<(), Error> {
        self.on_pool(Tenure::verify).await
    }

    /// Keeps the lock alive until it is released: from now on it is refreshed three times in each
    /// lifetime. The returned [`KeepAlive`] can be awaited to learn that the lock is lost
    /// nevertheless; dropping it changes nothing. Does not block.
    ///
    /// A refresh that fails temporarily (`EIO`, `ESTALE`, a server that does not answer) is tried
    /// again while the lease runs. The refreshes run on threads that all locks of the process
    /// share, [as those of a blocking guard do](crate::LockGuard::keep_alive): code that blocks the
    /// runtime or fills its pool does not delay them, and a refresh that hangs delays no other.
    ///
    /// A second call replaces the first, whose [`KeepAlive`] then reports nothing more.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let guard = linklock::tokio::Lock::new(&path)?.lock().await?;
    /// let mut kept = guard.keep_alive();
    /// tokio::select! {
    ///     Some(why) = kept.lost() => eprintln!("stopped: {why}"),
    ///     () = work() => guard.unlock().await?,
    /// }
    /// # Ok::<(), linklock::Error>(())
    /// # })?;
    /// # async fn work() {}
    /// # Ok::<(), linklock::Error>(())
    /// ```
    pub fn keep_alive(&self) -> KeepAlive {
        KeepAlive::start(self.blocking())
    }

    /// Releases the lock. Returns an error if it was lost or could not be released.
    ///
    /// # If it is dropped
    ///
    /// The lock is released nevertheless, as if the guard were dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] if the lock was no longer ours: what it guards may have changed while we
    /// worked on it. [`Error::Io`] if a file operation failed, or the runtime shuts down, and
    /// [`Error::Expired`] as for [the blocking guard](crate::LockGuard::unlock); in these cases the
    /// lock ends with its lease.
    ///
    /// # Panics
    ///
    /// Outside a runtime. The lock is released nevertheless.
    pub async fn unlock(self) -> Result<(), Error> {
        // If this future is dropped, the same handle may lock again at once.
        let leaving = Leaving(self.tenure().clone());
        let guard = crate::LockGuard::from(self);
        on_pool(leaving.0.context.lock_path(), move || guard.unlock()).await?
    }

    /// Releases the lock if it is still held, and returns whether it was.
    ///
    /// # If it is dropped
    ///
    /// As for [`unlock`](Self::unlock).
    ///
    /// # Errors
    ///
    /// As for [`unlock`](Self::unlock), except [`Error::Lost`].
    ///
    /// # Panics
    ///
    /// As for [`unlock`](Self::unlock).
    pub async fn unlock_if_held(self) -> Result<bool, Error> {
        if_held(self.unlock().await)
    }

    async fn on_pool(
        &self,
        work: impl FnOnce(&Tenure) -> Result<(), Error> + Send + 'static,
    ) -> Result<(), Error> {
        let tenure = self.tenure().clone();
        on_pool(self.path(), move || work(&tenure)).await?
    }

    fn tenure(&self) -> &Arc<Tenure> {
        self.blocking().tenure()
    }

    fn blocking(&self) -> &crate::LockGuard {
        self.blocking.as_ref().expect("the guard exists until it is dropped or converted")
    }
}

/// Keeps the tenure, and its keep-alive.
impl From<crate::LockGuard> for LockGuard {
    fn from(guard: crate::LockGuard) -> LockGuard {
        LockGuard { blocking: Some(guard) }
    }
}

/// Keeps the tenure, and its keep-alive, in a guard whose methods and drop block.
impl From<LockGuard> for crate::LockGuard {
    fn from(mut guard: LockGuard) -> crate::LockGuard {
        guard.blocking.take().expect("the guard exists until it is dropped or converted")
    }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        // `None` if the guard was converted into a blocking one.
        if let Some(blocking) = self.blocking.take() {
            // A forked child has no pool, and nothing to release.
            if blocking.tenure().is_ours() {
                blocking.tenure().abandon();
                leave_to_pool(blocking);
            }
        }
    }
}

impl fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.blocking().fmt(f)
    }
}

/// An unlock that is being awaited.
struct Leaving(Arc<Tenure>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
