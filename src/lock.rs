//! The lock: a cheap handle on a path and its options.

use std::ffi::OsStr;
use std::future::{Future, poll_fn};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use crate::error::Error;
use crate::events;
use crate::guard::LockGuard;
use crate::holder::{Holder, Obstacle, State};
use crate::model::context::Context;
use crate::model::lease::check_lifetime;
use crate::protocol::acquire::acquire;
use crate::protocol::claim_cache::ClaimCache;
use crate::protocol::current_tenure::CurrentTenure;
use crate::protocol::observe::{Observation, observe, unreadable};
use crate::protocol::tenure::Tenure;
use crate::protocol::transfer::{adopt, attach};
use crate::sys::process::Life;
use crate::wait::limit::WaitLimit;
use crate::wait::park::{Park, ThreadPark, run};

/// A lock that any program on any machine with the same directory can take.
///
/// A handle: it has a path and options, and holds nothing itself. Acquiring the lock returns a
/// [`LockGuard`]. Handles are independent of each other, clones too: two of them in one process
/// exclude each other like two processes. Locking a handle that holds the lock already is an
/// error, since nobody would ever release it.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("report.lock");
/// use linklock::Lock;
///
/// let lock = Lock::new(&path)?;
/// let guard = lock.lock()?;
/// assert!(lock.clone().try_lock().is_err());
/// drop(guard);
/// assert!(lock.try_lock().is_ok());
/// # Ok::<(), linklock::Error>(())
/// ```
#[derive(Debug)]
pub struct Lock {
    pub(crate) context: Arc<Context>,
    lifetime: Duration,
    timeout: Option<Duration>,
    last: CurrentTenure,
    claim_cache: Arc<ClaimCache>,
}

impl Lock {
    pub(crate) fn with(context: Context, lifetime: Duration, timeout: Option<Duration>) -> Lock {
        let (last, claim_cache) = (CurrentTenure::default(), Arc::default());
        Lock { context: Arc::new(context), lifetime, timeout, last, claim_cache }
    }

    /// Acquires the lock, and blocks until it is acquired, or for the default timeout if the
    /// options have one. flufl.lock: `lock()`.
    ///
    /// A waiter is woken when a process of this machine releases the lock, and polls for what
    /// others do (see [`LockOptions::polling`](crate::LockOptions::polling)). If the lock's holder is stale,
    /// it is succeeded, without waiting any longer.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyLocked`] if this handle holds the lock; [`Error::TimedOut`];
    /// [`Error::NoHardLinks`]; [`Error::Io`] if a file operation failed. In no case is anything
    /// left behind.
    pub fn lock(&self) -> Result<LockGuard, Error> {
        self.acquire(match self.timeout {
            Some(timeout) => WaitLimit::For(timeout),
            None => WaitLimit::Endless,
        })
    }

    /// Acquires the lock if it is free. Blocks for a few file operations.
    ///
    /// # Errors
    ///
    /// [`Error::Held`] with its holder; otherwise as for [`lock`](Self::lock).
    pub fn try_lock(&self) -> Result<LockGuard, Error> {
        self.acquire(WaitLimit::None)
    }

    /// Acquires the lock if that is possible within `time`. flufl.lock: `lock(timeout)`.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] with its holder; otherwise as for [`lock`](Self::lock).
    pub fn try_lock_for(&self, time: Duration) -> Result<LockGuard, Error> {
        self.acquire(WaitLimit::For(time))
    }

