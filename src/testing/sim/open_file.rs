//! A file that a simulated process has open.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use super::server::{Answer, Handle, Owner, Request};
use super::world::Process;
use crate::sys::errno;
use crate::sys::fs::{Attr, OpenFile};
use crate::sys::range_lock::Locker;

/// An open inode. The server knows an open file only by its range lock: an inode whose last name is
/// removed is gone, and the process that has it open gets an error.
#[derive(Debug)]
pub(super) struct SimFile {
    process: Process,
    handle: Handle,
    owner: Owner,
    /// Whether closing it may release a range lock.
    has_locked: AtomicBool,
}

impl SimFile {
    pub(super) fn new(process: Process, handle: Handle) -> SimFile {
        let mut world = process.world();
        world.opened += 1;
        let owner = (world.running, world.opened);
        drop(world);
        SimFile { process, handle, owner, has_locked: AtomicBool::new(false) }
    }

    fn ask(&self, request: Request) -> io::Result<Answer> {
        self.process.ask(request).map_err(io::Error::from_raw_os_error)
    }
}

/// Whether the server granted it, or another process has the range lock.
fn is_free(answer: io::Result<Answer>) -> io::Result<bool> {
    match answer {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(errno::EAGAIN) => Ok(false),
        Err(error) => Err(error),
    }
}

impl OpenFile for SimFile {
    fn attributes(&self) -> io::Result<Attr> {
        if let Some((attr, _)) = self.process.cached_inode(self.handle) {
            return Ok(attr);
        }
        match self.ask(Request::GetAttr(self.handle))? {
            Answer::Attr(_, attr) => Ok(attr),
            other => unreachable!("attributes were answered with {other:?}"),
        }
    }

    fn touch(&self) -> io::Result<()> {
        self.ask(Request::TouchNow(self.handle)).map(|_| ())
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.has_locked.store(true, Ordering::Relaxed);
        is_free(self.ask(Request::Lock(self.handle, self.owner)))
    }

    fn unlock(&self) -> io::Result<()> {
        self.ask(Request::Unlock(self.owner)).map(|_| ())
    }

    fn locker(&self) -> io::Result<Locker> {
        let is_free = is_free(self.ask(Request::TestLock(self.handle, self.owner)))?;
        Ok(if is_free { Locker::Nobody } else { Locker::Held(None) })
    }

    fn file(&self) -> Option<&File> {
        None
    }
}

/// The kernel retries until the file is unlocked.
impl Drop for SimFile {
    fn drop(&mut self) {
        let has_locked = self.has_locked.load(Ordering::Relaxed);
        while has_locked && !self.process.has_crashed() {
            if self.ask(Request::Unlock(self.owner)).is_ok() {
                break;
            }
        }
    }
}
