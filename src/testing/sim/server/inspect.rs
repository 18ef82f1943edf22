//! What the checkers see of the server, without a request.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use super::{Answer, Content, Request, Server};
use crate::model::lease::SEAT_LEASE;
use crate::model::names::READER_DIGITS;
use crate::testing::sim::constants::{PATH, READERS, epoch};

/// The prefix of the names of seats.
const SEATS: &[u8] = b"/sim/L|break|";
/// The prefix of the names that a lock file is moved to when it is taken away.
const ASIDE: &[u8] = b"/sim/L|aside|";

impl Server {
    /// What was written to a file, even if a power cut has lost it since.
    pub(in crate::testing::sim) fn content(&self, path: &Path) -> Option<&[u8]> {
        Some(&self.inodes[self.names.get(path.as_os_str())?].content)
    }

    /// Whether the holder of the lock file can be identified: by its content, or by its claim.
    pub(in crate::testing::sim) fn tells_holder(&self) -> bool {
        let Some(ino) = self.names.get(OsStr::new(PATH)) else { return false };
        let is_claim = |path: &OsStr| {
            let name = path.as_encoded_bytes();
            name.len() > PATH.len() && !name.starts_with(SEATS) && !name.starts_with(ASIDE)
        };
        let mut names = self.names.iter().filter(|(_, other)| *other == ino);
        self.inodes[ino].kept == Content::Whole || names.any(|(path, _)| is_claim(path))
    }

    /// When the last lease ends that keeps the lock from a contender, of the holder, of readers and of
    /// processes in seats: since the run began.
    pub(in crate::testing::sim) fn last_lease(&self) -> Option<Duration> {
        let end = |(path, ino): (&OsString, &u64)| {
            let name = path.as_encoded_bytes();
            let reader = name.strip_prefix(READERS.as_bytes());
            let is_readers_seat =
                reader.is_some_and(|rest| rest[READER_DIGITS..].starts_with(b"|break|"));
            if path == PATH || reader.is_some_and(|rest| rest.len() == READER_DIGITS) {
                Some(self.inodes[ino].mtime)
            } else if name.starts_with(SEATS) || is_readers_seat {
                Some(self.inodes[ino].ctime + SEAT_LEASE)
            } else {
                None
            }
        };
        let ends = self.names.iter().filter_map(end);
        ends.filter_map(|end| end.duration_since(self.epoch).ok()).max()
    }

    /// The length of the longest such lease, by its own dates.
    pub(in crate::testing::sim) fn longest_lease(&self) -> Option<Duration> {
        let inode = &self.inodes[self.names.get(OsStr::new(PATH))?];
        let length = inode.mtime.duration_since(inode.ctime).unwrap_or_default();
        Some(if self.has_seats() { length.max(SEAT_LEASE) } else { length })
    }

    /// How far the clock was set, forward or back.
    pub(in crate::testing::sim) fn clock_error(&self) -> Duration {
        let ahead = self.epoch.duration_since(epoch());
        ahead.unwrap_or_else(|behind| behind.duration())
    }

    /// Whether a process, alive or dead, is in a seat.
    pub(in crate::testing::sim) fn has_seats(&self) -> bool {
        self.names().any(|path| path.as_os_str().as_encoded_bytes().starts_with(SEATS))
    }

    /// Adds files that do not belong to the lock.
    pub(in crate::testing::sim) fn add_strangers(&mut self, paths: &[&str]) {
        for path in paths {
            let created = self.execute(&Request::Create(path.into()), Duration::ZERO);
            if let Ok(Answer::Attr(handle, _)) = created {
                let content = path.as_bytes().to_owned();
                let _ = self.execute(&Request::Write(handle, content), Duration::ZERO);
            }
        }
    }

    /// Whether this file is as it was when it was made.
    pub(in crate::testing::sim) fn is_untouched(&self, path: &str) -> bool {
        self.names.get(OsStr::new(path)).is_some_and(|ino| {
            let inode = &self.inodes[ino];
            let begun = self.rounded(epoch());
            let is_early = (inode.mtime, inode.ctime) == (begun, begun);
            is_early && inode.nlink == 1 && inode.content == path.as_bytes()
        })
    }
}
