//! Locks that are held around this command: by the linklock that started it, according to the
//! environment, or by another ancestor.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use linklock::{Holder, Life, RwLock};

use crate::access::Access;
use crate::process::ancestors;

/// A holder of a lock that is around this command.
pub(crate) struct Outer {
    pub(crate) holder: Holder,
    pub(crate) access: Access,
}

/// How the linklock that started this command holds the lock, if it does: waiting would never end.
pub(crate) fn holding(lock: &RwLock) -> Option<Outer> {
    let claims = std::env::var_os("LINKLOCK_CLAIM")?;
    let lines = claims.as_bytes().split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let held: Vec<_> = lines.map(|line| identity(Path::new(OsStr::from_bytes(line)))).collect();
    let is_held = |holder: &Holder| held.contains(&identity(holder.claim_path()));
    let alone = lock.as_lock().holder().ok().flatten().filter(is_held);
    if let Some(holder) = alone {
        return Some(Outer { holder, access: Access::Alone });
    }
    let holder = lock.readers().unwrap_or_default().into_iter().find(is_held)?;
    Some(Outer { holder, access: Access::Shared })
}

/// Whether the linklock that started this command has locked this mailbox.
pub(crate) fn has_locked(mailbox: &Path) -> bool {
    let locked = std::env::var_os("LINKLOCK_MAILBOX");
    locked.is_some_and(|locked| identity(Path::new(&locked)) == identity(mailbox))
}

/// Whether the holder is an ancestor of this command: if it waits for the command to end, neither
/// ever continues.
pub(crate) fn is_ancestor(holder: &Holder) -> bool {
    holder.life() == Life::Alive && ancestors().any(|pid| pid == holder.pid())
}

/// A value that is equal for two paths of one file: its directory's inode, if there is one, and its
/// name.
pub(crate) fn identity(path: &Path) -> (Option<(u64, u64)>, PathBuf) {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let dir = absolute.parent().and_then(|dir| dir.metadata().ok());
    match (dir, absolute.file_name()) {
        (Some(dir), Some(name)) => (Some((dir.dev(), dir.ino())), name.into()),
        _ => (None, absolute),
    }
}
