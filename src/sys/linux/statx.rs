//! statx(2), which asks the server for a file's attributes.

use std::io;
use std::mem::MaybeUninit;
use std::path::Path;

use nix::NixPath;

use crate::sys::fs::{Attr, FileId, FileKind, PERMISSIONS, timestamp};

/// Passes `AT_STATX_FORCE_SYNC`, because after a retransmitted LINK, stat and fstat on Linux's
/// NFSv4 client keep showing the old link count. Makes the system call directly: musl has a
/// wrapper only from 1.2.5 on, and glibc's ignores the flag where the kernel has no statx(2).
pub(super) fn attributes(path: &Path) -> io::Result<Attr> {
    let stat = ask(path, libc::AT_SYMLINK_NOFOLLOW | libc::AT_STATX_FORCE_SYNC)?;
    Ok(Attr {
        id: FileId {
            dev: libc::makedev(stat.stx_dev_major, stat.stx_dev_minor),
            ino: stat.stx_ino,
        },
        nlink: u64::from(stat.stx_nlink),
        kind: match u32::from(stat.stx_mode) & libc::S_IFMT {
            libc::S_IFREG => FileKind::Plain,
            libc::S_IFDIR => FileKind::Directory,
            libc::S_IFLNK => FileKind::SymbolicLink,
            _ => FileKind::Other,
        },
        permissions: u32::from(stat.stx_mode) & PERMISSIONS,
        owner: stat.stx_uid,
        size: stat.stx_size,
        mtime: timestamp(stat.stx_mtime.tv_sec, i64::from(stat.stx_mtime.tv_nsec)),
        ctime: timestamp(stat.stx_ctime.tv_sec, i64::from(stat.stx_ctime.tv_nsec)),
    })
}

/// Whether nothing can be removed from a directory, see chattr(1).
pub(super) fn is_append_only(dir: &Path) -> bool {
    const STATX_ATTR_APPEND: u64 = 0x20; // linux/stat.h
    ask(dir, 0).is_ok_and(|stat| stat.stx_attributes & STATX_ATTR_APPEND != 0)
}

fn ask(path: &Path, flags: i32) -> io::Result<libc::statx> {
    let mut stat = MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: the path is a C string and the buffer is a statx; both outlive the call.
    #[allow(unsafe_code)]
    let done = path.with_nix_path(|path| unsafe {
        libc::syscall(
            libc::SYS_statx,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            libc::STATX_BASIC_STATS,
            stat.as_mut_ptr(),
        )
    })?;
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: every field of a statx is an integer, so the initial zeroes are valid too.
    #[allow(unsafe_code)]
    Ok(unsafe { stat.assume_init() })
}
