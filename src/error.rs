//! The one error type.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::dotlock::Dotlock;
use crate::holder::{Holder, Obstacle, Rounded};

/// What went wrong, where, and who is in the way.
///
/// The message has the cause in it, so that a program that prints nothing else shows it all; therefore
/// [`source`](std::error::Error::source) is `None`. [`io_error`](Error::io_error) returns the cause.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("report.lock");
/// use linklock::{Error, Lock};
///
/// let guard = Lock::new(&path)?.lock()?;
/// match Lock::new(&path)?.try_lock() {
///     Err(Error::Held { obstacle, .. }) => {
///         assert_eq!(obstacle.holder().unwrap().pid(), std::process::id());
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The lock is held, and there was to be no waiting.
    #[error("lock {} is taken: {obstacle}", path.display())]
    #[non_exhaustive]
    Held {
        /// The lock file.
        path: PathBuf,
        /// What is in the way.
        obstacle: Box<Obstacle>,
    },

    /// The lock was still held when the time was up.
    #[error("waited {} for lock {}: {obstacle}", Rounded(*waited), path.display())]
    #[non_exhaustive]
    TimedOut {
        /// The lock file.
        path: PathBuf,
        /// For how long.
        waited: Duration,
        /// What was in the way at last.
        obstacle: Box<Obstacle>,
    },

    /// This very handle holds the lock already: waiting would be waiting for oneself.
    #[error(
        "lock {} is already held by a guard of this handle: give each thread or task a clone of its own",
        path.display()
    )]
    #[non_exhaustive]
    AlreadyLocked {
        /// The lock file.
        path: PathBuf,
    },

    /// The lock is no longer ours: the lease was over and another has ended it, or somebody has
    /// removed the lock file. What it guards may have changed under us.
    #[error("lock {} was lost: {now}", path.display())]
    #[non_exhaustive]
    Lost {
        /// The lock file.
        path: PathBuf,
        /// What is there instead.
        now: Successor,
    },

    /// The lease ended, but nobody was seen to take the lock: a refresh may still save it.
    #[error("the lease of lock {} ended {} ago{}", path.display(), Rounded(*ago), because(error.as_ref()))]
    #[non_exhaustive]
    Expired {
        /// The lock file.
        path: PathBuf,
        /// For how long it has been over.
        ago: Duration,
        /// What kept it from being refreshed in time, if it was tried.
        error: Option<io::Error>,
    },

    /// A lock can't be made with these options.
    #[error("invalid lock {}: {reason}", path.display())]
    #[non_exhaustive]
    Invalid {
        /// The lock file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },

    /// The file system has no hard links, or does not count them: a lock needs both.
    #[error(
        "cannot lock {}: {file_system} has no hard links that can be relied on{}: use a directory on \
         another file system",
        path.display(), because(error.as_ref())
    )]
    #[non_exhaustive]
    NoHardLinks {
        /// The lock file.
        path: PathBuf,
        /// The claim that was to be linked to it.
        claim: PathBuf,
        /// What is mounted there.
        file_system: String,
        /// What the system said, if it said anything.
        error: Option<io::Error>,
    },

    /// The file system lacks something else that a lock takes. This is found out before the lock is
    /// held.
    #[error("cannot lock {}: {file_system} {lacks}{}", path.display(), because(error.as_ref()))]
    #[non_exhaustive]
    UnsupportedFileSystem {
        /// The lock file.
        path: PathBuf,
        /// What is mounted there.
        file_system: String,
        /// What it does not do, and what to do about it.
        lacks: String,
        /// What the system said, if it said anything.
        error: Option<io::Error>,
    },

    /// The process that a lock was to be detached to does not run.
    #[error("cannot detach lock {}: no process {pid}", path.display())]
    #[non_exhaustive]
    NoSuchOwner {
        /// The lock file.
        path: PathBuf,
        /// The pid.
        pid: u32,
    },

    /// Locking a mailbox takes a permission that is missing.
    #[error("cannot lock mailbox {}: {missing}: {error}", path.display())]
    #[non_exhaustive]
    Denied {
        /// The mailbox.
        path: PathBuf,
        /// Which permission, to what, and who has it.
        missing: String,
        /// What the system said.
        error: io::Error,
    },

    /// A file operation failed.
    #[error("failed to {operation} {}: {error}", path.display())]
    #[non_exhaustive]
    Io {
        /// What was tried.
        operation: Operation,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// Who was found in the place of a holder that lost its lock.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Successor {
    /// Nobody: the lock file is gone.
    Nobody,
    /// Another holder.
    Holder(Box<Holder>),
    /// Something that is no lock, or can't be read.
    Stranger,
    /// Of a mailbox: another program's dotlock.
    Dotlock(Box<Dotlock>),
}

