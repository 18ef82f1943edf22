//! What every step of the protocol needs to know about its lock.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use crate::clock::Clock;
use crate::error::{Error, Operation};
use crate::holder::StalePolicy;
use crate::model::backoff::{Backoff, Polling};
use crate::model::fairness::Fairness;
use crate::model::lease::{SEAT_LEASE, ServerClock};
use crate::model::names::Names;
use crate::model::safeguard::Safeguard;
use crate::sys::errno::{has_no_links, is_busy, is_estale, is_gone, is_refusal, may_mean_no_links};
use crate::sys::fs::{Attr, FileId, Fs, Mount};
use crate::sys::os_str::OsStrExt;
use crate::sys::process::{Processes, hash};

/// One lock, as one handle and its clones see it.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) names: Names,
    pub(crate) stale: StalePolicy,
    pub(crate) clock_slop: Duration,
    pub(crate) polling: Polling,
    pub(crate) retry_errnos: Vec<i32>,
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) processes: Arc<dyn Processes>,
    pub(crate) random: fn() -> u64,
    pub(crate) server: ServerClock,
    /// Whether a handle keeps its claim from one tenure to the next.
    pub(crate) keep_claim: bool,
    /// Whether tenures get fencing tokens.
    pub(crate) fencing: bool,
    /// Whether this machine's kernel can wake a waiter: not where time is only simulated.
    pub(crate) can_wake: bool,
    /// The queue of this host's waiters, once it is known.
    pub(crate) queue: OnceLock<Option<u64>>,
    /// Decides when this handle lets other waiters go first.
    pub(crate) fairness: Fairness,
    /// Whether the file system was seen to do what a lock needs.
    pub(crate) is_tried: AtomicBool,
    /// Whether this handle has swept already.
    pub(crate) has_swept: AtomicBool,
}

impl Context {
    /// The lock file.
    pub(crate) fn lock_path(&self) -> &Path {
        self.names.lock_path()
    }

    /// Now, on the clock that leases are counted on.
    pub(crate) fn now(&self) -> Duration {
        self.clock.now()
    }

    /// The server's time, by which another's lease is checked: never too late, so that no lease is
    /// found expired early. Until the server's time is known, this machine's date must do.
    pub(crate) fn server_time(&self) -> SystemTime {
        let known = self.server.earliest(self.now()).filter(|_| Safeguard::ServersTime.stands());
        known.unwrap_or_else(|| self.clock.wall())
    }

    /// The server's time from which a lease of our own is counted: never too early.
    pub(crate) fn lease_start(&self, now: Duration) -> SystemTime {
        self.server.latest(now).unwrap_or_else(|| self.clock.wall())
    }

    /// What can be relied on in the lock's directory.
    pub(crate) fn mount(&self) -> Mount {
        self.fs.mount(self.names.dir()).unwrap_or(Mount::Other)
    }

    /// The server stamped this time on a file of ours after the moment `before` of our own clock.
    pub(crate) fn learn_time(&self, stamped: SystemTime, before: Duration) {
        self.server.set(stamped, before, self.now(), self.clock_slop / 4);
    }

    /// How long processes can be in that many seats, one after another, before all are passed over.
    pub(crate) fn time_of_seats(&self, seats: u32) -> Duration {
        SEAT_LEASE.saturating_add(self.clock_slop).saturating_mul(seats)
    }

