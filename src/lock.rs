//! The handle of a lock: its path and options.

use std::ffi::OsStr;
use std::fmt;
use std::future::{Future, poll_fn};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::events;
use crate::guard::LockGuard;
use crate::holder::Obstacle;
use crate::model::context::Context;
use crate::model::lease::check_lifetime;
use crate::model::names::BadName;
use crate::protocol::acquire::acquire;
use crate::protocol::claim_cache::ClaimCache;
use crate::protocol::current_tenure::CurrentTenure;
use crate::protocol::tenure::Tenure;
use crate::protocol::transfer::{adopt, attach};
use crate::wait::limit::{WaitLimit, asking};
use crate::wait::park::{Park, ThreadPark, run};

/// A lock that any program on any machine with the same directory can take.
///
/// A `Lock` is a handle, with a path and options, which does not hold the lock. Acquiring the lock
/// returns a [`LockGuard`]. Threads exclude each other like processes, whether they share a handle
/// or have one each; so do clones, which are independent handles. Only a thread that would wait for
/// itself gets an error, [`Error::AlreadyLocked`]: it has acquired the lock through the same handle,
/// and the guard still exists. (A guard that was sent to another thread counts as that of the thread
/// that acquired it: to wait for it there, use a clone.)
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
pub struct Lock {
    pub(crate) context: Arc<Context>,
    lifetime: Duration,
    timeout: Option<Duration>,
    last: CurrentTenure<Tenure>,
    claim_cache: Arc<ClaimCache>,
}

impl Lock {
    pub(crate) fn with(context: Context, lifetime: Duration, timeout: Option<Duration>) -> Lock {
        let (last, claim_cache) = (CurrentTenure::default(), Arc::default());
        Lock { context: Arc::new(context), lifetime, timeout, last, claim_cache }
    }

    /// Acquires the lock. Blocks until it is acquired, or for the default timeout if the options
    /// set one. flufl.lock: `lock()`.
    ///
    /// A waiter is woken when a process on this machine releases the lock, and polls for releases
    /// on other machines (see [`LockOptions::polling`](crate::LockOptions::polling)). A stale lock
    /// is taken over without further waiting.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyLocked`] if this thread holds the lock through this handle;
    /// [`Error::TimedOut`] after the default timeout; [`Error::NoHardLinks`]; [`Error::Io`] if a
    /// file operation failed. After an error no file is left behind.
    pub fn lock(&self) -> Result<LockGuard, Error> {
        self.acquire(WaitLimit::of(self.timeout))
    }

    /// Acquires the lock if it is free. Blocks for a few file operations.
    ///
    /// # Errors
    ///
    /// [`Error::Held`] with its holder; otherwise as for [`lock`](Self::lock).
    pub fn try_lock(&self) -> Result<LockGuard, Error> {
        self.acquire(WaitLimit::None)
    }

    /// Acquires the lock if that is possible within `time`. Blocks for `time` at most, but does not
    /// interrupt a file operation that hangs. flufl.lock: `lock(timeout)`.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] with its holder; otherwise as for [`lock`](Self::lock).
    pub fn try_lock_for(&self, time: Duration) -> Result<LockGuard, Error> {
        self.acquire(WaitLimit::For(time))
    }

    /// Acquires the lock if that is possible before `deadline`. Blocks until then at most, but does
    /// not interrupt a file operation that hangs.
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

    /// Acquires the lock, and keeps waiting for as long as `go_on` returns `true`. With it, a
    /// program can report the holder it is waiting for, or give up when a signal arrives. `go_on`
    /// is called at least every 100 ms, and before the first wait. Blocks while it waits.
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
    /// [`Error::TimedOut`] if `go_on` returns `false`; otherwise as for [`lock`](Self::lock).
    pub fn lock_while(&self, go_on: impl FnMut(&Obstacle) -> bool) -> Result<LockGuard, Error> {
        self.acquire(WaitLimit::While(&mut asking(go_on)))
    }

