//! Watches lock files by inotify(7): a waiter wakes when a process of the same machine removes,
//! renames or touches one, on NFS too. Changes made by other machines are not seen.

use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, WatchDescriptor};
use nix::unistd::read;

pub(crate) use super::inotify_pool::close_one;
use super::inotify_pool::{self, Instance};
use super::wake_fd::WakeFd;
use crate::sys::fs::process_id;

/// What this machine's kernel reports about the watched inodes.
#[derive(Debug)]
pub(crate) struct Watch {
    instance: Instance,
    watched: Vec<WatchDescriptor>,
    /// A forked child does not own the instance.
    pid: u32,
}

impl Watch {
    /// `None` if no instance is available: their number is limited per user.
    pub(crate) fn new() -> Option<Watch> {
        let (instance, watched) = inotify_pool::take()?;
        Some(Watch { instance, watched, pid: process_id() })
    }

    /// Watches the inodes that have these names now, in place of those that it watched before. What has
    /// happened until now is not reported any more. After an error the others are watched.
    pub(crate) fn on(&mut self, paths: &[&Path]) -> io::Result<()> {
        let changes = AddWatchFlags::IN_ATTRIB // the link count, or the mtime
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_DONT_FOLLOW;
        let mut watched = Vec::with_capacity(paths.len());
        let mut result = Ok(());
        for path in paths {
            match self.instance.add_watch(*path, changes) {
                Ok(descriptor) => watched.push(descriptor),
                Err(error) => result = Err(error.into()),
            }
        }
        for before in std::mem::replace(&mut self.watched, watched) {
            if !self.watched.contains(&before) {
                let _ = self.instance.rm_watch(before);
            }
        }
        self.hear();
        result
    }

    /// A descriptor that becomes readable when something has happened.
    pub(crate) fn wake_fd(&self) -> WakeFd {
        WakeFd::new(self.instance.clone())
    }

    /// Consumes the events that have arrived: their content does not matter. Returns whether there
    /// were any.
    pub(crate) fn hear(&self) -> bool {
        let mut events = [0; 1024];
        let mut heard = false;
        loop {
            match read(&**self.instance, &mut events) {
                Ok(length) if length > events.len() / 2 => heard = true, // the rest did not fit in
                Ok(_) => return true,
                Err(Errno::EINTR) => {}
                Err(_) => return heard,
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.pid == process_id() {
            inotify_pool::put(self.instance.clone(), std::mem::take(&mut self.watched));
        }
    }
}
