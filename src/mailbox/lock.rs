//! The handle of a lock on a mailbox: its path and options.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::events;
use crate::holder::Obstacle;
use crate::mailbox::acquire::{acquire, obstacles};
use crate::mailbox::context::MailboxContext;
use crate::mailbox::dotlock::LEASE;
use crate::mailbox::guard::MailboxGuard;
use crate::mailbox::observe::MailboxObserver;
use crate::mailbox::tenure::MailboxTenure;
use crate::protocol::current_tenure::CurrentTenure;
use crate::wait::limit::{WaitLimit, asking};

/// A lock on an mbox, which other mail programs respect: see the [module](crate::mailbox).
///
/// A handle, with a path and options, which does not hold the lock. Acquiring the lock returns a
/// [`MailboxGuard`]. Threads exclude each other as those that share a [`Lock`](crate::Lock) do: only
/// a thread that would wait for itself gets an error. A handle and its clones remember since when
/// they have observed another program's dotlock unchanged.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let mbox = dir.path().join("joe");
/// use linklock::mailbox::MailboxLock;
///
/// let lock = MailboxLock::new(&mbox)?;
/// let guard = lock.lock()?;
/// assert!(lock.clone().try_lock().is_err());
/// guard.unlock()?;
/// # Ok::<(), linklock::Error>(())
/// ```
pub struct MailboxLock {
    context: Arc<MailboxContext>,
    observer: Arc<Mutex<MailboxObserver>>,
    timeout: Option<Duration>,
    last: CurrentTenure<MailboxTenure>,
}

impl MailboxLock {
    pub(crate) fn with(context: MailboxContext, timeout: Option<Duration>) -> MailboxLock {
        MailboxLock {
            context: Arc::new(context),
            observer: Arc::default(),
            timeout,
            last: CurrentTenure::default(),
        }
    }

    /// Locks the mailbox. Blocks until it is locked, or until the timeout if the options set one. A
    /// waiter polls, with random pauses that grow (see
    /// [`polling`](crate::mailbox::MailboxOptions::polling)).
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyLocked`] if this thread holds it through this handle; [`Error::TimedOut`];
    /// [`Error::Denied`] if a permission is missing; [`Error::Invalid`] if the path is not that of a
    /// regular file; [`Error::NoHardLinks`]; [`Error::Io`] if a file operation failed. After an error
    /// no file is left behind.
    pub fn lock(&self) -> Result<MailboxGuard, Error> {
        self.acquire(WaitLimit::of(self.timeout))
    }

    /// Locks the mailbox if that can be done at once. Blocks for a few file operations.
    ///
    /// # Errors
    ///
    /// [`Error::Held`] with the obstacle; otherwise as for [`lock`](Self::lock).
    pub fn try_lock(&self) -> Result<MailboxGuard, Error> {
        self.acquire(WaitLimit::None)
    }

    /// Locks the mailbox if that can be done within `time`.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] with the obstacle; otherwise as for [`lock`](Self::lock).
    pub fn try_lock_for(&self, time: Duration) -> Result<MailboxGuard, Error> {
        self.acquire(WaitLimit::For(time))
    }

    /// Locks the mailbox if that can be done before `deadline`.
    ///
    /// # Errors
    ///
    /// As for [`try_lock_for`](Self::try_lock_for).
    pub fn try_lock_until(&self, deadline: Instant) -> Result<MailboxGuard, Error> {
        self.try_lock_for(deadline.saturating_duration_since(Instant::now()))
    }

    /// Locks the mailbox, and waits as long as `go_on` returns true. `go_on` gets the obstacle
    /// before each pause, to show it, or to give up after a signal.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let mbox = dir.path().join("joe");
    /// use linklock::mailbox::MailboxLock;
    ///
    /// std::fs::write(mbox.with_extension("lock"), "4711:elsewhere")?; // Dovecot's
    /// let mut seen = String::new();
    /// let refused = MailboxLock::new(&mbox)?.lock_while(|obstacle| {
    ///     seen = obstacle.to_string();
    ///     false
    /// });
    /// assert!(refused.is_err());
    /// assert_eq!(seen, "held with a dotlock of Dovecot, process 4711 on elsewhere");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] when `go_on` returns false; otherwise as for [`lock`](Self::lock).
    pub fn lock_while(&self, go_on: impl FnMut(&Obstacle) -> bool) -> Result<MailboxGuard, Error> {
        self.acquire(WaitLimit::While(&mut asking(go_on)))
    }

    fn acquire(&self, limit: WaitLimit<'_>) -> Result<MailboxGuard, Error> {
        let thread = self.context.core().machine.processes.thread();
        if self.last.is_held_by(thread) {
            return Err(Error::AlreadyLocked { path: self.path().into() });
        }
        let acquisition = events::Acquisition::begin(self.context.core(), self.path(), LEASE);
        let acquired = acquisition.during(|| acquire(&self.context, &self.observer, limit));
        let outcome = acquired.as_ref().map(|_| (None, None));
        acquisition.ended(self.context.core(), self.path(), outcome);
        let mut tenure = acquired?;
        tenure.events = events::Holding::begin(self.context.core());
        Ok(MailboxGuard::new(self.last.begin(tenure, Some(thread))))
    }

    /// The path of the mailbox.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.context.mailbox
    }

    /// The path of its dotlock: the mailbox's path with `.lock` appended.
    #[must_use]
    pub fn dotlock_path(&self) -> &Path {
        &self.context.dotlock
    }

    /// How long [`lock`](Self::lock) waits; `None` means without limit.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// The obstacles that keep other programs from the mailbox now; none if it is free. Takes no
    /// lock and changes nothing. The mailbox must be readable: the system reveals the holder of its
    /// fcntl(2) lock only to a process that has opened it.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let mbox = dir.path().join("joe");
    /// use linklock::mailbox::MailboxLock;
    ///
    /// let lock = MailboxLock::new(&mbox)?;
    /// assert!(lock.obstacles()?.is_empty());
    /// let guard = lock.lock()?;
    /// for obstacle in lock.obstacles()? {
    ///     println!("{obstacle}"); // held with a dotlock of dotlockfile or one of its kind
    /// }
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a file operation failed; [`Error::Invalid`] as for [`lock`](Self::lock).
    pub fn obstacles(&self) -> Result<Vec<Obstacle>, Error> {
        obstacles(&self.context, &self.observer)
    }
}

/// Its path, and whether this handle holds it: no file is looked at.
impl fmt::Debug for MailboxLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailboxLock")
            .field("path", &self.path())
            .field("held", &self.last.held().is_some())
            .finish_non_exhaustive()
    }
}

/// An independent handle, which does not hold the lock.
impl Clone for MailboxLock {
    fn clone(&self) -> MailboxLock {
        let (context, observer) = (self.context.clone(), self.observer.clone());
        MailboxLock { context, observer, timeout: self.timeout, last: CurrentTenure::default() }
    }
}
