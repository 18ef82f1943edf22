//! A mailbox that is open to be locked.
//!
//! Where a lock by fcntl(2) is the process's, two of its threads do not exclude each other, and
//! whoever closes the file, by whatever descriptor, ends the lock. So there a mailbox is open only
//! once in this process, as far as it is up to us.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::sys::fs::{FileId, process_id};
use crate::sys::range_lock::IS_OF_PROCESS;

/// An open mailbox. The fields go in this order: it is closed before another may open it.
#[derive(Debug)]
pub(crate) struct MboxFile {
    pub(crate) file: File,
    _alone: Option<Alone>,
}

/// What came of opening a mailbox.
#[derive(Debug)]
pub(crate) enum Opening {
    MboxFile(MboxFile),
    /// This process has it open already.
    Busy,
}

impl MboxFile {
    /// Opens the mailbox, which was seen to be this file.
    pub(crate) fn open(path: &Path, id: FileId, for_writing: bool) -> io::Result<Opening> {
        let alone = if IS_OF_PROCESS {
            let Some(alone) = Alone::with(id) else { return Ok(Opening::Busy) };
            Some(alone)
        } else {
            None
        };
        // O_NONBLOCK: a FIFO that took the mailbox's place must not hang us.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        let mut options = OpenOptions::new();
        let file = options.read(true).write(for_writing).custom_flags(flags).open(path)?;
        Ok(Opening::MboxFile(MboxFile { file, _alone: alone }))
    }
}

/// The files that a process has open; a forked child, too, finds its parent's here.
static OPEN: Mutex<Vec<(u32, FileId)>> = Mutex::new(Vec::new());

/// The right to have a file open.
#[derive(Debug)]
struct Alone {
    entry: (u32, FileId),
}

impl Alone {
    /// `None` while another in this process has it.
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
