//! Watching a lock file by inotify(7): a waiter is woken when a process of the same machine
//! removes, renames or touches it, on NFS too. What other machines do is not seen.

use std::io;
use std::path::Path;
use std::sync::Arc;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::wake_fd::WakeFd;

/// What a machine's kernel reports of one file's inode.
#[derive(Debug)]
pub(crate) struct Watch {
    inotify: Arc<Inotify>,
}

impl Watch {
    /// `None` if there can't be one: their number is limited for each user.
    pub(crate) fn new() -> Option<Watch> {
        let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
        Inotify::init(flags).ok().map(|inotify| Watch { inotify: Arc::new(inotify) })
    }

    /// Watches the inode that has this name now, besides those that had it before.
    pub(crate) fn on(&self, path: &Path) -> io::Result<()> {
        let changes = AddWatchFlags::IN_ATTRIB // the link count, or the mtime
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_DONT_FOLLOW;
        self.inotify.add_watch(path, changes)?;
        Ok(())
    }

    /// Where it can be heard that something has happened.
    pub(crate) fn wake_fd(&self) -> WakeFd {
        WakeFd::new(self.inotify.clone())
    }

    /// Takes note of what has happened.
    pub(crate) fn hear(&self) {
        let _ = self.inotify.read_events(); // which they were does not matter
    }
}