    fn acquire(&self, limit: WaitLimit<'_>) -> Result<LockGuard, Error> {
        self.must_not_wait_for_itself()?;
        let acquisition = self.begin_acquisition();
        let tenure = run(self.contend(acquisition, limit, &ThreadPark))?;
        Ok(self.hold(tenure, Some(self.thread())))
    }

    fn must_not_wait_for_itself(&self) -> Result<(), Error> {
        if self.is_held_by(self.thread()) {
            return Err(Error::AlreadyLocked { path: self.path().into() });
        }
        Ok(())
    }

    /// Whether this thread holds the lock through this handle.
    pub(crate) fn is_held_by(&self, thread: u64) -> bool {
        self.last.is_held_by(thread)
    }

    pub(crate) fn thread(&self) -> u64 {
        self.context.machine.processes.thread()
    }

    /// The events of an acquisition that begins now.
    pub(crate) fn begin_acquisition(&self) -> events::Acquisition {
        events::Acquisition::begin(&self.context, self.path(), self.lifetime)
    }

    pub(crate) async fn contend<W: FnMut(&Obstacle) -> Duration + ?Sized>(
        &self,
        acquisition: events::Acquisition,
        limit: WaitLimit<'_, W>,
        parker: &impl Park,
    ) -> Result<Tenure, Error> {
        self.last.finish_release();
        let contention = acquire(&self.context, &self.claim_cache, self.lifetime, limit, parker);
        let mut contention = pin!(contention);
        // Between two polls the future may move to another thread.
        let acquired = poll_fn(|task| acquisition.during(|| contention.as_mut().poll(task))).await;
        let outcome = acquired.as_ref().map(|tenure| (Some(&*tenure.claim().path), tenure.token));
        acquisition.ended(&self.context, self.path(), outcome);
        acquired
    }

    /// Makes this handle the holder, by a tenure of this thread's or, if it is `None`, of a task's.
    /// Returns the guard that owns the tenure.
    pub(crate) fn hold(&self, mut tenure: Tenure, thread: Option<u64>) -> LockGuard {
        tenure.events = events::Holding::begin(&self.context);
        LockGuard::new(self.last.begin(tenure, thread))
    }

    /// Makes this handle the holder of a lock that was not waited for.
    fn take_charge(
        &self,
        transfer: impl FnOnce() -> Result<Tenure, Error>,
    ) -> Result<LockGuard, Error> {
        self.must_not_wait_for_itself()?;
        self.last.finish_release();
        Ok(self.hold(transfer()?, Some(self.thread())))
    }

    /// The tenure of this handle's guard, if it has one.
    pub(crate) fn tenure(&self) -> Option<Arc<Tenure>> {
        self.last.held()
    }

    /// Takes charge of a detached lock, given the claim that [`detach`](LockGuard::detach)
    /// returned: from now on this process holds the lock, under a new claim, and the old claim is
    /// void. If several processes adopt a lock at once, one succeeds. Blocks for a few file
    /// operations, and while other processes are about to adopt the lock or to end it.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] if the lock is no longer held with that claim; [`Error::Held`] if other
    /// processes are about to adopt it or to end it, and that is not decided within the time of 16
    /// seats (15 s and the clock slop each); [`Error::Invalid`] if `claim` is not a claim of this
    /// lock; [`Error::AlreadyLocked`] if this thread holds the lock through this handle;
    /// [`Error::Io`] if a file operation failed.
    pub fn adopt(&self, claim: impl AsRef<Path>) -> Result<LockGuard, Error> {
        self.take_charge(|| adopt(&self.context, claim.as_ref(), self.lifetime))
    }

