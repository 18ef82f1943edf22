//! The file system as the protocols see it: the [`Fs`] trait, one method a step, and [`OpenFile`], a
//! file that a mailbox's lock keeps open.
//!
//! Everything above works on `dyn Fs` and `dyn Clock`, so that a test can put a faulty or a
//! simulated file system underneath the real protocol.

use std::ffi::OsString;
use std::fmt::Debug;
use std::fs::{File, FileType, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::range_lock::Locker;

/// What tells one inode from another, at one moment: file systems use inode numbers again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
}

/// What an inode is, see inode(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Plain,
    Directory,
    SymbolicLink,
    /// A FIFO, a socket or a device.
    Other,
}

/// What the file server says of an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attr {
    pub(crate) id: FileId,
    /// How many names the inode has: the link count.
    pub(crate) nlink: u64,
    pub(crate) kind: FileKind,
    /// Who may do what: the mode's last twelve bits.
    pub(crate) permissions: u32,
    /// The user whose file it is.
    pub(crate) owner: u32,
    pub(crate) size: u64,
    /// When the lease ends, as the process that touched the file has said.
    pub(crate) mtime: SystemTime,
    /// When the inode was last changed, stamped by the server's own clock.
    pub(crate) ctime: SystemTime,
}

/// The file operations that the protocol is made of.
///
/// None of them follows a symbolic link in the last component of a path.
pub(crate) trait Fs: Debug + Send + Sync {
    /// Makes a file, mode 0666 less the umask, with this content, and with the mtime that `mtime`
    /// makes of the attributes it was created with: their `ctime` tells the server's time. When this
    /// returns a server has all of it, and every error of write(2) and close(2) has been reported. A
    /// file that can't be written in full is removed again, and so is one whose date is not kept: the
    /// error has a [`DateNotKept`] in it.
    ///
    /// The name must be one that nobody else would use: it is not asked for exclusively, which
    /// costs an NFS server a request more (RFC 1813, section 3.3.8, `EXCLUSIVE`).
    fn create(
        &self,
        path: &Path,
        content: &[u8],
        mtime: &mut dyn FnMut(&Attr) -> SystemTime,
    ) -> io::Result<(Attr, HeldOpen)>;
    /// Asks the server, whatever the client has cached.
    fn stat(&self, path: &Path) -> io::Result<Attr>;
    /// Reads at most `limit` bytes, with the attributes of the inode they were read from.
    fn read(&self, path: &Path, limit: usize) -> io::Result<(Attr, Vec<u8>)>;
    /// Sets the mtime, and the atime with it: some file systems take both or none (libfuse 2).
    fn touch(&self, path: &Path, mtime: SystemTime) -> io::Result<()>;
    /// Sets the atime to the present. Nobody goes by that: it is asked for because a server executes it
    /// only when it would execute any other change of the inode.
    fn touch_atime(&self, path: &Path) -> io::Result<()>;
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn unlink(&self, path: &Path) -> io::Result<()>;
    /// Makes a directory, mode 0777 less the umask, with an empty file in it, which may be there
    /// already. What can't be made in full may be left in part.
    fn make_dir(&self, path: &Path, entry: &str) -> io::Result<()>;
    /// Removes such a directory, and the file in it if it is there.
    fn remove_dir(&self, path: &Path, entry: &str) -> io::Result<()>;
    /// Renames a file inside a directory, which is no symbolic link.
    fn rename_in(&self, dir: &Path, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file inside a directory, which is no symbolic link.
    fn unlink_in(&self, dir: &Path, entry: &str) -> io::Result<()>;
    /// The names in a directory, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>>;
    /// What can be relied on where this directory is.
    fn mount(&self, dir: &Path) -> io::Result<Mount>;
    /// The most bytes that a name in this directory may have, if the file system says so.
    fn name_max(&self, _dir: &Path) -> Option<usize> {
        None
    }
    /// What is mounted where this directory is, for error messages.
    fn describe(&self, dir: &Path) -> String {
        format!("what is mounted on {}", dir.display())
    }
    /// Makes a file whose name must be free, else EEXIST, with exactly these permissions, whatever the
    /// umask, and with this content; and keeps it open. When this returns a server has all of it. A file
    /// that can't be written in full is removed again.
    fn create_new(
        &self,
        path: &Path,
        content: &[u8],
        permissions: u32,
    ) -> io::Result<Box<dyn OpenFile>>;
    /// Opens a file to lock it, for which it must be open for writing too, or to see who has locked it.
    /// Does not wait for the other end of a FIFO. `None` where range locks are the process's and this
    /// process has the file open already: to close it twice would end the first one's lock.
    fn open(&self, path: &Path, for_writing: bool) -> io::Result<Option<Box<dyn OpenFile>>>;
    /// [`stat`](Self::stat) for a file that this process may have locked: does not open it where to
    /// close it would end the lock, and then shows what the client has cached.
    fn stat_lockable(&self, path: &Path) -> io::Result<Attr>;
}

/// A file that is open: the same inode, whatever has its name by now. Dropping it closes it, and
/// unlocks it.
pub(crate) trait OpenFile: Debug + Send + Sync {
    /// Its attributes, which an NFS client may have cached.
    fn attributes(&self) -> io::Result<Attr>;
    /// Sets its times to the present, by the server's clock.
    fn touch(&self) -> io::Result<()>;
    /// Locks the whole file for writing, and returns whether that could be done at once.
    fn try_lock(&self) -> io::Result<bool>;
    /// Unlocks the file, for forked children too that have inherited it.
    fn unlock(&self) -> io::Result<()>;
    /// Who keeps us from locking the file.
    fn locker(&self) -> io::Result<Locker>;
    /// The file itself, to read and write. A simulated file has none.
    fn file(&self) -> Option<&File>;
}

/// A file that stays open for writing until its name is about to be removed.
///
/// Only where that has a use: an NFSv4 server gives nobody a read delegation on a file that is open
/// for writing (RFC 8881, section 10.4), and without a delegation nothing that is asked for of the
/// inode has to wait until the delegation of a dead client is revoked.
#[derive(Debug, Default)]
pub(crate) struct HeldOpen(#[allow(dead_code)] pub(super) Option<File>);

/// How a file system executes what is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mount {
    /// By this machine alone, once and before the call returns.
    Local,
    /// Likewise for the processes of this machine; but it exports file systems by NFS, so that the
    /// files may be those of processes of other machines too.
    #[cfg_attr(not(all(target_os = "linux", not(linklock_elsewhere))), allow(dead_code))]
    Exported,
    /// By a server, through Linux's NFS client. A request may be executed twice, or after the
    /// caller's death, but a success that is reported comes from the server.
    #[cfg_attr(not(all(target_os = "linux", not(linklock_elsewhere))), allow(dead_code))]
    Nfs,
    /// In a way that is not known: nothing is believed that was not looked at.
    Other,
}

/// This process's number. It is asked for several times in each lock and unlock, so the system is
/// asked only once: pthread_atfork(3) makes a forked child ask again. (A child made by the
/// bare system call clone(2), past the C library, is not told, and must not use what it inherits.)
pub(crate) fn process_id() -> u32 {
    static KNOWN: AtomicU32 = AtomicU32::new(UNKNOWN);
    static HEARS_OF_FORKS: OnceLock<bool> = OnceLock::new();
    const UNKNOWN: u32 = 0;
    extern "C" fn forget() {
        KNOWN.store(UNKNOWN, Ordering::Relaxed);
    }
    match KNOWN.load(Ordering::Relaxed) {
        UNKNOWN => {
            let pid = std::process::id();
            // SAFETY: the handler lives as long as the program, and does nothing but store a number.
            #[allow(unsafe_code)]
            let can_wake = *HEARS_OF_FORKS
                .get_or_init(|| unsafe { libc::pthread_atfork(None, None, Some(forget)) } == 0);
            if can_wake {
                KNOWN.store(pid, Ordering::Relaxed);
            }
            pid
        }
        pid => pid,
    }
}

/// The bits of a mode that are not a file's type, see inode(7).
pub(super) const PERMISSIONS: u32 = 0o7777;

/// The attributes of an open file, which an NFS client may have cached.
pub(crate) fn attributes(file: &File) -> io::Result<Attr> {
    file.metadata().map(|meta| Attr::of(&meta))
}

/// The attributes of a file that is not opened, which an NFS client may have cached.
pub(crate) fn cached_attributes(path: &Path) -> io::Result<Attr> {
    std::fs::symlink_metadata(path).map(|meta| Attr::of(&meta))
}

impl Attr {
    /// How long the lease was, that this date ends, when the inode was last changed: both are the
    /// server's time, and so no clock that is set later matters. Zero if it was over by then.
    pub(crate) fn lease_length(&self) -> Duration {
        self.mtime.duration_since(self.ctime).unwrap_or_default()
    }

