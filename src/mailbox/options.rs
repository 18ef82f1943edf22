//! A mailbox lock's options, validated.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
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

/// A program that touches its dotlock every 15 s has missed three touches by then.
const SHORTEST_REST: Duration = Duration::from_secs(60);

/// For the names of claims beside the mailbox: [`Lock`]'s own, and others in case the path has it.
const SEPARATORS: [char; 8] = ['|', '+', ':', '~', '^', '=', ',', '@'];

/// How to make a [`MailboxLock`]: see [`MailboxLock::options`].
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
#[derive(Clone, Debug)]
#[must_use = "options make no lock until they are built"]
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
    /// A lock on the mailbox with this path, with the default options.
    ///
    /// A relative path is made absolute now, and a later `chdir` changes nothing. Nothing is done
    /// to the file system yet.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a path without a file name, or with a name so long that those beside it
    /// would be longer than 255 bytes. [`Error::Io`] if the system does not tell the current directory
    /// or the host name.
    pub fn new(path: impl Into<PathBuf>) -> Result<MailboxLock, Error> {
        MailboxLock::options(path).build()
    }

    /// A lock with options.
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
    /// For how long [`MailboxLock::lock`] waits; for ever by default.
    pub fn timeout(mut self, timeout: Duration) -> MailboxOptions {
        self.timeout = Some(timeout);
        self
    }

    /// What this host is called in other programs' dotlocks, in place of gethostname(2)'s name.
    pub fn host_name(mut self, host_name: impl Into<OsString>) -> MailboxOptions {
        self.host_name = Some(host_name.into());
        self
    }

    /// When another's dotlock may be taken over. [`ExpiredOrDead`](StalePolicy::ExpiredOrDead), the
    /// default: when it is [unchanged for so long](Self::unchanged_for), or its process is provably
    /// dead. [`Expired`](StalePolicy::Expired): only when it is unchanged for so long.
    /// [`Never`](StalePolicy::Never).
    pub fn stale(mut self, policy: StalePolicy) -> MailboxOptions {
        self.stale = policy;
        self
    }

    /// For how long another's dotlock and the mailbox must have been seen unchanged before the
    /// dotlock may be taken over: 300 s by default, as dotlockfile has it; 60 s or more.
    pub fn unchanged_for(mut self, rest: Duration) -> MailboxOptions {
        self.unchanged_for = rest;
        self
    }

    /// Whether the mailbox itself is locked by fcntl(2), as well as by a dotlock: yes by default.
    /// Not where the mailbox is on a file system without such locks, or where what runs under the
    /// dotlock takes that lock itself.
    pub fn fcntl(mut self, on: bool) -> MailboxOptions {
        self.uses_fcntl = on;
        self
    }

    /// How a waiter polls: the first pause, and the longest that it grows to. 5 ms and 1 s by
    /// default. Each pause is random, between half of that and all of it.
    pub fn polling(mut self, first: Duration, longest: Duration) -> MailboxOptions {
        self.polling = Polling { first: first.min(longest), cap: longest };
        self
    }

    /// A clock in place of the machine's own, for tests.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> MailboxOptions {
        self.clock = clock;
        self
    }

    /// Makes the lock.
    ///
    /// # Errors
    ///
    /// As for [`MailboxLock::new`], and [`Error::Invalid`] for less than 60 s
    /// [unchanged](Self::unchanged_for).
    pub fn build(self) -> Result<MailboxLock, Error> {
        let timeout = self.timeout;
        Ok(MailboxLock::with(self.context(None)?, timeout))
    }

    /// Makes the lock, on another machine than this.
    #[cfg(test)]
    pub(crate) fn build_on(self, machine: &Machine) -> Result<MailboxLock, Error> {
        let timeout = self.timeout;
        Ok(MailboxLock::with(self.context(Some(machine))?, timeout))
    }

    /// What the lock needs to know, on this machine unless another is given.
    pub(crate) fn context(self, machine: Option<&Machine>) -> Result<MailboxContext, Error> {
        if self.unchanged_for < SHORTEST_REST {
            let reason = format!("{:?} unchanged are less than 60 s", self.unchanged_for);
            return Err(Error::Invalid { path: self.path, reason });
        }
        let path = std::path::absolute(&self.path);
        let path = path.map_err(Error::io(Operation::Resolve, &self.path))?;
        let named = path.file_name().filter(|_| self.path.file_name().is_some());
        let Some((name, dir)) = named.zip(path.parent()) else {
            return Err(Error::Invalid { path, reason: "the path names no file".into() });
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
        let mailbox = dir.join(name); // without a slash at its end
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

/// Reports about the mailbox what was found wrong with a name beside it.
fn about(mailbox: &Path, error: Error) -> Error {
    match error {
        Error::Invalid { reason, .. } => Error::Invalid { path: mailbox.into(), reason },
        error => error,
    }
}