    /// Acts on a detached lock on behalf of its owner: refreshes, verifies or releases it, for a
    /// shell script, say. The lock stays the owner's, with the same claim, and becomes stale if the
    /// owner dies. Dropping the guard releases the lock; [`forget`](std::mem::forget) it to leave
    /// the lock held. Blocks for a few file operations.
    ///
    /// Any number of processes may do this at once, so a guard of this kind excludes none of them.
    /// If several of them refresh the lock, one that stalls in the middle of a refresh may write an
    /// older date than another has written, whose lease then ends sooner than its guard shows: let
    /// only one of them refresh.
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
        self.take_charge(|| attach(&self.context, claim.as_ref(), self.lifetime))
    }

    /// The path of the lock file. flufl.lock: `lockfile`.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.context.lock_path()
    }

    /// A handle for another lock in the same directory, with the same options. It shares what this handle
    /// has found out about the file system, so a program that looks at the many locks of a directory
    /// need not ask again for each. Nothing blocks.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// use linklock::Lock;
    ///
    /// let report = Lock::new(dir.path().join("report.lock"))?;
    /// let backup = report.with_file_name("backup.lock")?;
    /// assert_eq!(backup.path(), dir.path().join("backup.lock"));
    /// assert!(report.with_file_name("elsewhere/backup.lock").is_err());
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if this is not the name of a file, or a lock cannot have it: see
    /// [`Lock::new`].
    pub fn with_file_name(&self, name: impl AsRef<OsStr>) -> Result<Lock, Error> {
        let Context { names, config, machine, memory } = &*self.context;
        let path = names.dir().join(name.as_ref());
        let other = match path.strip_prefix(names.dir()) {
            Ok(within) if within.file_name() == Some(within.as_os_str()) => names.of_other(&path),
            _ => Err(BadName::NoFileName),
        };
        let names = other.map_err(|bad| Error::Invalid { path, reason: bad.to_string() })?;
        let (config, machine, memory) = (config.clone(), machine.clone(), memory.of_file_system());
        let context = Context { names, config, machine, memory };
        Ok(Lock::with(context, self.lifetime, self.timeout))
    }

    /// This host's name in claims. flufl.lock: `hostname`.
    #[must_use]
    pub fn host_name(&self) -> &OsStr {
        self.context.names.host()
    }

    /// The path of the claim by which this handle holds the lock, if it does. flufl.lock: `claimfile`.
    #[must_use]
    pub fn claim_path(&self) -> Option<PathBuf> {
        self.tenure().map(|tenure| tenure.claim().path.to_path_buf())
    }

    /// The length of a lease. flufl.lock: `lifetime`.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Sets the length of a lease for later acquisitions. To change it for a lock that is held, see
    /// [`LockGuard::refresh_for`]. flufl.lock: `lifetime`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the lifetime is not between 10 ms and ten years.
    pub fn set_lifetime(&mut self, lifetime: Duration) -> Result<(), Error> {
        check_lifetime(self.path(), lifetime)?;
        self.lifetime = lifetime;
        Ok(())
    }

    /// Sets whether the first acquisition through this handle and its clones [sweeps](Self::sweep),
    /// which lists the directory. It does by default; on a server, if no waiter of this machine is
    /// ahead. Turn it off where a directory holds very many locks, and sweep from time to time.
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
        self.context.memory.has_swept.store(!sweeping, Ordering::Relaxed);
    }

    /// How long [`lock`](Self::lock) waits; `None` means without limit. flufl.lock:
    /// `default_timeout`.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// The `errno` values of reading a lock file that are waited out. flufl.lock: `retry_errnos`.
    #[must_use]
    pub fn retry_errnos(&self) -> &[i32] {
        &self.context.config.retry_errnos
    }
}

/// Its path, and whether this handle holds it: no file is looked at.
impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock")
            .field("path", &self.path())
            .field("lifetime", &self.lifetime)
            .field("held", &self.tenure().is_some())
            .finish_non_exhaustive()
    }
}

/// An independent handle with the same path and options, which does not hold the lock.
impl Clone for Lock {
    fn clone(&self) -> Lock {
        let Lock { context, lifetime, timeout, .. } = self;
        let (context, last, claim_cache) =
            (context.clone(), CurrentTenure::default(), Arc::default());
        Lock { context, lifetime: *lifetime, timeout: *timeout, last, claim_cache }
    }
}