    /// Acquires the lock if that is possible before `deadline`.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// use std::time::{Duration, Instant};
    ///
    /// let deadline = Instant::now() + Duration::from_secs(5);
    /// let first = linklock::Lock::new(&path)?.try_lock_until(deadline)?;
    /// let second = linklock::Lock::new(path.with_extension("other"))?.try_lock_until(deadline)?;
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`try_lock_for`](Self::try_lock_for).
    pub fn try_lock_until(&self, deadline: Instant) -> Result<LockGuard, Error> {
        self.try_lock_for(deadline.saturating_duration_since(Instant::now()))
    }

    /// Acquires the lock, and goes on waiting while `go_on` says so: to be told whom one waits
    /// for, or to be able to give up when a signal comes. It is asked at least every 100 ms, and
    /// before anything is waited for.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// use std::sync::atomic::{AtomicBool, Ordering};
    ///
    /// let interrupted = AtomicBool::new(true); // say, by a signal handler
    /// let held = linklock::Lock::new(&path)?.lock()?;
    /// let refused = linklock::Lock::new(&path)?.lock_while(|obstacle| {
    ///     eprintln!("waiting: {obstacle}");
    ///     !interrupted.load(Ordering::Relaxed)
    /// });
    /// assert!(refused.is_err());
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] when `go_on` says no; otherwise as for [`lock`](Self::lock).
    pub fn lock_while(&self, mut go_on: impl FnMut(&Obstacle) -> bool) -> Result<LockGuard, Error> {
        self.acquire(WaitLimit::While(&mut go_on))
    }

    fn acquire(&self, limit: WaitLimit<'_>) -> Result<LockGuard, Error> {
        let acquisition = self.begin_acquisition();
        Ok(self.hold(run(self.contend(acquisition, limit, &ThreadPark))?))
    }

    /// The events of an acquisition that begins here.
    pub(crate) fn begin_acquisition(&self) -> events::Acquisition {
        events::Acquisition::begin(&self.context, self.path(), self.lifetime)
    }

    pub(crate) async fn contend<W: FnMut(&Obstacle) -> bool + ?Sized>(
        &self,
        acquisition: events::Acquisition,
        limit: WaitLimit<'_, W>,
        parker: &impl Park,
    ) -> Result<Tenure, Error> {
        self.last.must_be_none(self.path())?;
        let contention = acquire(&self.context, &self.claim_cache, self.lifetime, limit, parker);
        let mut contention = pin!(contention);
        // Between two polls it may go from one thread to another.
        let acquired = poll_fn(|task| acquisition.during(|| contention.as_mut().poll(task))).await;
        let outcome = acquired.as_ref().map(|tenure| (Some(&*tenure.claim().path), tenure.token));
        acquisition.ended(&self.context, self.path(), outcome);
        acquired
    }

    /// This handle holds the lock from now on, by the guard that has this tenure.
    pub(crate) fn hold(&self, mut tenure: Tenure) -> LockGuard {
        tenure.events = events::Holding::begin(&self.context);
        LockGuard::new(self.last.begin(tenure))
    }

    /// The tenure of this handle's guard, if it has one.
    fn tenure(&self) -> Option<Arc<Tenure>> {
        self.last.held()
    }

    /// Takes over a lock that was detached, with the claim that [`detach`](LockGuard::detach)
    /// returned: from now on it is this process's, with a new claim, and the old claim is worth
    /// nothing. Of several that adopt a lock one succeeds.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] if it is not held with that claim any more; [`Error::Held`] if others are about to
    /// adopt or to end it, and that is not decided in a minute or two; [`Error::Invalid`] for
    /// what is no claim of this lock; [`Error::AlreadyLocked`]; [`Error::Io`].
    pub fn adopt(&self, claim: impl AsRef<Path>) -> Result<LockGuard, Error> {
        self.last.must_be_none(self.path())?;
        Ok(self.hold(adopt(&self.context, claim.as_ref(), self.lifetime)?))
    }

    /// Acts on a detached lock in the place of its owner: refreshes, verifies or releases it for a
    /// shell script, say. The lock stays the owner's, with the same claim, and ends if the owner dies.
    /// Dropping the guard releases the lock; [`forget`](std::mem::forget) it to leave the lock held.
    ///
    /// Any number of processes may do this at once, so a guard of this kind excludes none of them.
    /// Where several refresh the lock, one that stalls in the middle of it may write an older date than
    /// another has, whose lease then ends sooner than its guard says: let one of them refresh.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// use linklock::{Lock, Owner};
    ///
    /// let lock = Lock::new(&path)?;
    /// let claim = lock.lock()?.detach(Owner::Lease)?;
    /// let guard = lock.attach(&claim)?;
    /// guard.refresh()?;
    /// std::mem::forget(guard);
    /// // ... in another process:
    /// Lock::new(&path)?.attach(&claim)?.unlock()?;
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`adopt`](Self::adopt).
    pub fn attach(&self, claim: impl AsRef<Path>) -> Result<LockGuard, Error> {
        self.last.must_be_none(self.path())?;
        Ok(self.hold(attach(&self.context, claim.as_ref(), self.lifetime)?))
    }

    /// The lock file. flufl.lock: `lockfile`.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.context.lock_path()
    }

    /// What this host is called in claims. flufl.lock: `hostname`.
    #[must_use]
    pub fn host_name(&self) -> &OsStr {
        self.context.names.host()
    }

    /// The claim by which this handle holds the lock, if it does. flufl.lock: `claimfile`.
    #[must_use]
    pub fn claim_path(&self) -> Option<PathBuf> {
        self.tenure().map(|tenure| tenure.claim().path.to_path_buf())
    }

    /// How long a lease is. flufl.lock: `lifetime`.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Sets how long a lease is, for acquisitions to come. See [`LockGuard::refresh_for`] for a
    /// lock that is held. flufl.lock: `lifetime`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a lifetime that no lock can have.
    pub fn set_lifetime(&mut self, lifetime: Duration) -> Result<(), Error> {
        check_lifetime(self.path(), lifetime)?;
        self.lifetime = lifetime;
        Ok(())
    }

    /// Whether the first acquisition through this handle and its clones is to [sweep](Self::sweep),
    /// which lists the directory: it does by default. Turn it off where very many
    /// locks in one directory, and sweeps from time to time.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// let mut lock = linklock::Lock::new(&path)?;
    /// lock.set_sweeping(false);
    /// lock.lock()?.unlock()?;
    /// lock.sweep()?; // when there is time for it
    /// # Ok::<(), linklock::Error>(())
    /// ```
    pub fn set_sweeping(&mut self, sweeping: bool) {
        self.context.has_swept.store(!sweeping, Ordering::Relaxed);
    }

    /// For how long [`lock`](Self::lock) waits, unless it is for ever. flufl.lock:
    /// `default_timeout`.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Which errors of reading a lock file are waited out. flufl.lock: `retry_errnos`.
    #[must_use]
    pub fn retry_errnos(&self) -> &[i32] {
        &self.context.retry_errnos
    }

    /// Whether this handle holds the lock, as far as the file server knows. Unlike flufl.lock's
    /// `is_locked` it does not refresh the lock.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// let lock = linklock::Lock::new(&path)?;
    /// assert!(!lock.is_locked()?);
    /// let guard = lock.lock()?;
    /// assert!(lock.is_locked()?);
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if that can't be told.
    pub fn is_locked(&self) -> Result<bool, Error> {
        match self.tenure().map(|tenure| tenure.verify()) {
            None | Some(Err(Error::Lost { .. } | Error::Expired { .. })) => Ok(false),
            Some(Ok(())) => Ok(true),
            Some(Err(error)) => Err(error),
        }
    }

    /// Who holds the lock, if anybody does. flufl.lock: `details`. Blocks for a look at the lock
    /// file.
    ///
    /// # Errors
    ///
    /// [`Error::Held`] if what has the lock file's name is no lock or can't be read;
    /// [`Error::Io`].
    pub fn holder(&self) -> Result<Option<Holder>, Error> {
        let obstacle = match observe(&self.context)? {
            Observation::Free => return Ok(None),
            Observation::Held(_, holder) => return Ok(Some(holder)),
            Observation::NotALock => Obstacle::NotALock,
            Observation::Unreadable(error) => {
                unreadable(&self.context, self.context.find(self.path())?.as_ref(), error)
            }
        };
        Err(Error::Held { path: self.path().into(), obstacle: Box::new(obstacle) })
    }

    /// What can be inferred of the lock without holding it. flufl.lock: `state`.
    ///
    /// Whether a lease is over is judged by the file server's time if this handle has ever
    /// acquired the lock, and by this machine's date otherwise.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// use linklock::{Lock, State};
    ///
    /// let lock = Lock::new(&path)?;
    /// assert_eq!(lock.state()?, State::Unlocked);
    /// let guard = lock.lock()?;
    /// assert_eq!(lock.state()?, State::Ours);
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn state(&self) -> Result<State, Error> {
        let (held, holder) = match observe(&self.context)? {
            Observation::Free => return Ok(State::Unlocked),
            Observation::NotALock | Observation::Unreadable(_) => return Ok(State::Unknown),
            Observation::Held(held, holder) => (held, holder),
        };
        let this = self.context.processes.this();
        let same_host = holder.host() == self.host_name();
        Ok(match (same_host && held.claim.process() == this, holder.is_expired()) {
            (true, false) => State::Ours,
            (true, true) => State::OursExpired,
            (false, _) if holder.life() == Life::Dead => State::Stale,
            (false, true) => State::TheirsExpired,
            (false, false) => State::Unknown,
        })
    }

    /// When the holder's lease ends, in the file server's time. flufl.lock:
    /// `expiration`.
    ///
    /// # Errors
    ///
    /// As for [`holder`](Self::holder).
    pub fn expires_at(&self) -> Result<Option<SystemTime>, Error> {
        Ok(self.holder()?.map(|holder| holder.expires_at()))
    }
}

/// A handle of its own, with the same path and options, that holds nothing.
impl Clone for Lock {
    fn clone(&self) -> Lock {
        let Lock { context, lifetime, timeout, .. } = self;
        let (context, last, claim_cache) =
            (context.clone(), CurrentTenure::default(), Arc::default());
        Lock { context, lifetime: *lifetime, timeout: *timeout, last, claim_cache }
    }
}
