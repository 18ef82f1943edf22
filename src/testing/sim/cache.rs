//! The cache of one NFS client.
//!
//! Names are cached until the client learns that another client has changed the directory, which it
//! does from the reply to a change of its own (RFC 1813, `wcc_data`). Whether a client uses a
//! cached name that is out of date is the scheduler's choice.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::server::Handle;
use crate::sys::fs::Attr;

/// What one machine has cached of the server.
#[derive(Debug, Default)]
pub(super) struct Cache {
    names: BTreeMap<OsString, Cached>,
    /// The content and attributes that were read of each inode.
    inodes: BTreeMap<Handle, (Duration, Attr, Vec<u8>)>,
    /// The names that each directory was listed with.
    lists: BTreeMap<PathBuf, (Duration, Vec<OsString>)>,
    /// The directory's change counter when the client last saw it.
    changes: u64,
}

/// A name that was looked up, found or not.
#[derive(Clone, Copy, Debug)]
struct Cached {
    handle: Option<Handle>,
    until: Duration,
}

/// How long a directory's names are used without asking the server: `acdirmin`, see nfs(5).
const BELIEVED: Duration = Duration::from_secs(30);

impl Cache {
    #[allow(clippy::option_option)] // the absence of a name may be cached too
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

    /// The names in a directory, as the client last saw them.
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

    /// The attributes and the content of an inode, as the client last saw them.
    pub(super) fn inode(&self, handle: Handle, now: Duration) -> Option<(Attr, Vec<u8>)> {
        let (until, attr, content) = self.inodes.get(&handle)?;
        (now < *until).then(|| (*attr, content.clone()))
    }

    pub(super) fn learn_inode(&mut self, handle: Handle, read: (Attr, Vec<u8>), now: Duration) {
        self.inodes.insert(handle, (now + BELIEVED, read.0, read.1));
    }

    /// A change by this client took the directory's counter from `before` to `after`. If other
    /// clients have changed the directory too, the cache cannot be trusted.
    pub(super) fn changed(&mut self, before: u64, after: u64) {
        if self.changes != before {
            self.names.clear();
        }
        self.changes = after;
    }
}
