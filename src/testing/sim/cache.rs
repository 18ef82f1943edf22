//! What one NFS client has cached.
//!
//! Names are cached until the client learns that others have changed the directory, which it does
//! from the reply to a change of its own (RFC 1813, `wcc_data`). Whether a cached name is used that
//! the server no longer agrees with is the scheduler's choice.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::server::Handle;
use crate::sys::fs::Attr;

/// What one machine believes of the server.
#[derive(Debug, Default)]
pub(super) struct Cache {
    names: BTreeMap<OsString, Cached>,
    /// What was read of an inode, with its attributes.
    inodes: BTreeMap<Handle, (Duration, Attr, Vec<u8>)>,
    /// What a directory was listed with.
    lists: BTreeMap<PathBuf, (Duration, Vec<OsString>)>,
    /// How often the directory had changed when the client last heard.
    changes: u64,
}

/// A name that was looked up, which may have led nowhere.
#[derive(Clone, Copy, Debug)]
struct Cached {
    handle: Option<Handle>,
    until: Duration,
}

/// For how long a directory's names are believed without asking: `acdirmin`, see nfs(5).
const BELIEVED: Duration = Duration::from_secs(30);

impl Cache {
    #[allow(clippy::option_option)] // that a name leads nowhere may be cached too
    pub(super) fn get(&self, path: &Path, now: Duration) -> Option<Option<Handle>> {
        self.names
            .get(path.as_os_str())
            .filter(|cached| now < cached.until)
            .map(|cached| cached.handle)
    }

    pub(super) fn learn(&mut self, path: &Path, handle: Option<Handle>, now: Duration) {
        self.names.insert(path.into(), Cached { handle, until: now + BELIEVED });
    }

    pub(super) fn forget(&mut self, path: &Path) {
        self.names.remove(path.as_os_str());
    }

    /// The names in a directory, as they once were.
    pub(super) fn list(&self, dir: &Path, now: Duration) -> Option<&[OsString]> {
        let (until, names) = self.lists.get(dir)?;
        (now < *until).then_some(names)
    }

    pub(super) fn learn_list(&mut self, dir: &Path, names: Vec<OsString>, now: Duration) {
        self.lists.insert(dir.to_owned(), (now + BELIEVED, names));
    }

    pub(super) fn forget_list(&mut self, dir: &Path) {
        self.lists.remove(dir);
    }

    /// The attributes and the content of an inode, as they once were.
    pub(super) fn inode(&self, handle: Handle, now: Duration) -> Option<(Attr, Vec<u8>)> {
        let (until, attr, content) = self.inodes.get(&handle)?;
        (now < *until).then(|| (*attr, content.clone()))
    }

    pub(super) fn learn_inode(&mut self, handle: Handle, read: (Attr, Vec<u8>), now: Duration) {
        self.inodes.insert(handle, (now + BELIEVED, read.0, read.1));
    }

    /// A change of our own took the directory from one count to another: if others have changed
    /// it too, nothing that was cached can be trusted.
    pub(super) fn changed(&mut self, before: u64, after: u64) {
        if self.changes != before {
            self.names.clear();
        }
        self.changes = after;
    }
}
