//! A file that is kept open to be touched or locked by this machine's system calls.
//!
//! Where a range lock belongs to the process, two of its threads do not exclude each other, and the
//! lock is released when the process closes any descriptor of the file. On such systems this crate
//! opens a file to lock it only once at a time.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use nix::sys::stat::futimens;
use nix::sys::time::TimeSpec;

use super::fs::{Attr, FileId, OpenFile, attributes, cached_attributes, process_id};
use super::range_lock::{self, IS_OF_PROCESS, Locker};

/// [`OpenFile`] by a descriptor. The order of the fields matters: the file is closed before it may
/// be opened again.
#[derive(Debug)]
pub(super) struct PosixFile {
    file: File,
    _alone: Option<Alone>,
}

impl PosixFile {
    pub(super) fn create_new(path: &Path, permissions: u32) -> io::Result<PosixFile> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(permissions).open(path)?;
        Ok(PosixFile { file, _alone: None })
    }

    /// Writes the content of a file that was just created.
    pub(super) fn fill(&self, content: &[u8], permissions: u32, to_server: bool) -> io::Result<()> {
        self.file.set_permissions(Permissions::from_mode(permissions))?;
        (&self.file).write_all(content)?;
        if to_server { self.file.sync_data() } else { Ok(()) }
    }

    /// `None` while this process has the file open already, where that matters.
    pub(super) fn open(path: &Path, for_writing: bool) -> io::Result<Option<PosixFile>> {
        let alone = if IS_OF_PROCESS {
            let Some(alone) = Alone::with(cached_attributes(path)?.id) else { return Ok(None) };
            Some(alone)
        } else {
            None
        };
        // O_NONBLOCK: a FIFO in the file's place must not block us.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        let mut options = OpenOptions::new();
        let file = options.read(true).write(for_writing).custom_flags(flags).open(path)?;
        Ok(Some(PosixFile { file, _alone: alone }))
    }
}

impl OpenFile for PosixFile {
    fn attributes(&self) -> io::Result<Attr> {
        attributes(&self.file)
    }

    fn touch(&self) -> io::Result<()> {
        Ok(futimens(&self.file, &TimeSpec::UTIME_NOW, &TimeSpec::UTIME_NOW)?)
    }

    fn try_lock(&self) -> io::Result<bool> {
        range_lock::try_lock(&self.file)
    }

    fn unlock(&self) -> io::Result<()> {
        range_lock::unlock(&self.file)
    }

    fn locker(&self) -> io::Result<Locker> {
        range_lock::locker(&self.file)
    }

    fn file(&self) -> Option<&File> {
        Some(&self.file)
    }
}

/// The files that each process has open: a forked child inherits its parent's entries.
static OPEN: Mutex<Vec<(u32, FileId)>> = Mutex::new(Vec::new());

/// The right to have a file open, exclusive within the process.
#[derive(Debug)]
struct Alone {
    entry: (u32, FileId),
}

impl Alone {
    /// `None` while this process has the file open already.
    fn with(file: FileId) -> Option<Alone> {
        let entry = (process_id(), file);
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if open.contains(&entry) {
            return None;
        }
        open.push(entry);
        Some(Alone { entry })
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        OPEN.lock().unwrap_or_else(PoisonError::into_inner).retain(|entry| *entry != self.entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_open_once_at_a_time() {
        let file = FileId { dev: u64::MAX, ino: 1 };
        let alone = Alone::with(file).unwrap();
        assert!(Alone::with(file).is_none());
        assert!(Alone::with(FileId { ino: 2, ..file }).is_some());
        drop(alone);
        assert!(Alone::with(file).is_some());
    }
}
