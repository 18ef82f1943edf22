//! Users and groups: their names, see getpwuid(3) and getgrgid(3), and the ownership of files.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User, geteuid};

/// The user's name, if this machine has one for the number.
pub(crate) fn user_name(uid: u32) -> Option<String> {
    User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name)
}

/// The group's name, if this machine has one for the number.
pub(crate) fn group_name(gid: u32) -> Option<String> {
    Group::from_gid(Gid::from_raw(gid)).ok().flatten().map(|group| group.name)
}

/// The effective user of this process.
pub(crate) fn effective_user() -> u32 {
    geteuid().as_raw()
}

/// The owner, the group and the permissions of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ownership {
    pub(crate) user: u32,
    pub(crate) group: u32,
    /// The mode's last twelve bits.
    pub(crate) permissions: u32,
}

/// The ownership of a file; follows a symbolic link.
pub(crate) fn ownership(path: &Path) -> io::Result<Ownership> {
    let meta = path.metadata()?;
    let permissions = meta.mode() & super::fs::PERMISSIONS;
    Ok(Ownership { user: meta.uid(), group: meta.gid(), permissions })
}
