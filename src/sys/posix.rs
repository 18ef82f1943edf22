//! [`Fs`] by this machine's system calls.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat, renameat};
use nix::sys::stat::{Mode, UtimensatFlags, futimens, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::attributes;
use super::dates::{COARSEST, DateNotKept, is_far_off, is_kept};
use super::errno::{is_gone, may_pass};
use super::fs::{Attr, Fs, HeldOpen, Mount, OpenFile, Statfs, attributes, cached_attributes};
use super::linker::Linker;
use super::os::mount_table;
use super::os::statfs::{UNCACHED, statfs};
use super::posix_file::PosixFile;
use super::range_lock::IS_OF_PROCESS;
use super::statx;

/// [`Fs`] by this machine's system calls, for one directory.
#[derive(Debug, Default)]
pub(crate) struct PosixFs {
    statfs: OnceLock<Statfs>,
    /// Whether dates are truncated to whole seconds, or to multiples of two.
    is_coarse: AtomicBool,
    /// What makes hard links, if it is not link(2).
    linker: Option<Linker>,
}

impl PosixFs {
    pub(crate) fn linking_by(linker: Option<Linker>) -> PosixFs {
        PosixFs { linker, ..PosixFs::default() }
    }

    /// Queries the system only once.
    fn statfs(&self, dir: &Path) -> io::Result<Statfs> {
        if let Some(known) = self.statfs.get() {
            return Ok(*known);
        }
        let answer = Statfs { is_append_only: statx::is_append_only(dir), ..statfs(dir)? };
        Ok(*self.statfs.get_or_init(|| answer))
    }

    /// Checks that a file has got its date, and sets it once more if not: a coarse date is then
    /// written later by its resolution, and a date may have been lost when the file was closed.
    fn check_date(
        &self,
        date: SystemTime,
        look: impl Fn() -> io::Result<Attr>,
        set: impl Fn(SystemTime) -> io::Result<()>,
    ) -> io::Result<()> {
        let kept = look()?.mtime;
        if is_kept(kept, date) {
            return Ok(());
        }
        if is_kept(kept + COARSEST, date) {
            self.is_coarse.store(true, Ordering::Relaxed);
        }
        set(date)?;
        let kept = look()?.mtime;
        if is_kept(kept, date) {
            return Ok(());
        }
        Err(not_kept(DateNotKept::Changed { set: date, kept }))
    }

    /// Sets the date of a file that is open for writing.
    fn date(&self, file: &File, path: &Path, date: SystemTime) -> io::Result<()> {
        let spec = time_spec(self.rounded_up(date))?;
        match futimens(file, &spec, &spec) {
            // The file was just made, so that no permission is missing.
            Err(errno @ (Errno::EPERM | Errno::ENOSYS | Errno::EOPNOTSUPP | Errno::EINVAL)) => {
                Err(not_kept(DateNotKept::Refused(errno)))
            }
            Err(errno) => Err(self.undated(path, errno)),
            Ok(()) => Ok(()),
        }
    }

    /// The error of setting a date, as what it means. Many file systems return EIO, say, because they
    /// have no dates; on the known ones it means a failed disk.
    fn undated(&self, path: &Path, errno: Errno) -> io::Error {
        let error = errno.into();
        if self.mount_of(path) == Mount::Other && !may_pass(&error) && !is_gone(&error) {
            return not_kept(DateNotKept::Refused(errno));
        }
        error
    }

    /// The date to write so that the date that is kept is not earlier.
    fn rounded_up(&self, date: SystemTime) -> SystemTime {
        let more = if self.is_coarse.load(Ordering::Relaxed) { COARSEST } else { Duration::ZERO };
        date.checked_add(more).unwrap_or(date)
    }

    /// Extra flags for opening files. On NFS they bypass the client's cache: a write then reaches
    /// the server before it returns, so a full disk is reported in time, and a client of NFSv4.1 or
    /// later requests no delegation.
    fn open_flags(&self, path: &Path) -> i32 {
        if self.mount_of(path) == Mount::Nfs { UNCACHED } else { 0 }
    }

    fn mount_of(&self, path: &Path) -> Mount {
        if let Some(known) = self.statfs.get() {
            return known.mount; // to look for the parent's name would take longer
        }
        path.parent().and_then(|dir| self.mount(dir).ok()).unwrap_or(Mount::Other)
    }
}

impl Fs for PosixFs {
    fn create(
        &self,
        path: &Path,
        content: &[u8],
        permissions: Option<u32>,
        mtime: &mut dyn FnMut(&Attr) -> SystemTime,
    ) -> io::Result<(Attr, HeldOpen)> {
        let flags = libc::O_NOFOLLOW | self.open_flags(path);
        let mut fill = || {
            let mut file =
                OpenOptions::new().write(true).create(true).custom_flags(flags).open(path)?;
            // Before the write: afterwards an NFS client would first have to flush it.
            let attr = attributes(&file)?;
            if let Some(permissions) = permissions {
                permit(&file, permissions)?;
            }
            file.write_all(content)?;
            let date = mtime(&attr);
            self.date(&file, path, date)?;
            let mount = self.mount_of(path);
            // On NFS that costs no request: the last reply carried the attributes. The file systems of
            // this machine are known to keep every date they have room for.
            let checks_open_file = match mount {
                Mount::Nfs => true,
                Mount::Local | Mount::Exported => is_far_off(date),
                Mount::Other => false,
            };
            if checks_open_file {
                let set = |date| self.date(&file, path, date);
                self.check_date(date, || attributes(&file), set)?;
            }
            if mount == Mount::Nfs {
                return Ok((attr, HeldOpen(Some(file))));
            }
            close(file)?; // where some file systems report whether the write failed
            if mount == Mount::Other {
                self.check_date(date, || self.stat(path), |date| self.touch(path, date))?;
            }
            Ok((attr, HeldOpen::default()))
        };
        let filled = fill();
        let Err(error) = filled else { return filled };
        // Report the first error. If the file could be removed, its name is valid: the file existed
        // and was only busy.
        let was_made = std::fs::remove_file(path).is_ok();
        let is_busy = was_made && error.raw_os_error() == Some(libc::EINVAL);
        Err(if is_busy { Errno::EBUSY.into() } else { error })
    }

    fn stat(&self, path: &Path) -> io::Result<Attr> {
        attributes::attributes_of(path)
    }

    fn read(&self, path: &Path, limit: usize) -> io::Result<(Attr, Vec<u8>)> {
        // O_NONBLOCK: a FIFO in the lock file's place must not block us.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY | self.open_flags(path);
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let attr = attributes(&file)?;
        // One read for the usual content, and one that finds the end.
        let mut content = Vec::with_capacity(limit.min(256));
        if attr.is_file() {
            file.take(limit as u64).read_to_end(&mut content)?;
        }
        Ok((attr, content))
    }

    fn touch(&self, path: &Path, date: SystemTime) -> io::Result<()> {
        let set = |date| -> io::Result<()> {
            let spec = time_spec(self.rounded_up(date))?;
            let set = utimensat(AT_FDCWD, path, &spec, &spec, UtimensatFlags::NoFollowSymlink);
            set.map_err(|errno| self.undated(path, errno))
        };
        set(date)?;
        // To other processes a truncated lease has expired.
        if is_far_off(date) && !is_kept(self.stat(path)?.mtime, date) {
            return Err(Errno::EOVERFLOW.into());
        }
        // Some keep the dates of an open file exactly, and truncate those that are set by name.
        if self.mount_of(path) == Mount::Other {
            self.check_date(date, || self.stat(path), set)?;
        }
        Ok(())
    }

    fn touch_atime(&self, path: &Path) -> io::Result<()> {
        let no_follow = UtimensatFlags::NoFollowSymlink;
        utimensat(AT_FDCWD, path, &TimeSpec::UTIME_NOW, &TimeSpec::UTIME_OMIT, no_follow)?;
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        match &self.linker {
            Some(linker) => linker.link(from, to),
            None => std::fs::hard_link(from, to),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn make_dir(&self, path: &Path, entry: &str, permissions: Option<u32>) -> io::Result<()> {
        match std::fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {} // only we use this name: an earlier reply was lost
        }
        let flags = OFlag::O_CREAT | OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let dir = directory(path)?;
        let file = openat(&dir, entry, flags, Mode::from_bits_truncate(0o666))?;
        if let Some(permissions) = permissions {
            permit(&file.into(), permissions)?;
            permit(&dir.into(), permissions | (permissions & ALL_READ) >> 2)?;
        }
        Ok(())
    }

    fn remove_dir(&self, path: &Path, entry: &str) -> io::Result<()> {
        match self.unlink_in(path, entry) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => std::fs::remove_dir(path),
        }
    }

    fn rename_in(&self, dir: &Path, from: &str, to: &str) -> io::Result<()> {
        let dir = directory(dir)?;
        Ok(renameat(&dir, from, &dir, to)?)
    }

    fn unlink_in(&self, dir: &Path, entry: &str) -> io::Result<()> {
        Ok(unlinkat(directory(dir)?, entry, UnlinkatFlags::NoRemoveDir)?)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        std::fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn mount(&self, dir: &Path) -> io::Result<Mount> {
        self.statfs(dir).map(|answer| answer.mount)
    }

    fn name_max(&self, dir: &Path) -> Option<usize> {
        self.statfs(dir).ok()?.name_max
    }

    fn is_append_only(&self, dir: &Path) -> bool {
        self.statfs(dir).is_ok_and(|answer| answer.is_append_only)
    }

    fn describe(&self, dir: &Path) -> String {
        mount_table::describe(dir)
            .unwrap_or_else(|| format!("what is mounted on {}", dir.display()))
    }

    fn create_new(
        &self,
        path: &Path,
        content: &[u8],
        permissions: u32,
    ) -> io::Result<Box<dyn OpenFile>> {
        let file = PosixFile::create_new(path, permissions)?;
        // An NFS client may hold back written data until the file is closed.
        let is_local = matches!(self.mount_of(path), Mount::Local | Mount::Exported);
        if let Err(error) = file.fill(content, permissions, !is_local) {
            let _ = std::fs::remove_file(path); // the first error is the one to report
            return Err(error);
        }
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path, for_writing: bool) -> io::Result<Option<Box<dyn OpenFile>>> {
        let file = PosixFile::open(path, for_writing)?;
        Ok(file.map(|file| Box::new(file) as Box<dyn OpenFile>))
    }

    fn stat_lockable(&self, path: &Path) -> io::Result<Attr> {
        if IS_OF_PROCESS { cached_attributes(path) } else { self.stat(path) }
    }
}

fn not_kept(why: DateNotKept) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, why)
}

