//! Users and groups by name, see getpwuid(3) and getgrgid(3).

use nix::unistd::{Gid, Group, Uid, User, geteuid};

/// The name of a user, if this machine has one for the number.
pub(crate) fn user_name(uid: u32) -> Option<String> {
    User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name)
}

/// The name of a group, if this machine has one for the number.
pub(crate) fn group_name(gid: u32) -> Option<String> {
    Group::from_gid(Gid::from_raw(gid)).ok().flatten().map(|group| group.name)
}

/// The user as whom this process acts.
pub(crate) fn effective_user() -> u32 {
    geteuid().as_raw()
}
