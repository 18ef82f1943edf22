//! What every step of the protocol needs to know about its lock.

use std::ffi::OsStr;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::error::Error;
use crate::model::backoff::Backoff;
use crate::model::config::Config;
use crate::model::machine::Machine;
use crate::model::memory::Memory;
use crate::model::names::Names;
use crate::model::safeguard::Safeguard;
use crate::sys::errno::{has_no_links, is_refusal, may_pass};
use crate::sys::fs::{FileId, Mount};
use crate::sys::os_str::OsStrExt;
use crate::sys::process::hash;

/// A lock, as a handle and its clones see it.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) names: Names,
    /// The values of the options.
    pub(crate) config: Config,
    /// The machine that the lock is used on.
    pub(crate) machine: Machine,
    /// What the handle has learned so far.
    pub(crate) memory: Memory,
}

impl Context {
    /// The lock file.
    pub(crate) fn lock_path(&self) -> &Path {
        self.names.lock_path()
    }

    /// Now, on the clock that leases are counted on.
    pub(crate) fn now(&self) -> Duration {
        self.machine.clock.now()
    }

    /// The server's time, by which another's lease is checked: never too late, so that no lease is
    /// found expired early. This machine's date, until the server's time is known.
    pub(crate) fn server_time(&self) -> SystemTime {
        let known =
            self.memory.server.earliest(self.now()).filter(|_| Safeguard::ServersTime.stands());
        known.unwrap_or_else(|| self.machine.clock.wall())
    }

    /// The server's time from which a lease of our own is counted: never too early.
    pub(crate) fn lease_start(&self, now: Duration) -> SystemTime {
        self.memory.server.latest(now).unwrap_or_else(|| self.machine.clock.wall())
    }

    /// How far the file system of the lock's directory can be relied on.
    pub(crate) fn mount(&self) -> Mount {
        self.machine.fs.mount(self.names.dir()).unwrap_or(Mount::Other)
    }

    /// The server stamped this time on a file of ours after the moment `before` of our own clock.
    pub(crate) fn learn_time(&self, stamped: SystemTime, before: Duration) {
        self.memory.server.set(stamped, before, self.now(), self.config.clock_slop / 4);
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
        if !self.machine.can_wake {
            return None;
        }
        *self.memory.queue.get_or_init(|| {
            let FileId { dev, ino } = self.machine.fs.stat(self.names.dir()).ok()?.id;
            let name = self.lock_path().file_name()?.as_bytes();
            Some(hash([dev.to_le_bytes().as_slice(), &ino.to_le_bytes(), name]))
        })
    }

    /// This machine's address for wake-up hints, if the options ask for them.
    pub(crate) fn wake_address(&self) -> Option<Ipv4Addr> {
        if !self.config.wake_hints {
            return None;
        }
        let find = || self.machine.network.local_address(self.names.dir());
        self.config.wake_address.or_else(|| *self.memory.wake_address.get_or_init(find))
    }

    /// The error for a file system that does not do what a lock needs.
    pub(crate) fn unsupported(&self, lacks: impl Into<String>, error: Option<io::Error>) -> Error {
        let file_system = self.machine.fs.describe(self.names.dir());
        let lacks = format!("{}: use a directory on another file system", lacks.into());
        Error::UnsupportedFileSystem { path: self.lock_path().into(), file_system, lacks, error }
    }

    pub(crate) fn no_hard_links(&self, claim: &Path, error: Option<io::Error>) -> Error {
        let file_system = self.machine.fs.describe(self.names.dir());
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
        let most = match self.machine.fs.name_max(self.names.dir()) {
            Some(most) if most < needed => format!("takes names of at most {most} bytes"),
            _ => "takes fewer bytes in a name".to_owned(),
        };
        let lacks = format!(
            "{most}, and this lock needs {needed}: choose a shorter name for it, or a shorter host \
             name with `host_name`"
        );
        let file_system = self.machine.fs.describe(self.names.dir());
        Error::UnsupportedFileSystem { path: self.lock_path().into(), file_system, lacks, error }
    }

    /// Whether an error means that the file system lacks the operation. Called for a file that has
    /// just been made, so that neither the directory nor the file can be the cause.
    ///
    /// A disk may fail, but an unknown file system may return any error, EIO above all, for an
    /// operation that it lacks.
    pub(crate) fn lacks(&self, error: &io::Error) -> bool {
        is_refusal(error) || (self.mount() == Mount::Other && !may_pass(error))
    }

    /// Whether the error of link(2) means that there are no hard links, or no more of them.
    pub(crate) fn lacks_links(&self, error: &io::Error) -> bool {
        self.lacks(error) || has_no_links(error)
    }

    /// Sleeps until the next poll is due, or for `at_most`.
    pub(crate) fn pause(&self, backoff: &mut Backoff, at_most: Duration) {
        self.machine.clock.sleep(backoff.pause((self.machine.random)()).min(at_most));
    }
}