/// close(2), with the error it reports.
fn close(file: File) -> io::Result<()> {
    match nix::unistd::close(file) {
        Err(Errno::EINTR) => Ok(()), // it is closed nevertheless
        closed => Ok(closed?),
    }
}

/// Opens a directory, so that operations in it are unaffected if its name is replaced.
fn directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(AT_FDCWD, path, flags, Mode::empty())?)
}

/// Read permission for the owner, the group and others; two bits below each is search permission.
const ALL_READ: u32 = 0o444;

/// Gives an open file these permissions, unless it has them. A directory keeps its setgid bit.
fn permit(file: &File, permissions: u32) -> io::Result<()> {
    let had = attributes(file)?.permissions;
    let wanted = had & !0o777 | permissions;
    if had == wanted {
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(wanted))
}

/// Fails where seconds have 32 bits and the date is after their end in 2038: truncated, a lease
/// would have expired long ago.
fn time_spec(time: SystemTime) -> io::Result<TimeSpec> {
    let since_epoch = time.duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
    let spec = TimeSpec::from_duration(since_epoch);
    let fits = Duration::from(spec) == since_epoch;
    if fits { Ok(spec) } else { Err(Errno::EOVERFLOW.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On ext4 with 128-byte inodes, dates end in 2038.
    #[test]
    fn a_far_off_date_is_kept_or_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let later = UNIX_EPOCH + Duration::from_secs(1 << 32);
        let fs = PosixFs::default();
        match fs.create(&path, b"content", None, &mut |_| later) {
            Ok(_) => assert_eq!(fs.stat(&path).unwrap().mtime, later),
            Err(error) => {
                let why = error.get_ref().and_then(|it| it.downcast_ref::<DateNotKept>());
                assert!(why.is_some(), "{error}");
                assert!(!path.exists());
            }
        }
        std::fs::write(&path, "content").unwrap();
        match fs.touch(&path, later) {
            Ok(()) => assert_eq!(fs.stat(&path).unwrap().mtime, later),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EOVERFLOW)),
        }
    }

    #[test]
    fn a_time_is_passed_to_the_system_unchanged_or_rejected() {
        for seconds in [0, i32::MAX.unsigned_abs().into(), 1 << 31, 1 << 32, 1 << 33] {
            let time = Duration::new(seconds, 999_999_999);
            match time_spec(UNIX_EPOCH + time) {
                Ok(spec) => assert_eq!(Duration::from(spec), time),
                Err(error) => {
                    assert!(seconds > i32::MAX.unsigned_abs().into(), "{seconds}: {error}");
                    assert_eq!(error.raw_os_error(), Some(libc::EOVERFLOW));
                }
            }
        }
        assert!(time_spec(UNIX_EPOCH - Duration::from_secs(1)).is_err());
    }
}
