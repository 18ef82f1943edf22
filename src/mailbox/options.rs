//! The options of a mailbox lock, and their validation.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::clock::{Clock, system_clock};
use crate::error::{Error, Operation};
use crate::lock::Lock;
use crate::mailbox::context::MailboxContext;
use crate::mailbox::lock::MailboxLock;
use crate::mailbox::pid_evidence::PidEvidence;
use crate::model::backoff::Polling;
use crate::model::machine::Machine;
use crate::policy::StalePolicy;

/// The minimum: a program that touches its dotlock every 15 s has by then missed three touches.
const SHORTEST_REST: Duration = Duration::from_secs(60);

/// Separators for the names of claims beside the mailbox: [`Lock`]'s own, and alternatives in case
/// the path contains it.
const SEPARATORS: [char; 8] = ['|', '+', ':', '~', '^', '=', ',', '@'];

/// A builder for a [`MailboxLock`]: see [`MailboxLock::options`].
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let mbox = dir.path().join("joe");
/// use std::time::Duration;
/// use linklock::mailbox::MailboxLock;
///
/// let lock = MailboxLock::options(&mbox)
///     .timeout(Duration::from_secs(60))
///     .unchanged_for(Duration::from_secs(600))
///     .build()?;
/// # Ok::<(), linklock::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "options have no effect until they are built"]
pub struct MailboxOptions {
    path: PathBuf,
    timeout: Option<Duration>,
    host_name: Option<OsString>,
    stale: StalePolicy,
    unchanged_for: Duration,
    uses_fcntl: bool,
    polling: Polling,
    clock: Arc<dyn Clock>,
}

impl MailboxLock {
    /// A handle of the lock on the mailbox at this path, with the default options.
    ///
    /// A relative path is made absolute now, so that a later `chdir` does not affect it. The file
    /// system is not accessed yet.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a path without a file name, or with a name so long that those beside
    /// it would exceed 255 bytes. [`Error::Io`] if the current directory or the host name is not
    /// available.
    pub fn new(path: impl Into<PathBuf>) -> Result<MailboxLock, Error> {
        MailboxLock::options(path).build()
    }

    /// Options for a lock on the mailbox at this path.
    pub fn options(path: impl Into<PathBuf>) -> MailboxOptions {
        MailboxOptions {
            path: path.into(),
            timeout: None,
            host_name: None,
            stale: StalePolicy::default(),
            unchanged_for: Duration::from_secs(300),
            uses_fcntl: true,
            polling: Polling { first: Duration::from_millis(5), cap: Duration::from_secs(1) },
            clock: system_clock(),
        }
    }
}

impl MailboxOptions {
    /// How long [`MailboxLock::lock`] waits. There is no limit by default.
    pub fn timeout(mut self, timeout: Duration) -> MailboxOptions {
        self.timeout = Some(timeout);
        self
    }

    /// The name of this host in other programs' dotlocks, if it is not gethostname(2)'s.
    pub fn host_name(mut self, host_name: impl Into<OsString>) -> MailboxOptions {
        self.host_name = Some(host_name.into());
        self
    }

    /// When another program's dotlock may be taken over.
    /// [`ExpiredOrDead`](StalePolicy::ExpiredOrDead), the default: when it has been
    /// [unchanged](Self::unchanged_for) for long enough, or its process is provably dead.
    /// [`Expired`](StalePolicy::Expired): only when it has been unchanged for long enough.
    /// [`Never`](StalePolicy::Never): never.
    pub fn stale(mut self, policy: StalePolicy) -> MailboxOptions {
        self.stale = policy;
        self
    }

    /// How long this handle must have observed another program's dotlock and the mailbox unchanged
    /// before it may take over the dotlock: at least 60 s. The default is 300 s, which is also
    /// dotlockfile's.
    pub fn unchanged_for(mut self, rest: Duration) -> MailboxOptions {
        self.unchanged_for = rest;
        self
    }

