//! The lock on the mailbox itself, by fcntl(2): on Linux by open file description.

use std::fs::File;
use std::io;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

#[cfg(not(any(target_os = "linux", target_os = "android")))]
use FcntlArg::{F_GETLK as GET, F_SETLK as SET};
#[cfg(any(target_os = "linux", target_os = "android"))]
use FcntlArg::{F_OFD_GETLK as GET, F_OFD_SETLK as SET};

/// What fcntl(2) is told of a lock on a whole file, however long it grows.
fn whole_file(kind: libc::c_int) -> libc::flock {
    #[allow(clippy::cast_possible_truncation)] // F_WRLCK or F_UNLCK, and SEEK_SET
    let (l_type, l_whence) = (kind as libc::c_short, libc::SEEK_SET as libc::c_short);
    libc::flock {
        l_type,
        l_whence,
        l_start: 0,
        l_len: 0,
        l_pid: 0, // as fcntl(2) wants it for a lock by open file description
        #[cfg(target_os = "freebsd")]
        l_sysid: 0,
    }
}

/// Locks the whole file for writing, and says whether that could be done at once. The file must be
/// open for writing.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    match fcntl(file, SET(&whole_file(libc::F_WRLCK))) {
        Ok(_) => Ok(true),
        // POSIX lets a system say either.
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Unlocks the file, for forked children too that have inherited it.
pub(crate) fn unlock(file: &File) -> io::Result<()> {
    fcntl(file, SET(&whole_file(libc::F_UNLCK)))?;
    Ok(())
}

/// Who keeps us from locking the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locker {
    Nobody,
    /// A process, if the system says which: not of a lock by open file description, nor of
    /// another host's.
    Somebody(Option<u32>),
}

pub(crate) fn locker(file: &File) -> io::Result<Locker> {
    let mut range = whole_file(libc::F_WRLCK);
    fcntl(file, GET(&mut range))?;
    if i32::from(range.l_type) == libc::F_UNLCK {
        return Ok(Locker::Nobody);
    }
    Ok(Locker::Somebody(u32::try_from(range.l_pid).ok().filter(|pid| *pid > 0)))
}
