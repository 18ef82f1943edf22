//! The time on the file server: the one clock that all who serve a directory share.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::records::HALF;
use crate::timestamp::whole_microseconds;

/// Below this it is the resolution of time stamps, and the network, that is seen.
const NOISE: Duration = Duration::from_millis(200);

/// How far the file server's clock is ahead of this machine's, or behind it.
#[derive(Clone, Copy, Debug, Default)]
enum Offset {
    #[default]
    None,
    Ahead(Duration),
    Behind(Duration),
}

#[derive(Debug, Default)]
pub(crate) struct FileClock {
    offset: Mutex<Offset>,
}

impl FileClock {
    /// Now, to the microsecond.
    pub(crate) fn now(&self) -> SystemTime {
        let local = SystemTime::now();
        whole_microseconds(match *self.offset.lock().unwrap_or_else(PoisonError::into_inner) {
            Offset::None => local,
            Offset::Ahead(by) => local + by,
            Offset::Behind(by) => local - by,
        })
    }

    /// Looks at what time the file server stamps on a new file.
    pub(crate) fn sample(&self, dir: &Path) -> io::Result<()> {
        let probe = dir.join(format!("{}{HALF}", uuid::Uuid::new_v4().simple()));
        let stamped = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&probe)
            .and_then(|file| file.metadata())
            .and_then(|metadata| metadata.modified());
        let local = SystemTime::now();
        let _ = fs::remove_file(&probe);
        let stamped = stamped?;
        let offset = match stamped.duration_since(local) {
            Ok(ahead) if ahead > NOISE => Offset::Ahead(ahead),
            Err(behind) if behind.duration() > NOISE => Offset::Behind(behind.duration()),
            _ => Offset::None,
        };
        *self.offset.lock().unwrap_or_else(PoisonError::into_inner) = offset;
        Ok(())
    }
}
