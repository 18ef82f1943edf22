//! Locks that are held around this command: by the linklock that started it, according to the
//! environment, or by another ancestor.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use linklock::{Holder, Life, Lock};

use crate::process::ancestors;

/// The holder of the lock, if that is the linklock that started this command: waiting would never
/// end.
pub(crate) fn holder(lock: &Lock) -> Option<Holder> {
    let claims = std::env::var_os("LINKLOCK_CLAIM")?;
    let holder = lock.holder().ok()??;
    let held = identity(holder.claim_path());
    let is_held =
        |line: &[u8]| !line.is_empty() && identity(Path::new(OsStr::from_bytes(line))) == held;
    claims.as_bytes().split(|byte| *byte == b'\n').any(is_held).then_some(holder)
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
