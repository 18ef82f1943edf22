//! Watches a lock file by inotify(7): a waiter wakes when a process of the same machine removes,
//! renames or touches it, on NFS too. Changes made by other machines are not seen.

use std::io;
use std::path::Path;
use std::sync::Arc;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::wake_fd::WakeFd;

/// Reports changes of the watched inodes that this machine's kernel makes.
#[derive(Debug)]
pub(crate) struct Watch {
    inotify: Arc<Inotify>,
}

impl Watch {
    /// `None` if no instance is available: their number is limited per user.
    pub(crate) fn new() -> Option<Watch> {
        let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
        Inotify::init(flags).ok().map(|inotify| Watch { inotify: Arc::new(inotify) })
    }

    /// Watches the inode that has this name now, in addition to those that had it before.
    pub(crate) fn on(&self, path: &Path) -> io::Result<()> {
        let changes = AddWatchFlags::IN_ATTRIB // the link count, or the mtime
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_DONT_FOLLOW;
        self.inotify.add_watch(path, changes)?;
        Ok(())
    }

    /// A descriptor that becomes readable when something has happened.
    pub(crate) fn wake_fd(&self) -> WakeFd {
        WakeFd::new(self.inotify.clone())
    }

    /// Consumes the events that have arrived.
    pub(crate) fn hear(&self) {
        let _ = self.inotify.read_events(); // their content does not matter
    }
}
