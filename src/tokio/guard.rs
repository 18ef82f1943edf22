//! The guard: its owner holds the lock.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::keep_alive::KeepAlive;
use super::pool::{leave_to_pool, on_pool};
use crate::error::Error;
use crate::guard::if_held;
use crate::protocol::tenure::Tenure;

/// A lock that is held: [`linklock::LockGuard`](crate::LockGuard), but what takes file operations is
/// a future. It can go from task to task. Dropping it releases the lock, a moment later: see
/// [the module](crate::tokio#dropped-futures-guards-and-runtimes).
///
/// A guard is a lease, not a fence: the lock of a holder that stalls past its lease can be taken over, which it learns
/// at the next [`refresh`](Self::refresh), [`verify`](Self::verify) or [`unlock`](Self::unlock),
/// or through [`keep_alive`](Self::keep_alive).
///
/// Drop never panics. What fails in it is reported through the feature `tracing`; call
/// [`unlock`](Self::unlock) to be told. To [detach](crate::LockGuard::detach) the lock, convert the
/// guard into a blocking one.
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
    /// `None` only while this is dropped.
    blocking: Option<crate::LockGuard>,
}

impl LockGuard {
    /// The lock file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.blocking().path()
    }

    /// The claim that the lock file is a hard link to.
    #[must_use]
    pub fn claim_path(&self) -> &Path {
        self.blocking().claim_path()
    }

    /// The number of this acquisition, higher than those of all before it, if the lock was made
    /// with [`fencing`](crate::LockOptions::fencing). See [Fencing tokens](crate::guide::leases#fencing-tokens).
    #[must_use]
    pub fn token(&self) -> Option<u64> {
        self.blocking().token()
    }

    /// For how much longer the lease runs: by this machine's clock, without asking the server.
    /// Zero once it is over.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.blocking().remaining()
    }

    /// When the lease ends, in the file server's time.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.blocking().expires_at()
    }

    /// Makes the lease a whole lifetime from now.
    ///
    /// # If it is dropped
    ///
    /// The lock may have been refreshed or not, and is held as before.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] if the lock is not ours any more; [`Error::Io`] if a file operation failed,
    /// in which case it may be tried again for as long as the lease runs.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn refresh(&self) -> Result<(), Error> {
        self.on_pool(Tenure::refresh).await
    }

    /// Makes the lease, and those of later refreshes, `lifetime` long.
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
    /// As for [`refresh`](Self::refresh); later refreshes go by the new lifetime.
    ///
    /// # Errors
    ///
    /// As for [`refresh`](Self::refresh), and [`Error::Invalid`] for a lifetime that no lock can
    /// have.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn refresh_for(&self, lifetime: Duration) -> Result<(), Error> {
        self.blocking().set_lifetime(lifetime)?;
        // Before it is awaited: if this is dropped, the new lifetime counts for the keep-alive all the same.
        self.blocking().reschedule();
        self.refresh().await
    }

    /// Refreshes the lock if it is still held, and says whether it was.
    ///
    /// # If it is dropped
    ///
    /// As for [`refresh`](Self::refresh).
    ///
    /// # Errors
    ///
    /// As for [`refresh`](Self::refresh), but for [`Error::Lost`].
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn refresh_if_held(&self) -> Result<bool, Error> {
        if_held(self.refresh().await)
    }

    /// Makes sure, without prolonging anything, that the lock is ours and that its lease runs, by one
    /// look at the lock file. An answer is as good as [`remaining`](Self::remaining) is long.
    ///
    /// # If it is dropped
    ///
    /// Nothing has changed.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] if the lock is not ours any more; [`Error::Expired`] if it is but its lease
    /// is over, so that another may take it at any time; [`Error::Io`] if that can't be told.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn verify(&self) -> Result<(), Error> {
        self.on_pool(Tenure::verify).await
    }

    /// Keeps the lock alive until it is released: from now on it is refreshed three times in each
    /// lifetime. What this returns can be awaited, and then says if the lock is lost nevertheless; it
    /// need not be kept.
    ///
    /// A refresh that fails for the time being (`EIO`, `ESTALE`, a server that does not answer) is
    /// tried again while the lease runs. The refreshes are done by threads that all locks of the
    /// process share, [as those of a blocking guard](crate::LockGuard::keep_alive): whatever blocks
    /// the runtime or fills its pool does not delay them, and one that hangs delays no other.
    ///
    /// Asked again, it begins again, and the one before it has nothing more to say.
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

    /// Releases the lock, and says how that went.
    ///
    /// # If it is dropped
    ///
    /// The lock is released all the same, as if the guard were dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] if the lock was not ours any more: what it guards may have changed while we
    /// worked on it. [`Error::Io`] if a file operation failed; the lock ends by its lease then.
    ///
    /// # Panics
    ///
    /// Outside a runtime. The lock is released.
    pub async fn unlock(self) -> Result<(), Error> {
        // After this is dropped the same handle may lock again.
        let leaving = Leaving(self.tenure().clone());
        let guard = crate::LockGuard::from(self);
        on_pool(leaving.0.context.lock_path(), move || guard.unlock()).await?
    }

    /// Releases the lock if it is still held, and says whether it was.
    ///
    /// # If it is dropped
    ///
    /// As for [`unlock`](Self::unlock).
    ///
    /// # Errors
    ///
    /// As for [`unlock`](Self::unlock), but for [`Error::Lost`].
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
        self.blocking.as_ref().expect("it is there until the guard is gone")
    }
}

/// The same tenure, kept alive as before.
impl From<crate::LockGuard> for LockGuard {
    fn from(guard: crate::LockGuard) -> LockGuard {
        LockGuard { blocking: Some(guard) }
    }
}

/// The same tenure, kept alive as before, in a guard whose methods block, and whose drop does.
impl From<LockGuard> for crate::LockGuard {
    fn from(mut guard: LockGuard) -> crate::LockGuard {
        guard.blocking.take().expect("it is there until the guard is gone")
    }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        // Unless it was made a blocking one.
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

/// An unlock that is awaited.
struct Leaving(Arc<Tenure>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