impl fmt::Display for Successor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Successor::Nobody => write!(f, "the lock file is gone"),
            Successor::Holder(holder) => write!(f, "it is held by {holder}"),
            Successor::Stranger => write!(f, "something else has its name"),
            Successor::Dotlock(dotlock) => write!(f, "the mailbox has {dotlock}"),
        }
    }
}

/// A file operation, as error messages name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Make a claim.
    Create,
    /// Ask for a file's attributes.
    Stat,
    /// Read a lock file.
    Read,
    /// Set the end of a lease.
    Touch,
    /// Make a hard link.
    Link,
    /// Take a lock file away.
    Rename,
    /// Remove a file.
    Remove,
    /// List a directory.
    List,
    /// Find out the host's name.
    HostName,
    /// Make a path absolute.
    Resolve,
    /// Start the thread that keeps locks alive.
    KeepAlive,
    /// Open a mailbox.
    Open,
    /// Lock a mailbox by fcntl(2).
    FcntlLock,
    /// Have any of these done by a thread of a runtime's pool.
    UsePool,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Create => "create",
            Operation::Stat => "look at",
            Operation::Read => "read",
            Operation::Touch => "set the time of",
            Operation::Link => "link to",
            Operation::Rename => "rename",
            Operation::Remove => "remove",
            Operation::List => "list",
            Operation::HostName => "find the host name for",
            Operation::Resolve => "find the directory of",
            Operation::KeepAlive => "start a thread to keep alive",
            Operation::Open => "open",
            Operation::FcntlLock => "lock by fcntl(2)",
            Operation::UsePool => "use the runtime's threads for",
        })
    }
}

impl Error {
    /// The lock file or, for a failed file operation, the file that it failed on.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Error::Held { path, .. }
            | Error::TimedOut { path, .. }
            | Error::AlreadyLocked { path }
            | Error::Lost { path, .. }
            | Error::Expired { path, .. }
            | Error::Invalid { path, .. }
            | Error::NoHardLinks { path, .. }
            | Error::UnsupportedFileSystem { path, .. }
            | Error::NoSuchOwner { path, .. }
            | Error::Denied { path, .. }
            | Error::Io { path, .. } => path,
        }
    }

    /// The holder of the lock, where that is what went wrong.
    #[must_use]
    pub fn holder(&self) -> Option<&Holder> {
        match self {
            Error::Held { obstacle, .. } | Error::TimedOut { obstacle, .. } => obstacle.holder(),
            Error::Lost { now: Successor::Holder(holder), .. } => Some(holder),
            _ => None,
        }
    }

    /// What the system said, where a system call failed.
    #[must_use]
    pub fn io_error(&self) -> Option<&io::Error> {
        match self {
            Error::Io { error, .. } | Error::Denied { error, .. } => Some(error),
            Error::Expired { error, .. }
            | Error::NoHardLinks { error, .. }
            | Error::UnsupportedFileSystem { error, .. } => error.as_ref(),
            _ => None,
        }
    }

    /// Whether somebody else's holding the lock is all that is wrong: try again later.
    #[must_use]
    pub fn is_contention(&self) -> bool {
        matches!(self, Error::Held { .. } | Error::TimedOut { .. })
    }

    /// Whether the lock is lost, or as good as lost.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self, Error::Lost { .. } | Error::Expired { .. })
    }

    pub(crate) fn io(operation: Operation, path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |error| Error::Io { operation, path: path.to_owned(), error }
    }
}

/// The system's own words: part of the message, for those who print nothing but that.
fn because(error: Option<&io::Error>) -> String {
    error.map_or_else(String::new, |error| format!(": {error}"))
}

/// Keeps the kind of the system's error, and says the rest in the message.
impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        let kind = match &error {
            Error::Held { .. } => io::ErrorKind::WouldBlock,
            Error::TimedOut { .. } => io::ErrorKind::TimedOut,
            Error::AlreadyLocked { .. } => io::ErrorKind::Deadlock,
            Error::Invalid { .. } => io::ErrorKind::InvalidInput,
            Error::NoHardLinks { .. } | Error::UnsupportedFileSystem { .. } => {
                io::ErrorKind::Unsupported
            }
            Error::NoSuchOwner { .. } => io::ErrorKind::NotFound,
            Error::Io { error, .. } | Error::Denied { error, .. } => error.kind(),
            Error::Lost { .. } | Error::Expired { .. } => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}
