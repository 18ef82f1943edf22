//! The guard of the blocking face: its owner holds the lock.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::error::{Error, Operation};
use crate::holder::Owner;
use crate::keep_alive::report::KeepAlive;
use crate::keep_alive::thread::Renewing;
use crate::model::lease::check_lifetime;
use crate::protocol::tenure::Tenure;
use crate::protocol::transfer::detach;

/// A lock that is held. Dropping it releases the lock.
///
/// A guard is a lease, not a fence: the lock of a holder that stalls past its lease can be taken
/// over. The holder learns of it at the next [`refresh`](Self::refresh), [`verify`](Self::verify)
/// or [`unlock`](Self::unlock), or through [`keep_alive`](Self::keep_alive).
///
/// Drop blocks for the file operations of a release, and never panics. A failure in it is reported
/// through the feature `tracing` only; call [`unlock`](Self::unlock) to get the error. In a forked
/// child, which does not hold the lock, drop has no effect.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("report.lock");
/// use linklock::Lock;
///
/// let guard = Lock::new(&path)?.lock()?;
/// for part in 1..=3 {
///     // ... some work that takes well less than the lifetime ...
///     guard.refresh()?;
/// }
/// guard.unlock()?;
/// assert!(!path.exists());
/// # Ok::<(), linklock::Error>(())
/// ```
#[must_use = "dropping a guard releases its lock at once: bind it to a name, even to `_guard`"]
pub struct LockGuard {
    tenure: Arc<Tenure>,
    claim_path: Arc<Path>,
    kept_alive: Mutex<Option<Renewing>>,
}

impl LockGuard {
    pub(crate) fn new(tenure: Arc<Tenure>) -> LockGuard {
        let claim_path = tenure.claim().path.clone();
        LockGuard { tenure, claim_path, kept_alive: Mutex::default() }
    }

