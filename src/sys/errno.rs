//! What an error of the system says: each question once, in the protocol's words.

use std::io;

#[cfg(test)]
pub(crate) use libc::{
    EACCES, EAGAIN, EDQUOT, EEXIST, EINTR, EIO, EISDIR, ELOOP, EMFILE, EMLINK, ENAMETOOLONG,
    ENOENT, ENOSPC, ENOSYS, ENOTDIR, ENOTEMPTY, ENOTSUP, EOPNOTSUPP, EPERM, EROFS, ESRCH, ESTALE,
    ETIMEDOUT, EXDEV,
};

/// Whether a name leads nowhere (any more).
pub(crate) fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOENT)
}

/// Whether an NFS client had hold of a file that has gone.
pub(crate) fn is_estale(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ESTALE)
}

/// Whether the system does not permit a change.
pub(crate) fn is_forbidden(error: &io::Error) -> bool {
    is_one_of(error, &[libc::EPERM, libc::EACCES, libc::EROFS])
}

/// Whether the file system is mounted to be read only.
pub(crate) fn is_read_only(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EROFS)
}

/// Whether the system does not permit to read a file.
pub(crate) fn is_read_denied(error: &io::Error) -> bool {
    is_one_of(error, &[libc::EACCES, libc::EPERM])
}

/// Whether reading failed in a way that may pass, or that others may be free of.
pub(crate) fn is_unreadable(error: &io::Error) -> bool {
    is_read_denied(error) || is_one_of(error, &[libc::ESTALE, libc::EIO])
}

/// What link(2) says where there are no hard links, or no more of them.
pub(crate) fn has_no_links(error: &io::Error) -> bool {
    let refusals = [libc::EPERM, libc::ENOTSUP, libc::EOPNOTSUPP, libc::ENOSYS, libc::EMLINK];
    is_one_of(error, &refusals)
}

/// What rename(2) and mkdir(2) say of a directory's name that is taken.
pub(crate) fn is_taken(error: &io::Error) -> bool {
    is_one_of(error, &[libc::EEXIST, libc::ENOTEMPTY])
}

fn is_one_of(error: &io::Error, errnos: &[i32]) -> bool {
    error.raw_os_error().is_some_and(|errno| errnos.contains(&errno))
}

/// No such file or directory.
pub(crate) fn gone() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOENT)
}

/// File exists.
pub(crate) fn taken() -> io::Error {
    io::Error::from_raw_os_error(libc::EEXIST)
}

/// Resource temporarily unavailable.
pub(crate) fn try_again() -> io::Error {
    io::Error::from_raw_os_error(libc::EAGAIN)
}
