//! What a system error means for the protocol: one predicate for each question, in the protocol's
//! words.

use std::io;

#[cfg(test)]
pub(crate) use libc::{
    EACCES, EAGAIN, EDQUOT, EEXIST, EINTR, EIO, EISDIR, ELOOP, EMFILE, EMLINK, ENAMETOOLONG,
    ENOENT, ENOSPC, ENOSYS, ENOTDIR, ENOTEMPTY, ENOTSUP, EOPNOTSUPP, EPERM, EROFS, ESRCH, ESTALE,
    ETIMEDOUT, EXDEV,
};

/// Whether the name does not exist (any more).
pub(crate) fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOENT)
}

/// Whether an NFS client held a handle to a file that is gone.
pub(crate) fn is_estale(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ESTALE)
}

/// Whether the system forbids a change.
pub(crate) fn is_forbidden(error: &io::Error) -> bool {
    is_one_of(error, &[libc::EPERM, libc::EACCES, libc::EROFS])
}

/// Whether the file system is mounted read-only.
pub(crate) fn is_read_only(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EROFS)
}

/// Whether the system forbids reading a file.
pub(crate) fn is_read_denied(error: &io::Error) -> bool {
    is_one_of(error, &[libc::EACCES, libc::EPERM])
}

/// Whether reading failed in a way that may be temporary, or that may not affect other processes.
pub(crate) fn is_unreadable(error: &io::Error) -> bool {
    is_read_denied(error) || is_one_of(error, &[libc::ESTALE, libc::EIO])
}

/// Whether an SMB client had the file open under another name.
pub(crate) fn is_busy(error: &io::Error) -> bool {
    is_one_of(error, &[libc::EINVAL, libc::EBUSY])
}

/// Whether this file system lacks the operation.
pub(crate) fn is_unsupported(error: &io::Error) -> bool {
    let refusals = [libc::ENOSYS, libc::EOPNOTSUPP, libc::ENOTSUP, libc::EXDEV, libc::EINVAL];
    is_one_of(error, &refusals)
}

/// Whether the file system or a sandbox does not allow the operation at all.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    is_forbidden(error) || is_unsupported(error)
}

/// Whether link(2) failed because there are no hard links, other than by being
/// [refused](is_refusal), or because the file already has the maximum number.
pub(crate) fn has_no_links(error: &io::Error) -> bool {
    is_one_of(error, &[libc::EMLINK, libc::ERANGE, libc::ENOENT, libc::ENOTDIR])
}

/// Whether an error may pass, or has its cause in this process or in the network: then it shows
/// nothing about what a file system can do.
pub(crate) fn may_pass(error: &io::Error) -> bool {
    const PASSING: [i32; 25] = [
        libc::EINTR,
        libc::EAGAIN,
        libc::ESTALE,
        libc::ENOMEM,
        libc::ENOBUFS,
        libc::EMFILE,
        libc::ENFILE,
        libc::ENOSPC,
        libc::EDQUOT,
        libc::EFBIG,
        libc::EINPROGRESS,
        libc::EALREADY,
        libc::ETIMEDOUT,
        libc::ECONNREFUSED,
        libc::ECONNRESET,
        libc::ECONNABORTED,
        libc::ENOTCONN,
        libc::ESHUTDOWN,
        libc::EPIPE,
        libc::EHOSTDOWN,
        libc::EHOSTUNREACH,
        libc::ENETDOWN,
        libc::ENETUNREACH,
        libc::ENETRESET,
        libc::ECANCELED,
    ];
    error.raw_os_error().is_none() || is_one_of(error, &PASSING)
}

/// Whether a file system rejects a name because of its characters.
pub(crate) fn is_name_refused(error: &io::Error) -> bool {
    is_one_of(error, &[libc::EINVAL, libc::EILSEQ])
}

/// Whether a file system rejects a name because of its length.
pub(crate) fn is_name_too_long(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENAMETOOLONG)
}

/// Whether the file to be created is in use by another process.
pub(crate) fn is_in_use(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EBUSY)
}

/// Whether rename(2) or mkdir(2) failed because a directory's name is taken.
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
