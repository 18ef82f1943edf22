//! A file's attributes as its server has them, bypassing the client's cache.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::fs::{Attr, attributes, cached_attributes};

/// Uses statx(2) where the system has it. Before Linux 4.11 the call fails with ENOSYS, and
/// container runtimes of that time reject unknown calls with EPERM.
pub(super) fn attributes_of(path: &Path) -> io::Result<Attr> {
    #[cfg(all(target_os = "linux", any(target_env = "gnu", target_env = "musl")))]
    #[cfg(not(linklock_elsewhere))]
    match statx::attributes(path) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {}
        told => return told,
    }
    by_opening(path)
}

/// Opening a file makes an NFS client ask the server (RFC 1813, section 4.8, close-to-open
/// consistency). For a file that cannot be opened, returns the cached attributes.
fn by_opening(path: &Path) -> io::Result<Attr> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => attributes(&file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
        Err(_) => cached_attributes(path),
    }
}

#[cfg(all(target_os = "linux", any(target_env = "gnu", target_env = "musl")))]
#[cfg(not(linklock_elsewhere))]
mod statx {
    use std::io;
    use std::mem::MaybeUninit;
    use std::path::Path;

    use nix::NixPath;

    use crate::sys::fs::{Attr, FileId, FileKind, PERMISSIONS, timestamp};

    /// Passes `AT_STATX_FORCE_SYNC`, because after a retransmitted LINK, stat and fstat on Linux's
    /// NFSv4 client keep showing the old link count. Makes the system call directly: musl has a
    /// wrapper only from 1.2.5 on, and glibc's ignores the flag where the kernel has no statx(2).
    pub(super) fn attributes(path: &Path) -> io::Result<Attr> {
        let flags = libc::AT_SYMLINK_NOFOLLOW | libc::AT_STATX_FORCE_SYNC;
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
        let stat = unsafe { stat.assume_init() };
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
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::*;

    /// One file of each kind; only root can open the last.
    fn files(dir: &Path) -> Vec<PathBuf> {
        let paths = ["file", "dir", "link", "fifo", "secret"].map(|name| dir.join(name));
        let [file, subdir, link, fifo, secret] = &paths;
        std::fs::write(file, "content").unwrap();
        std::fs::create_dir(subdir).unwrap();
        symlink("nowhere", link).unwrap();
        nix::unistd::mkfifo(fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
        OpenOptions::new().write(true).create_new(true).mode(0o000).open(secret).unwrap();
        paths.into()
    }

    #[test]
    fn a_file_looks_the_same_however_its_server_was_asked() {
        let dir = tempfile::tempdir().unwrap();
        for path in files(dir.path()) {
            let cached = cached_attributes(&path).unwrap();
            assert_eq!(attributes_of(&path).unwrap(), cached, "{}", path.display());
            assert_eq!(by_opening(&path).unwrap(), cached, "{}", path.display());
        }
        for ask in [attributes_of, by_opening] {
            let error = ask(&dir.path().join("nothing")).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
        }
    }
}
