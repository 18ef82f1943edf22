//! The error type, and the public types that its variants contain.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::dotlock::Dotlock;
use crate::holder::{Holder, Obstacle, Rounded};

/// What failed, on which path, and which holder is in the way.
///
/// The message includes the cause, so that a program that prints nothing else shows everything;
/// therefore [`source`](std::error::Error::source) is `None`. [`io_error`](Error::io_error) returns
/// the cause.
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
    /// The lock is held, or there is another obstacle, and the method does not wait, or waits no
    /// longer.
    #[error("lock {} is taken: {obstacle}", path.display())]
    #[non_exhaustive]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The obstacle.
        obstacle: Box<Obstacle>,
    },

    /// The lock was still held when the time was up, or when the caller's `go_on` returned `false`.
    #[error("waited {} for lock {}: {obstacle}", Rounded(*waited), path.display())]
    #[non_exhaustive]
    TimedOut {
        /// The lock file.
        path: PathBuf,
        /// How long the caller waited.
        waited: Duration,
        /// The obstacle when the wait ended.
        obstacle: Box<Obstacle>,
    },

    /// This thread already holds the lock through the same handle: it would wait for itself for
    /// ever. Another thread, or a clone of the handle, waits.
    #[error("lock {} is already held by this thread: it would wait for itself", path.display())]
    #[non_exhaustive]
    AlreadyLocked {
        /// The lock file.
        path: PathBuf,
    },

    /// The lock is no longer ours: its lease had ended and another process has ended the tenure, or
    /// the lock file was removed. What the lock guards may have been changed by another process.
    #[error("lock {} was lost: {now}", path.display())]
    #[non_exhaustive]
    Lost {
        /// The lock file.
        path: PathBuf,
        /// What has the lock file's name now.
        now: Successor,
    },

    /// The lease has ended, but no other process was seen to take the lock: a refresh may still
    /// save it.
    #[error("the lease of lock {} ended {} ago{}", path.display(), Rounded(*ago), because(error.as_ref()))]
    #[non_exhaustive]
    Expired {
        /// The lock file.
        path: PathBuf,
        /// How long ago the lease ended.
        ago: Duration,
        /// The error that prevented a refresh in time, if one was tried.
        error: Option<io::Error>,
    },

    /// The options, or an argument, are invalid.
    #[error("invalid lock {}: {reason}", path.display())]
    #[non_exhaustive]
    Invalid {
        /// The lock file.
        path: PathBuf,
        /// Why they are invalid.
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
        /// The claim that was to be linked to the lock file.
        claim: PathBuf,
        /// The file system that is mounted there.
        file_system: String,
        /// The system's error, if it returned one.
        error: Option<io::Error>,
    },

    /// The file system lacks something else that a lock needs. This is detected before the lock is
    /// held.
    #[error("cannot lock {}: {file_system} {lacks}{}", path.display(), because(error.as_ref()))]
    #[non_exhaustive]
    UnsupportedFileSystem {
        /// The lock file.
        path: PathBuf,
        /// The file system that is mounted there.
        file_system: String,
        /// What the file system does not do, and what to do about it.
        lacks: String,
        /// The system's error, if it returned one.
        error: Option<io::Error>,
    },

    /// The process that was to become a detached lock's owner does not exist.
    #[error("cannot detach lock {}: no process {pid}", path.display())]
    #[non_exhaustive]
    NoSuchOwner {
        /// The lock file.
        path: PathBuf,
        /// The pid that was given.
        pid: u32,
    },

    /// Locking a mailbox needs a permission that this process does not have.
    #[error("cannot lock mailbox {}: {missing}: {error}", path.display())]
    #[non_exhaustive]
    Denied {
        /// The mailbox.
        path: PathBuf,
        /// The missing permission, the file it is for, and the user that has it.
        missing: String,
        /// The system's error.
        error: io::Error,
    },

    /// A file operation failed.
    #[error("failed to {operation} {}: {error}", path.display())]
    #[non_exhaustive]
    Io {
        /// The operation that failed.
        operation: Operation,
        /// The file on which it failed.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
}

/// What was found in place of a holder that lost its lock.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Successor {
    /// Nothing: the lock file is gone.
    Nobody,
    /// Another holder.
    Holder(Box<Holder>),
    /// Something that is not a lock, or cannot be read.
    Stranger,
    /// On a mailbox: another program's dotlock.
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

/// A file operation, as named in error messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Make a claim.
    Create,
    /// Get a file's attributes.
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
    /// Get the host's name.
    HostName,
    /// Make a path absolute.
    Resolve,
    /// Start the thread that keeps locks alive.
    KeepAlive,
    /// Open a mailbox.
    Open,
    /// Lock a mailbox by fcntl(2).
    FcntlLock,
    /// Run any of these on a thread of a runtime's pool.
    UsePool,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Create => "create",
            Operation::Stat => "get the attributes of",
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
    /// The path of the lock file or, for a failed file operation, of the file on which it failed.
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

    /// The holder of the lock, if it is the obstacle or has taken the lock; otherwise `None`.
    #[must_use]
    pub fn holder(&self) -> Option<&Holder> {
        match self {
            Error::Held { obstacle, .. } | Error::TimedOut { obstacle, .. } => obstacle.holder(),
            Error::Lost { now: Successor::Holder(holder), .. } => Some(holder),
            _ => None,
        }
    }

    /// The system's error, if a system call failed; otherwise `None`.
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

    /// Whether the only problem is that the lock is held by another process: try again later.
    #[must_use]
    pub fn is_contention(&self) -> bool {
        matches!(self, Error::Held { .. } | Error::TimedOut { .. })
    }

    /// Whether the lock is lost, or its lease has ended, so that it may be lost at any moment.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self, Error::Lost { .. } | Error::Expired { .. })
    }

    pub(crate) fn io(operation: Operation, path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |error| Error::Io { operation, path: path.to_owned(), error }
    }
}

/// The system's error as part of the message, for programs that print only the message.
fn because(error: Option<&io::Error>) -> String {
    error.map_or_else(String::new, |error| format!(": {error}"))
}

/// Keeps the kind of the system's error; the message contains the rest.
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
