//! The holder of a lock, and other obstacles of a contender.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::dotlock::Dotlock;
use crate::lock_file::LockFile;
use crate::sys::process::Life;

/// The process that held the lock when it was observed, or waited for it
/// ([`Lock::waiters`](crate::Lock::waiters)): flufl.lock's `details`, and more. A snapshot: no
/// method blocks.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("report.lock");
/// use linklock::Lock;
///
/// let lock = Lock::new(&path)?;
/// let guard = lock.lock()?;
/// let holder = Lock::new(&path)?.holder()?.expect("it is locked");
/// assert_eq!(holder.pid(), std::process::id());
/// assert_eq!(holder.claim_path(), guard.claim_path());
/// # Ok::<(), linklock::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub(crate) host: OsString,
    pub(crate) pid: u32,
    pub(crate) claim: PathBuf,
    pub(crate) format: Format,
    pub(crate) role: Role,
    pub(crate) life: Life,
    pub(crate) expires_at: SystemTime,
    pub(crate) refreshed_at: SystemTime,
    pub(crate) server_time: SystemTime,
}

impl Holder {
    /// The host that it runs on, by its own name for itself.
    #[must_use]
    pub fn host(&self) -> &OsStr {
        &self.host
    }

    /// Its process id, which is meaningful on its own host only. For a lock that was detached with
    /// no owner but its lease, it is 1.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the holder can be identified. A lock file that lost its content in a power cut, and
    /// whose claim is gone, has a holder with an empty host name.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !self.host.is_empty()
    }

    /// The path of its claim, beside the lock file.
    #[must_use]
    pub fn claim_path(&self) -> &Path {
        &self.claim
    }

    /// The format of its claim.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// How many [slots](crate::Slots) the set has, by this holder's own account, if it acquired the
    /// lock as one of a set; `None` for a lock by itself.
    #[must_use]
    pub fn slots(&self) -> Option<u32> {
        match self.role {
            Role::Slot(of) => Some(of),
            Role::Alone | Role::Entrance => None,
        }
    }

    /// Whether it is a reader of an [`RwLock`](crate::RwLock) that holds the lock file for a moment, on its way
    /// in: no program waits for long for such a holder.
    #[must_use]
    pub fn is_entering(&self) -> bool {
        self.role == Role::Entrance
    }

    /// Whether its process runs, as far as this host can determine.
    #[must_use]
    pub fn life(&self) -> Life {
        self.life
    }

    /// When its lease ends, in the file server's time: the lock file's mtime.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// When it last took or refreshed the lock, in the file server's time: the lock file's ctime.
    #[must_use]
    pub fn refreshed_at(&self) -> SystemTime {
        self.refreshed_at
    }

    /// How long it had not refreshed the lock when it was observed.
    #[must_use]
    pub fn idle(&self) -> Duration {
        self.server_time.duration_since(self.refreshed_at).unwrap_or_default()
    }

    /// How much longer its lease ran when it was observed; zero if it had ended.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.expires_at.duration_since(self.server_time).unwrap_or_default()
    }

    /// How long its lease had been expired when it was observed; zero if it ran.
    #[must_use]
    pub fn overdue(&self) -> Duration {
        self.server_time.duration_since(self.expires_at).unwrap_or_default()
    }

    /// Whether its lease had ended when it was observed. Another process may take the lock only
    /// once the clock slop has passed too.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.expires_at < self.server_time
    }
}

/// What the lock of a claim is to other locks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Role {
    /// A lock by itself.
    #[default]
    Alone,
    /// One of a set of so many slots.
    Slot(u32),
    /// The way in for readers, one of whom holds it for a moment.
    Entrance,
}

/// The program whose format a claim has: the two formats differ only in the last field of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// This library.
    Linklock,
    /// Python's flufl.lock, whose holders cannot be proven dead.
    FluflLock,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_known() {
            self.fmt_process(f)?;
        } else {
            write!(f, "an unknown process (the lock file has lost its content, and has no claim)")?;
        }
        match self.expires_at.duration_since(self.server_time) {
            Ok(left) => write!(f, ", its lease ends in {}", Rounded(left)),
            Err(over) => write!(f, ", its lease ended {} ago", Rounded(over.duration())),
        }
    }
}

impl Holder {
    fn fmt_process(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Any user who may write the lock file chooses this text.
        let host = self.host.to_string_lossy();
        write!(f, "process {} on {}", self.pid, host.escape_debug())?;
        match self.life {
            Life::Alive => write!(f, " (alive)"),
            Life::Dead => write!(f, " (dead)"),
            Life::Unknown => Ok(()),
        }
    }
}

/// A duration as messages show it.
pub(crate) struct Rounded(pub(crate) Duration);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            0..10 => write!(f, "{:.1} s", self.0.as_secs_f64()),
            seconds => write!(f, "{seconds} s"),
        }
    }
}