    /// Whether the mailbox itself is locked by fcntl(2), as well as by a dotlock. Yes by default.
    /// Turn it off on a file system without such locks, or if a program that runs under the dotlock
    /// takes that lock itself.
    pub fn fcntl(mut self, on: bool) -> MailboxOptions {
        self.uses_fcntl = on;
        self
    }

    /// The first and the longest pause of a waiter between two polls: 5 ms and 1 s by default. The
    /// pauses grow, and each is a random one between half of its length and all of it.
    pub fn polling(mut self, first: Duration, longest: Duration) -> MailboxOptions {
        self.polling = Polling { first: first.min(longest), cap: longest };
        self
    }

    /// A clock to replace the machine's own, for tests.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> MailboxOptions {
        self.clock = clock;
        self
    }

    /// Builds the handle.
    ///
    /// # Errors
    ///
    /// As for [`MailboxLock::new`], and [`Error::Invalid`] if
    /// [`unchanged_for`](Self::unchanged_for) is less than 60 s.
    pub fn build(self) -> Result<MailboxLock, Error> {
        let timeout = self.timeout;
        Ok(MailboxLock::with(self.context(None)?, timeout))
    }

    /// Builds the handle for a simulated machine.
    #[cfg(test)]
    pub(crate) fn build_on(self, machine: &Machine) -> Result<MailboxLock, Error> {
        let timeout = self.timeout;
        Ok(MailboxLock::with(self.context(Some(machine))?, timeout))
    }

    /// The context of the lock, for this machine unless another is given.
    pub(crate) fn context(self, machine: Option<&Machine>) -> Result<MailboxContext, Error> {
        if self.unchanged_for < SHORTEST_REST {
            let reason =
                format!("unchanged_for is {:?}, and must be at least 60 s", self.unchanged_for);
            return Err(Error::Invalid { path: self.path, reason });
        }
        let path = std::path::absolute(&self.path);
        let path = path.map_err(Error::io(Operation::Resolve, &self.path))?;
        let named = path.file_name().filter(|_| self.path.file_name().is_some());
        let Some((name, dir)) = named.zip(path.parent()) else {
            return Err(Error::Invalid { path, reason: "the path has no file name".into() });
        };
        let beside = |before: &str, after: &str| {
            let mut file_name = OsString::from(before);
            file_name.push(name);
            file_name.push(after);
            dir.join(file_name)
        };
        let dotlock = beside("", ".lock");
        let breaker = self.lock_at(&beside(".", ".break"), machine);
        let breaker = breaker.map_err(|error| about(&path, error))?;
        let leased = self.lock_at(&dotlock, machine).ok();
        let mailbox = dir.join(name); // without a trailing slash
        Ok(MailboxContext {
            mailbox,
            dotlock,
            breaker,
            leased,
            stale: self.stale,
            unchanged_for: self.unchanged_for,
            uses_fcntl: self.uses_fcntl,
            polling: self.polling,
            proc: PidEvidence::default(),
            left_behind: Mutex::default(),
            has_links: AtomicBool::default(),
        })
    }

    fn lock_at(&self, path: &Path, machine: Option<&Machine>) -> Result<Lock, Error> {
        let text = path.to_string_lossy();
        let separator = SEPARATORS.into_iter().find(|separator| !text.contains(*separator));
        let options = Lock::options(path).clock(self.clock.clone());
        let mut options = options.separator(separator.unwrap_or(SEPARATORS[0]));
        if let Some(host) = &self.host_name {
            options = options.host_name(host);
        }
        match machine {
            Some(machine) => options.build_on(machine.clone()),
            None => options.build(),
        }
    }
}

impl fmt::Debug for MailboxOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailboxOptions")
            .field("path", &self.path)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Attributes an error about a name beside the mailbox to the mailbox.
fn about(mailbox: &Path, error: Error) -> Error {
    match error {
        Error::Invalid { reason, .. } => Error::Invalid { path: mailbox.into(), reason },
        error => error,
    }
}
