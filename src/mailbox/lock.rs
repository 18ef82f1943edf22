//! The lock on a mailbox: a cheap handle on a path and its options.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
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
use crate::wait::limit::WaitLimit;

/// A lock on an mbox, which other mail programs respect: see the [module](crate::mailbox).
///
/// A handle: it has a path and options, and holds nothing itself. Acquiring the lock returns a
/// [`MailboxGuard`]. A handle and its clones remember since when they have seen another's dotlock
/// unchanged.
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
#[derive(Debug)]
pub struct MailboxLock {
    context: Arc<MailboxContext>,
    observer: Arc<Mutex<MailboxObserver>>,
    timeout: Option<Duration>,
    held: Mutex<Weak<MailboxTenure>>,
}

impl MailboxLock {
    pub(crate) fn with(context: MailboxContext, timeout: Option<Duration>) -> MailboxLock {
        MailboxLock {
            context: Arc::new(context),
            observer: Arc::default(),
            timeout,
            held: Mutex::default(),
        }
    }

    /// Locks the mailbox, and blocks until it is locked, or for the timeout if the options have one.
    /// Polls, with random pauses that grow (see
    /// [`polling`](crate::mailbox::MailboxOptions::polling)).
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyLocked`] if this handle holds it; [`Error::TimedOut`]; [`Error::Denied`] if
    /// a permission is missing; [`Error::Invalid`] if the path leads to something else than a
    /// plain file; [`Error::NoHardLinks`]; [`Error::Io`] if a file operation failed. In no case is
    /// anything left behind.
    pub fn lock(&self) -> Result<MailboxGuard, Error> {
        self.acquire(match self.timeout {
            Some(timeout) => WaitLimit::For(timeout),
            None => WaitLimit::Endless,
        })
    }

    /// Locks the mailbox if that can be done at once. Blocks for a few file operations.
    ///
    /// # Errors
    ///
    /// [`Error::Held`] with what is in the way; otherwise as for [`lock`](Self::lock).
    pub fn try_lock(&self) -> Result<MailboxGuard, Error> {
        self.acquire(WaitLimit::None)
    }

    /// Locks the mailbox if that can be done within `time`.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] with what is in the way; otherwise as for [`lock`](Self::lock).
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

    /// Locks the mailbox, and goes on waiting while `go_on` returns true. It is called before each
    /// pause with what is in the way: to show that, or to give up when a signal comes.
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
    pub fn lock_while(
        &self,
        mut go_on: impl FnMut(&Obstacle) -> bool,
    ) -> Result<MailboxGuard, Error> {
        self.acquire(WaitLimit::While(&mut go_on))
    }

    fn acquire(&self, limit: WaitLimit<'_>) -> Result<MailboxGuard, Error> {
        let held = || self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held().upgrade().is_some_and(|tenure| tenure.is_held()) {
            return Err(Error::AlreadyLocked { path: self.path().into() });
        }
        let acquisition = events::Acquisition::begin(self.context.core(), self.path(), LEASE);
        let acquired = acquisition.during(|| acquire(&self.context, &self.observer, limit));
        let outcome = acquired.as_ref().map(|_| (None, None));
        acquisition.ended(self.context.core(), self.path(), outcome);
        let mut tenure = acquired?;
        tenure.events = events::Holding::begin(self.context.core());
        let tenure = Arc::new(tenure);
        *held() = Arc::downgrade(&tenure);
        Ok(MailboxGuard::new(tenure))
    }

    /// The mailbox.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.context.mailbox
    }

    /// Its dotlock: the mailbox's name with `.lock` at its end.
    #[must_use]
    pub fn dotlock_path(&self) -> &Path {
        &self.context.dotlock
    }

    /// For how long [`lock`](Self::lock) waits; `None` is for ever.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// What keeps others from the mailbox now; nothing if it is free. Takes no lock and changes
    /// nothing. The mailbox must be readable: the system shows who holds its fcntl(2) lock only to a
    /// process that has opened it.
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

/// A handle of its own, that holds nothing.
impl Clone for MailboxLock {
    fn clone(&self) -> MailboxLock {
        let (context, observer) = (self.context.clone(), self.observer.clone());
        MailboxLock { context, observer, timeout: self.timeout, held: Mutex::default() }
    }
}
