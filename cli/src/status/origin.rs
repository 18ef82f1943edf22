//! The origin of a lock: which user and command hold it, and since when.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use linklock::{Format, Holder, Life};
use nix::unistd::{Uid, User};

use crate::process;
use crate::run::warden;

/// The owner of the lock file, which is the same file as its claim.
pub(super) fn user(path: &Path) -> Option<String> {
    let uid = path.symlink_metadata().ok()?.uid();
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    Some(user.map_or_else(|| uid.to_string(), |user| user.name))
}

/// The command line of a process that is alive on this host.
pub(super) fn command(holder: &Holder) -> Option<String> {
    (holder.life() == Life::Alive).then(|| process::command_line(holder.pid()))?
}

/// Since when, at the earliest, the lock has been held: when its claim was created. Where `linklock
/// run` holds it, the command was started as soon as the lock was acquired.
pub(super) fn begun(path: &Path, holder: &Holder, now: SystemTime) -> Option<SystemTime> {
    let made = path.symlink_metadata().and_then(|meta| meta.created()).ok();
    let is_alive = holder.life() == Life::Alive;
    let started = is_alive.then(|| command_started(holder.pid(), now)).flatten();
    made.max(started).filter(|begun| *begun <= now)
}

fn command_started(linklock: u32, now: SystemTime) -> Option<SystemTime> {
    let is_linklock = process::command_line(linklock)?.contains("linklock");
    let children = process::children(linklock).into_iter().filter(|_| is_linklock);
    let is_command = |pid: &u32| {
        process::command_line(*pid).is_some_and(|line| line != format!("linklock {}", warden::NAME))
    };
    let oldest = children.filter(is_command).filter_map(process::age).max()?;
    now.checked_sub(oldest)
}

/// Whether a lock was transferred to no process, as by `acquire --owner none`: its claim names
/// process 1, without the evidence by which a process can be proved dead.
pub(super) fn is_nobodys(holder: &Holder) -> bool {
    let name = holder.claim_path().as_os_str().as_encoded_bytes();
    let nonce = name.rsplit(|byte| !byte.is_ascii_alphanumeric()).next().unwrap_or_default();
    holder.is_known()
        && holder.pid() == 1
        && holder.format() == Format::Linklock
        && !nonce.contains(&b'w')
}