    /// Whether it is a plain file.
    pub(crate) fn is_file(&self) -> bool {
        self.kind == FileKind::Plain
    }

    fn of(meta: &Metadata) -> Attr {
        Attr {
            id: FileId { dev: meta.dev(), ino: meta.ino() },
            nlink: meta.nlink(),
            kind: FileKind::of(meta.file_type()),
            permissions: meta.mode() & PERMISSIONS,
            owner: meta.uid(),
            size: meta.size(),
            mtime: timestamp(meta.mtime(), meta.mtime_nsec()),
            ctime: timestamp(meta.ctime(), meta.ctime_nsec()),
        }
    }
}

impl FileKind {
    fn of(kind: FileType) -> FileKind {
        if kind.is_file() {
            FileKind::Plain
        } else if kind.is_dir() {
            FileKind::Directory
        } else if kind.is_symlink() {
            FileKind::SymbolicLink
        } else {
            FileKind::Other
        }
    }
}

/// A file's time, clamped to what [`SystemTime`] can hold: the owner of a file can give it any.
pub(super) fn timestamp(seconds: i64, nanoseconds: i64) -> SystemTime {
    let nanoseconds = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0));
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let whole =
        if seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    whole.map_or(UNIX_EPOCH, |time| time.checked_add(nanoseconds).unwrap_or(time))
}
