//! A file's attributes as its server has them, bypassing the client's cache.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::fs::{Attr, attributes, cached_attributes};
use super::statx;

/// Uses statx(2) where the system has it. Before Linux 4.11 the call fails with ENOSYS, and
/// container runtimes of that time reject unknown calls with EPERM.
pub(super) fn attributes_of(path: &Path) -> io::Result<Attr> {
    match statx::attributes(path) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
            by_opening(path)
        }
        answer => answer,
    }
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
    fn both_ways_to_ask_the_server_give_the_same_attributes() {
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
