//! Locks on whole files by fcntl(2); on Linux they belong to the open file description.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;

use nix::errno::Errno;
use nix::fcntl::fcntl;

pub(super) use super::kernel::IS_OF_PROCESS;
use super::kernel::{GET, SET};

// The type is C's int on some systems and short on others.
#[allow(clippy::cast_possible_truncation, clippy::unnecessary_cast)]
const WRITE: libc::c_short = libc::F_WRLCK as libc::c_short;
#[allow(clippy::cast_possible_truncation, clippy::unnecessary_cast)]
const NONE: libc::c_short = libc::F_UNLCK as libc::c_short;

/// The argument of fcntl(2) for a lock on the whole file, however long it grows.
fn whole_file(kind: libc::c_short) -> libc::flock {
    #[allow(clippy::cast_possible_truncation)] // it is 0
    let from_start = libc::SEEK_SET as libc::c_short;
    // SAFETY: every field is an integer, so zeroes are valid. Some systems have fields of their own.
    #[allow(unsafe_code)]
    let zeroes = unsafe { MaybeUninit::<libc::flock>::zeroed().assume_init() };
    // `l_pid` stays 0, as fcntl(2) requires for locks on an open file description.
    libc::flock { l_type: kind, l_whence: from_start, ..zeroes }
}

/// Tries to lock the whole file for writing, without waiting, and returns whether it succeeded. The
/// file must be open for writing.
pub(super) fn try_lock(file: &File) -> io::Result<bool> {
    match fcntl(file, SET(&whole_file(WRITE))) {
        Ok(_) => Ok(true),
        // POSIX allows either.
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Unlocks the file, also for forked children that have inherited it.
pub(super) fn unlock(file: &File) -> io::Result<()> {
    fcntl(file, SET(&whole_file(NONE)))?;
    Ok(())
}

/// The process that keeps this one from locking the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locker {
    Nobody,
    /// A process, with its pid if the system reports it, which it does not for a lock on an open
    /// file description, or for a lock from another host.
    Held(Option<u32>),
}

pub(super) fn locker(file: &File) -> io::Result<Locker> {
    let mut range = whole_file(WRITE);
    fcntl(file, GET(&mut range))?;
    if range.l_type == NONE {
        return Ok(Locker::Nobody);
    }
    Ok(Locker::Held(u32::try_from(range.l_pid).ok().filter(|pid| *pid > 0)))
}