    /// The path of the lock file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.tenure.context.lock_path()
    }

    /// The path of the claim that the lock file is a hard link to. flufl.lock: `claimfile`.
    #[must_use]
    pub fn claim_path(&self) -> &Path {
        &self.claim_path
    }

    /// The number of this acquisition, higher than those of all earlier ones; `None` unless the
    /// lock was made with [`fencing`](crate::LockOptions::fencing). See
    /// [Fencing tokens](crate::guide::leases#fencing-tokens).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// let lock = linklock::Lock::options(&path).fencing(true).build()?;
    /// let first = lock.lock()?.token();
    /// let second = lock.lock()?.token();
    /// assert!(first.is_some() && first < second);
    /// # Ok::<(), linklock::Error>(())
    /// ```
    #[must_use]
    pub fn token(&self) -> Option<u64> {
        self.tenure.token
    }

    /// Extends the lease to a whole lifetime from now. flufl.lock: `refresh()`.
    ///
    /// Blocks for a few file operations: while the lease runs, one to set the time and one to
    /// check; after its end, also those of a [takeover](crate::guide::safety#the-argument), and,
    /// while another process is about to take the lock, until that is decided.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] if the lock is no longer ours; [`Error::Io`] if a file operation failed: the
    /// refresh may be tried again for as long as the lease runs; [`Error::Expired`] if the lease
    /// had ended, and it was still undecided after the time of four seats (15 s and the clock slop
    /// each) which process holds the lock.
    pub fn refresh(&self) -> Result<(), Error> {
        self.tenure.refresh()
    }

    /// Refreshes the lock with a new lifetime, which later refreshes keep to. flufl.lock:
    /// `refresh(lifetime)`. Blocks as [`refresh`](Self::refresh) does.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// use std::time::Duration;
    ///
    /// let guard = linklock::Lock::new(&path)?.lock()?;
    /// guard.refresh_for(Duration::from_secs(3600))?;
    /// assert!(guard.remaining() > Duration::from_secs(3590));
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`refresh`](Self::refresh), and [`Error::Invalid`] if the lifetime is not
    /// between 10 ms and ten years.
    pub fn refresh_for(&self, lifetime: Duration) -> Result<(), Error> {
        self.set_lifetime(lifetime)?;
        let refreshed = self.tenure.refresh();
        self.reschedule();
        refreshed
    }

    pub(crate) fn set_lifetime(&self, lifetime: Duration) -> Result<(), Error> {
        check_lifetime(self.path(), lifetime)?;
        self.tenure.set_lifetime(lifetime);
        Ok(())
    }

    /// Adapts the keep-alive, if there is one, to the new lifetime.
    pub(crate) fn reschedule(&self) {
        if self.tenure.is_ours() {
            if let Some(kept) = &*self.kept_alive.lock().unwrap_or_else(PoisonError::into_inner) {
                kept.reschedule(&*self.tenure);
            }
        }
    }

    /// Refreshes the lock if it is still held, and returns whether it was. flufl.lock:
    /// `refresh(unconditionally=True)`. Blocks as [`refresh`](Self::refresh) does.
    ///
    /// # Errors
    ///
    /// As for [`refresh`](Self::refresh), except [`Error::Lost`].
    pub fn refresh_if_held(&self) -> Result<bool, Error> {
        if_held(self.refresh())
    }

    /// Checks that the lock is ours and that its lease runs, without extending the lease.
    ///
    /// Blocks for one check of the lock file, which asks the file server. The answer is valid for as
    /// long as [`remaining`](Self::remaining) shows.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] if the lock is no longer ours; [`Error::Expired`] if it is ours but its
    /// lease has ended, so that another process may take it at any time; [`Error::Io`] if that
    /// cannot be determined.
    pub fn verify(&self) -> Result<(), Error> {
        self.tenure.verify()
    }

    /// How much longer the lease runs, by this machine's clock, without asking the server. Zero
    /// once it has ended.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.tenure.remaining()
    }

    /// When the lease ends, in the file server's time. flufl.lock: `expiration`.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.tenure.expires_at()
    }

    /// Keeps the lock alive until it is released: from now on another thread refreshes it three
    /// times in each lifetime. All locks of the process share one or two such threads, plus one for
    /// each refresh that hangs, so that it delays no other lock's refresh. Blocks for no file
    /// operation.
    ///
    /// A refresh that fails temporarily (`EIO`, `ESTALE`, a server that does not answer) is tried
    /// again while the lease runs. If the lock is lost nevertheless, `on_lost` is called once, on
    /// such a thread, with the reason: [`Error::Lost`], or [`Error::Expired`] with the error that
    /// prevented the refresh. It should stop the work at once. Other locks do not wait for it.
    ///
    /// A second call replaces the `on_lost` of the first.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// use std::sync::Arc;
    ///
    /// let guard = linklock::Lock::new(&path)?.lock()?;
    /// let stop = Arc::new(AtomicBool::new(false));
    /// let stopped = stop.clone();
    /// guard.keep_alive(move |why| {
    ///     eprintln!("{why}");
    ///     stopped.store(true, Ordering::Relaxed);
    /// })?;
    /// while !stop.load(Ordering::Relaxed) {
    ///     // ... a piece of the work ...
    /// #   break;
    /// }
    /// guard.unlock()?;
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if no thread can be started.
    pub fn keep_alive(&self, on_lost: impl FnOnce(Error) + Send + 'static) -> Result<(), Error> {
        let kept = Renewing::start(&self.tenure, Box::new(on_lost))
            .map_err(Error::io(Operation::KeepAlive, self.path()))?;
        self.put_keep_alive(Some(kept));
        Ok(())
    }

    /// Keeps the lock alive as [`keep_alive`](Self::keep_alive) does, and returns a value that reports
    /// a loss instead of calling a function: it can be asked, and waited for. Dropping it does
    /// not end the keep-alive. Replaces an earlier call, of either kind, which then reports nothing more.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// let guard = linklock::Lock::new(&path)?.lock()?;
    /// let kept = guard.kept_alive()?;
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| match kept.lost() {
    ///         Some(why) => eprintln!("stop the work: {why}"),
    ///         None => {} // it was released
    ///     });
    ///     // ... the work, which asks kept.is_lost() now and then ...
    ///     guard.unlock()
    /// })?;
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`keep_alive`](Self::keep_alive).
    pub fn kept_alive(&self) -> Result<KeepAlive, Error> {
        let (kept, on_lost) = KeepAlive::begin();
        self.keep_alive(on_lost)?;
        Ok(kept)
    }

    /// Releases the lock. Returns an error if it was lost or could not be released. flufl.lock:
    /// `unlock()`.
    ///
    /// Blocks for a few file operations; after the lease's end, also for those of a
    /// [takeover](crate::guide::safety#the-argument), as [`refresh`](Self::refresh) does. A forked
    /// child gets [`Error::Lost`]: it never had the lock.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] if the lock was no longer ours: what it guards may have changed while we
    /// worked on it. [`Error::Io`] if a file operation failed, and [`Error::Expired`] if the lease
    /// had ended and other processes occupied its seats for the time of 64 of them (half an hour by
    /// default); in both cases the lock ends with its lease.
    pub fn unlock(self) -> Result<(), Error> {
        self.tenure.release() // kept alive until then, however long that takes
    }

    /// Releases the lock if it is still held, and returns whether it was. flufl.lock:
    /// `unlock(unconditionally=True)`. Blocks as [`unlock`](Self::unlock) does.
    ///
    /// # Errors
    ///
    /// As for [`unlock`](Self::unlock), except [`Error::Lost`].
    pub fn unlock_if_held(self) -> Result<bool, Error> {
        if_held(self.unlock())
    }

    /// Releases a lock that others may end at the same time with [`Lock::end_if`](crate::Lock::end_if),
    /// and returns whether this call did: of all that try, exactly one succeeds. For that it goes by the
    /// rules of a [takeover](crate::guide::safety#the-argument), as they do, where
    /// [`unlock`](Self::unlock) relies on being alone. Emits no event of a loss. The guard has no lock
    /// any more, whatever comes of it.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// use linklock::Lock;
    ///
    /// let (one, other) = (Lock::new(&path)?.lock()?, Lock::new(&path)?);
    /// assert!(one.end()?);
    /// let two = other.lock()?;
    /// assert!(Lock::new(&path)?.end_if(|_| true)?.is_some());
    /// assert!(!two.end()?);
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`unlock`](Self::unlock), except [`Error::Lost`].
    pub fn end(&self) -> Result<bool, Error> {
        self.tenure.events.expect_loss();
        self.tenure.share();
        if_held(self.tenure.release())
    }

    /// Drops the guard if its lock is gone, without reporting a loss: for a program that has ended
    /// the lock with [`Lock::end_if`](crate::Lock::end_if). Otherwise returns the guard, refreshed
    /// if possible. Blocks as [`refresh`](Self::refresh) does.
    ///
    /// # Errors
    ///
    /// The guard, if the lock is still held or if that is uncertain.
    pub fn discard_if_lost(self) -> Result<(), LockGuard> {
        self.tenure.events.expect_loss();
        match self.refresh() {
            Err(Error::Lost { .. }) => Ok(()),
            Ok(()) | Err(_) => Err(self),
        }
    }

    /// Leaves the lock held after the guard is gone: for a daemon that continues in another
    /// process, or a shell script that runs one command to lock and another to unlock. From now on
    /// the lock counts as `owner`'s. Returns the path of its claim, with which
    /// [`Lock::adopt`](crate::Lock::adopt) takes charge of the lock, and
    /// [`Lock::attach`](crate::Lock::attach) acts for its owner.
    ///
    /// The lock is refreshed first, and is not kept alive afterwards. Blocks for a few file
    /// operations, as [`refresh`](Self::refresh) does.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// use linklock::{Lock, Owner};
    ///
    /// let lock = Lock::new(&path)?;
    /// let claim = lock.lock()?.detach(Owner::Lease)?;
    /// // ... in another process:
    /// let guard = lock.adopt(&claim)?;
    /// guard.unlock()?;
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchOwner`] if there is no such process; [`Error::Invalid`] for a guard from
    /// [`Lock::attach`](crate::Lock::attach); otherwise as for [`refresh`](Self::refresh). After an
    /// error the lock is released, since its guard is gone.
    pub fn detach(self, owner: Owner) -> Result<PathBuf, Error> {
        if self.tenure.is_ours() {
            self.put_keep_alive(None);
        }
        detach(&self.tenure, owner)
    }

    pub(crate) fn tenure(&self) -> &Arc<Tenure> {
        &self.tenure
    }

    /// Must not be called in a forked child: another thread of its parent may have left this
    /// locked.
    fn put_keep_alive(&self, kept: Option<Renewing>) {
        let mut place = self.kept_alive.lock().unwrap_or_else(PoisonError::into_inner);
        let last = std::mem::replace(&mut *place, kept);
        drop(place);
        drop(last); // with its callback, which may own anything
    }
}

/// For callers that accept the loss of the lock.
pub(crate) fn if_held(result: Result<(), Error>) -> Result<bool, Error> {
    match result {
        Ok(()) => Ok(true),
        Err(Error::Lost { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

impl fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockGuard")
            .field("path", &self.path())
            .field("claim_path", &self.claim_path)
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        if self.tenure.is_ours() {
            self.tenure.close(); // kept alive until that is done
            self.put_keep_alive(None);
        }
    }
}
