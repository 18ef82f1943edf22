//! `--at-most-every`: a file beside the lock whose date shows when the command last succeeded.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use linklock::Lock;

use crate::exit::{self, Failure};
use crate::output::say;
use crate::time;

#[derive(Debug)]
pub(super) struct Marker {
    path: PathBuf,
    /// When this run began, by the file server's clock.
    begun: SystemTime,
}

impl Marker {
    /// The marker of a lock that is held.
    pub(super) fn of(lock: &Lock) -> Result<Marker, Failure> {
        let mut path = lock.path().as_os_str().to_owned();
        path.push(".success");
        Ok(Marker { path: path.into(), begun: lock.server_time()? })
    }

    /// How long ago the last successful run began. Opens the file, since only then does NFS show
    /// changes made by another host. A date in the future does not count.
    pub(super) fn age(&self) -> Result<Option<Duration>, Failure> {
        let read = File::open(&self.path).and_then(|file| file.metadata()?.modified());
        match read {
            Ok(last) => Ok(self.begun.duration_since(last).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                let why = format!("cannot read {}: {error}", self.path.display());
                Err(Failure::new(exit::SYSTEM, why))
            }
        }
    }

    /// Records that the command has succeeded.
    pub(super) fn set(&self) {
        let set = File::create(&self.path).and_then(|file| {
            file.set_len(0)?;
            file.set_modified(self.begun)
        });
        if let Err(error) = set {
            say(format_args!("cannot write {}: {error}", self.path.display()));
        }
    }
}

/// Why the command is not run again so soon.
pub(super) fn too_soon(age: Duration, period: Duration) -> String {
    let (age, period) = (time::show(age), time::show(period));
    format!("the command last succeeded {age} ago, less than {period}: not run")
}
