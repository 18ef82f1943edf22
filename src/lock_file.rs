//! The file with a lock's name, whatever it contains.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::sys::fs::Attr;
use crate::sys::users;

/// The regular file that had a lock's name when it was observed: a lock file, or another file in
/// the lock's place. Displayed as, for instance, `bob's, mode 0600, 120 bytes`. A snapshot: only
/// [`owner_name`](Self::owner_name) may block.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("report.lock");
/// use linklock::Lock;
///
/// std::fs::write(&path, "no lock").unwrap();
/// Lock::new(&path)?.break_file_if(|file, holder| {
///     println!("{} is {file}", path.display());
///     holder.is_none() && file.size() < 100
/// })?;
/// assert!(!path.exists());
/// # Ok::<(), linklock::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockFile {
    owner: u32,
    permissions: u32,
    size: u64,
    changed_at: SystemTime,
    server_time: SystemTime,
}

impl LockFile {
    pub(crate) fn of(attr: &Attr, server_time: SystemTime) -> LockFile {
        let Attr { owner, permissions, size, ctime: changed_at, .. } = *attr;
        LockFile { owner, permissions, size, changed_at, server_time }
    }

    /// The uid of the file's owner.
    #[must_use]
    pub fn owner(&self) -> u32 {
        self.owner
    }

    /// The name of the file's owner; `None` if this machine has no name for the uid. Blocks for a
    /// lookup in the user database, see getpwuid(3).
    #[must_use]
    pub fn owner_name(&self) -> Option<String> {
        users::user_name(self.owner)
    }

    /// The file's permissions: the last twelve bits of its mode, see inode(7).
    #[must_use]
    pub fn permissions(&self) -> u32 {
        self.permissions
    }

    /// The file's size, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// When the file was last written, touched, linked or given other permissions, in the file
    /// server's time: its ctime.
    #[must_use]
    pub fn changed_at(&self) -> SystemTime {
        self.changed_at
    }

    /// How long the file had not changed when it was observed.
    #[must_use]
    pub fn unchanged_for(&self) -> Duration {
        self.server_time.duration_since(self.changed_at).unwrap_or_default()
    }
}

impl fmt::Display for LockFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.owner_name() {
            Some(name) => write!(f, "{name}'s")?,
            None => write!(f, "user {}'s", self.owner)?,
        }
        write!(f, ", mode {:04o}, {} bytes", self.permissions, self.size)
    }
}