    /// Whether every request is executed once, and before its call returns.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self.mount(), Mount::Local | Mount::Exported)
    }

    /// Whether no process of another machine can have made a file here.
    pub(crate) fn is_this_machines_alone(&self) -> bool {
        self.mount() == Mount::Local
    }

    /// Identifies the queue of this host's waiters: by the lock's directory, whatever path leads
    /// there, and the lock's name. Two locks with the same key would only share a queue.
    pub(crate) fn queue(&self) -> Option<u64> {
        if !self.can_wake {
            return None;
        }
        *self.queue.get_or_init(|| {
            let FileId { dev, ino } = self.fs.stat(self.names.dir()).ok()?.id;
            let name = self.lock_path().file_name()?.as_bytes();
            Some(hash([dev.to_le_bytes().as_slice(), &ino.to_le_bytes(), name]))
        })
    }

    /// Looks up a file, which may not be there.
    pub(crate) fn find(&self, path: &Path) -> Result<Option<Attr>, Error> {
        match self.retry_estale(|| self.fs.stat(path)) {
            Ok(attr) => Ok(Some(attr)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(Error::io(Operation::Stat, path)(error)),
        }
    }

    /// Removes a file; returns whether it was there.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<bool> {
        let mut asked = 0;
        let removed = self.retry_estale(|| {
            asked += 1;
            self.fs.unlink(path)
        });
        match removed {
            Ok(()) => Ok(true),
            Err(error) if is_gone(&error) => Ok(asked > 1), // the first request may have done it
            Err(error) => Err(error),
        }
    }

    /// A random number that the name of a put-aside file has room for.
    pub(crate) fn random_number(&self) -> u32 {
        u32::try_from((self.random)() >> 32).unwrap_or_default()
    }

    /// ESTALE means that the client had hold of a file that is gone, not that its name leads
    /// nowhere: ask again. Where files come and go it can be returned several times in a row (seen
    /// on NFSv4.2); in the end it is an error like any other.
    pub(crate) fn retry_estale<T>(&self, mut ask: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        let mut answer = ask();
        for tries in 0..8 {
            match &answer {
                Err(error) if is_estale(error) => {}
                _ => break,
            }
            if tries > 0 {
                self.clock.sleep(Duration::from_millis(1 << tries));
            }
            answer = ask();
        }
        answer
    }

    /// Whether the options say that this error of reading a lock file is waited out.
    pub(crate) fn is_to_be_retried(&self, error: &io::Error) -> bool {
        error.raw_os_error().is_some_and(|errno| self.retry_errnos.contains(&errno))
    }

    /// Linux's SMB client returns EINVAL where a file was used by its other name a moment ago, for
    /// up to a second; creating a file returns EBUSY for the same reason. In the end it is an error
    /// like any other.
    pub(crate) fn retry_busy<T>(&self, mut ask: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        for tries in 3..11 {
            match self.retry_estale(&mut ask) {
                Err(error) if is_busy(&error) => {
                    self.clock.sleep(Duration::from_millis(1 << tries));
                }
                answer => return answer,
            }
        }
        self.retry_estale(ask)
    }

    /// The error for a file system that does not do what a lock needs.
    pub(crate) fn unsupported(&self, lacks: impl Into<String>, error: Option<io::Error>) -> Error {
        let file_system = self.fs.describe(self.names.dir());
        let lacks = format!("{}: use a directory on another file system", lacks.into());
        Error::UnsupportedFileSystem { path: self.lock_path().into(), file_system, lacks, error }
    }

    pub(crate) fn no_hard_links(&self, claim: &Path, error: Option<io::Error>) -> Error {
        let file_system = self.fs.describe(self.names.dir());
        Error::NoHardLinks {
            path: self.lock_path().into(),
            claim: claim.into(),
            file_system,
            error,
        }
    }

    /// The error for a file system whose names may not have as many bytes as this one.
    pub(crate) fn names_too_long(&self, name: &Path, error: Option<io::Error>) -> Error {
        let needed = name.file_name().map_or(0, OsStr::len);
        let most = match self.fs.name_max(self.names.dir()) {
            Some(most) if most < needed => format!("takes names of at most {most} bytes"),
            _ => "takes fewer bytes in a name".to_owned(),
        };
        let lacks = format!(
            "{most}, and this lock needs {needed}: give it a shorter name, or this host one with \
             `host_name`"
        );
        let file_system = self.fs.describe(self.names.dir());
        Error::UnsupportedFileSystem { path: self.lock_path().into(), file_system, lacks, error }
    }

    /// Whether the error of link(2) means that there are no hard links, or no more of them. It is
    /// called where a file was made a moment ago, so that the directory is not what keeps it from
    /// being linked.
    pub(crate) fn lacks_links(&self, error: &io::Error) -> bool {
        // A disk may fail; but some file systems report that way that they have no such operation.
        is_refusal(error)
            || has_no_links(error)
            || (may_mean_no_links(error) && self.mount() == Mount::Other)
    }

    pub(crate) fn backoff(&self) -> Backoff {
        Backoff::new(self.polling)
    }

    /// Sleeps until the next look is due, or for `at_most`.
    pub(crate) fn pause(&self, backoff: &mut Backoff, at_most: Duration) {
        self.clock.sleep(backoff.pause((self.random)()).min(at_most));
    }
}