/// What keeps a contender from the lock.
#[derive(Debug)]
#[non_exhaustive]
pub enum Obstacle {
    /// A holder whose lease runs.
    Holder(Holder),
    /// A holder whose lock is stale, but may not be taken over: in a sticky directory, users may
    /// not remove each other's files (see unlink(2)). The lock ends only when its holder, the
    /// directory's owner or root ends it.
    CannotBreak(Holder, io::Error),
    /// Something else with the lock file's name: a file that is not a lock, a directory, a symbolic
    /// link. A contender never removes it.
    NotALock,
    /// A file that cannot be read at present, and is therefore treated as a held lock.
    Unreadable(io::Error),
    /// A file that this process may not read, and beside which no claim shows its holder: it is
    /// treated as a held lock. Its owner and root can read it.
    ReadDenied(LockFile, io::Error),
    /// Only other waiters on this host, which have waited for longer: the lock is passed to them
    /// first.
    Queue,
    /// On a mailbox: a dotlock that may not be broken, or not yet.
    Dotlock(Dotlock),
    /// On a mailbox: a stale dotlock that this process is not permitted to break.
    CannotBreakDotlock(Dotlock, io::Error),
    /// On a mailbox: another program's fcntl(2) lock, with its process if the system reports it.
    Fcntl(Option<u32>),
}

impl Obstacle {
    /// The holder, if the obstacle is a held lock; otherwise `None`.
    #[must_use]
    pub fn holder(&self) -> Option<&Holder> {
        match self {
            Obstacle::Holder(holder) | Obstacle::CannotBreak(holder, _) => Some(holder),
            _ => None,
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::Holder(holder) => write!(f, "held by {holder}"),
            Obstacle::CannotBreak(holder, error) => {
                write!(f, "held by {holder}, whose stale lock may not be taken over: {error}")
            }
            Obstacle::NotALock => write!(f, "the file that has its name is not a lock"),
            Obstacle::Unreadable(error) => write!(
                f,
                "held, but by whom is unknown, since the lock file cannot be read: {error}"
            ),
            Obstacle::ReadDenied(file, error) => write!(
                f,
                "held, but by whom is unknown, since the lock file cannot be read ({error}); it is {file}, last \
                 changed {} ago: its owner and root can read it, and after chmod a+r everybody can",
                Rounded(file.unchanged_for())
            ),
            Obstacle::Queue => write!(f, "queued behind other waiters on this host"),
            Obstacle::Dotlock(dotlock) => write!(f, "held with {dotlock}"),
            Obstacle::CannotBreakDotlock(dotlock, error) => {
                write!(f, "held with {dotlock}, which may not be removed: {error}")
            }
            Obstacle::Fcntl(Some(pid)) => write!(f, "locked by fcntl(2), by process {pid}"),
            Obstacle::Fcntl(None) => write!(f, "locked by fcntl(2)"),
        }
    }
}

/// What can be inferred about a lock: flufl.lock's six states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// There is no lock file.
    Unlocked,
    /// This process holds it, and its lease runs.
    Ours,
    /// This process holds it, but its lease has ended: another process may take it.
    OursExpired,
    /// Its holder is provably dead.
    Stale,
    /// Another process holds it, and its lease has ended.
    TheirsExpired,
    /// Another process holds it, or the file with its name is not a lock.
    Unknown,
}

/// The owner of a lock that was detached from the process that took it.
///
/// See [`LockGuard::detach`](crate::LockGuard::detach).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Owner {
    /// A running process of this host: the lock counts as held by it, and as stale once that
    /// process is dead. A shell script passes its own pid.
    Process(u32),
    /// No process: the lock ends when it is released or when its lease ends.
    Lease,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A holder that refreshed its lock at 100 s, for 15 s, as observed at the given time.
    fn seen_at(seconds: u64) -> Holder {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        Holder {
            host: "host".into(),
            pid: 1,
            claim: "/shared/lock|host|1|x0".into(),
            format: Format::Linklock,
            role: Role::Alone,
            life: Life::Unknown,
            expires_at: at(115),
            refreshed_at: at(100),
            server_time: at(seconds),
        }
    }

    #[test]
    fn a_holder_describes_the_time_of_its_observation() {
        for (at, idle, remaining, overdue, is_expired) in [
            (90, 0, 25, 0, false), // the server's clock was set back
            (104, 4, 11, 0, false),
            (115, 15, 0, 0, false),
            (117, 17, 0, 2, true),
        ] {
            let holder = seen_at(at);
            let seconds = [holder.idle(), holder.remaining(), holder.overdue()];
            assert_eq!(seconds.map(|time| time.as_secs()), [idle, remaining, overdue], "{at}");
            assert_eq!(holder.is_expired(), is_expired, "{at}");
        }
    }
}
