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

/// Whether an SMB client had hold of the file by another name.
pub(crate) fn is_busy(error: &io::Error) -> bool {
    is_one_of(error, &[libc::EINVAL, libc::EBUSY])
}

/// Whether there is no such operation on this file system.
pub(crate) fn is_unsupported(error: &io::Error) -> bool {
    let refusals = [libc::ENOSYS, libc::EOPNOTSUPP, libc::ENOTSUP, libc::EXDEV, libc::EINVAL];
    is_one_of(error, &refusals)
}

/// Whether the file system, or a sandbox, does not let something be done at all.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    is_forbidden(error) || is_unsupported(error)
}

/// What link(2) says, besides that it is [refused](is_refusal), where there are no hard links or
/// no more of them.
pub(crate) fn has_no_links(error: &io::Error) -> bool {
    is_one_of(error, &[libc::EMLINK, libc::ERANGE, libc::ENOENT, libc::ENOTDIR])
}

/// What link(2) may say on some file systems where there are no hard links.
pub(crate) fn may_mean_no_links(error: &io::Error) -> bool {
    is_one_of(error, &[libc::EIO, libc::EEXIST])
}

/// Whether a file system does not take a name for what is in it.
pub(crate) fn is_name_refused(error: &io::Error) -> bool {
    is_one_of(error, &[libc::EINVAL, libc::EILSEQ])
}

/// Whether a file system does not take a name for its length.
pub(crate) fn is_name_too_long(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENAMETOOLONG)
}

/// Whether what is to be made is in another's use.
pub(crate) fn is_in_use(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EBUSY)
}

/// What rename(2) and mkdir(2) say of a directory's name that is taken.
pub(crate) fn is_taken(error: &io::Error) -> bool {
    is_one_of(error, &[libc::EEXIST, libc::ENOTEMPTY])
}

fn is_one_of(error: &io::Error, errnos: &[i32]) -> bool {
    error.raw_os_error().is_some_and(|errno| errnos.contains(&errno))
}

/// Whether a disk failed, or what some file systems say of what they do not do.
pub(crate) fn is_input_output(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EIO)
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
