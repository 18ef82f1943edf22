//! The file system as the protocols see it: the [`Fs`] trait, with one method per step, and
//! [`OpenFile`], a file that a mailbox lock keeps open.
//!
//! All layers above work on `dyn Fs` and `dyn Clock`, so that a test can run the real protocol on a
//! faulty or simulated file system.

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

/// Identifies an inode at one moment only: file systems reuse inode numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
}

/// The type of an inode, see inode(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Plain,
    Directory,
    SymbolicLink,
    /// A FIFO, a socket or a device.
    Other,
}

/// The attributes of an inode, as the file server reports them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attr {
    pub(crate) id: FileId,
    /// The link count: how many names the inode has.
    pub(crate) nlink: u64,
    pub(crate) kind: FileKind,
    /// The access permissions: the mode's last twelve bits.
    pub(crate) permissions: u32,
    /// The uid of the file's owner.
    pub(crate) owner: u32,
    pub(crate) size: u64,
    /// When the lease ends, as set by the process that touched the file.
    pub(crate) mtime: SystemTime,
    /// When the inode was last changed, by the server's own clock.
    pub(crate) ctime: SystemTime,
}

/// The file operations that the protocol needs.
///
/// None of them follows a symbolic link in the last component of a path.
pub(crate) trait Fs: Debug + Send + Sync {
    /// Creates a file with these permissions whatever the umask is, or with mode 0666 less the
    /// umask, with this content, and the mtime that `mtime` computes from the attributes after
    /// creation, whose `ctime` is the server's time. On return
    /// the server has all of it, and every error of write(2) and close(2) has been reported. A file
    /// that cannot be written in full is removed again, and so is a file whose date is not kept;
    /// the error then contains a [`DateNotKept`].
    ///
    /// No other process may use the same name: the file is not created exclusively, which would
    /// cost an NFS server one more request (RFC 1813, section 3.3.8, `EXCLUSIVE`).
    fn create(
        &self,
        path: &Path,
        content: &[u8],
        permissions: Option<u32>,
        mtime: &mut dyn FnMut(&Attr) -> SystemTime,
    ) -> io::Result<(Attr, HeldOpen)>;
    /// Asks the server, bypassing the client's cache.
    fn stat(&self, path: &Path) -> io::Result<Attr>;
    /// Reads at most `limit` bytes, and returns them with the attributes of the inode they came
    /// from.
    fn read(&self, path: &Path, limit: usize) -> io::Result<(Attr, Vec<u8>)>;
    /// Sets the mtime, and the atime too, since some file systems set both or neither (libfuse 2).
    fn touch(&self, path: &Path, mtime: SystemTime) -> io::Result<()>;
    /// Sets the atime to the current time. No code reads the atime: the request serves as a probe,
    /// since a server executes it only when it would execute any other change of the inode.
    fn touch_atime(&self, path: &Path) -> io::Result<()>;
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn unlink(&self, path: &Path) -> io::Result<()>;
    /// Creates a directory with an empty file in it. The file has these permissions whatever the
    /// umask is, and the directory can be searched by all who may read it; or their modes are 0666
    /// and 0777 less the umask. Both may exist already. On failure a part of them may be left
    /// behind.
    fn make_dir(&self, path: &Path, entry: &str, permissions: Option<u32>) -> io::Result<()>;
    /// Removes such a directory, and the file in it if there is one.
    fn remove_dir(&self, path: &Path, entry: &str) -> io::Result<()>;
    /// Renames a file inside a directory; fails if the directory is a symbolic link.
    fn rename_in(&self, dir: &Path, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file inside a directory; fails if the directory is a symbolic link.
    fn unlink_in(&self, dir: &Path, entry: &str) -> io::Result<()>;
    /// The names in a directory, in no particular order.
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>>;
    /// How far the file system under this directory can be trusted.
    fn mount(&self, dir: &Path) -> io::Result<Mount>;
    /// The longest name in bytes that this directory allows, if the file system reports it.
    fn name_max(&self, _dir: &Path) -> Option<usize> {
        None
    }
    /// Whether this directory keeps whatever is made in it, as chattr(1) can make it do.
    fn is_append_only(&self, _dir: &Path) -> bool {
        false
    }
    /// What is mounted at this directory, for error messages.
    fn describe(&self, dir: &Path) -> String {
        format!("what is mounted on {}", dir.display())
    }
    /// Creates a file exclusively (EEXIST if the name is taken), with exactly these permissions
    /// whatever the umask is, and with this content, and keeps it open. On return the server has
    /// all of it. A file that cannot be written in full is removed again.
    fn create_new(
        &self,
        path: &Path,
        content: &[u8],
        permissions: u32,
    ) -> io::Result<Box<dyn OpenFile>>;
    /// Opens a file to lock it, which requires `for_writing`, or to see which process has locked
    /// it. Does not wait for the other end of a FIFO. Returns `None` where range locks belong to
    /// the process and this process has the file open already: closing the second descriptor would
    /// release the first one's lock.
    fn open(&self, path: &Path, for_writing: bool) -> io::Result<Option<Box<dyn OpenFile>>>;
    /// Like [`stat`](Self::stat), for a file that this process may have locked. Where closing a
    /// descriptor would release the lock, it does not open the file, and returns what the client
    /// has cached.
    fn stat_lockable(&self, path: &Path) -> io::Result<Attr>;
}

/// An open file: always the same inode, even if its name now belongs to another. Dropping it closes
/// and unlocks the file.
pub(crate) trait OpenFile: Debug + Send + Sync {
    /// The file's attributes, which an NFS client may have cached.
    fn attributes(&self) -> io::Result<Attr>;
    /// Sets the file's times to the current time of the server's clock.
    fn touch(&self) -> io::Result<()>;
    /// Tries to lock the whole file for writing, without waiting, and returns whether it succeeded.
    fn try_lock(&self) -> io::Result<bool>;
    /// Unlocks the file, also for forked children that have inherited it.
    fn unlock(&self) -> io::Result<()>;
    /// The process that keeps this one from locking the file.
    fn locker(&self) -> io::Result<Locker>;
    /// The file itself, for reading and writing. A simulated file has none.
    fn file(&self) -> Option<&File>;
}

/// A file that stays open for writing until just before its name is removed.
///
/// Used only where that helps: an NFSv4 server grants no read delegation on a file that is open for
/// writing (RFC 8881, section 10.4), and without a delegation no request for the inode has to wait
/// until the delegation of a dead client is revoked.
#[derive(Debug, Default)]
pub(crate) struct HeldOpen(#[allow(dead_code)] pub(super) Option<File>);

/// How a file system executes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mount {
    /// By this machine alone, exactly once and before the call returns.
    Local,
    /// As `Local` for the processes of this machine, which however exports file systems by NFS, so
    /// the files may also belong to processes on other machines.
    #[allow(dead_code)] // found on Linux only
    Exported,
    /// By a server, through Linux's NFS client. A request may be executed twice, or after the
    /// caller's death, but a reported success comes from the server.
    #[allow(dead_code)] // found on Linux only
    Nfs,
    /// In an unknown way: no reply is trusted before its effect has been checked.
    Other,
}

/// What the system knows about the file system of a directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statfs {
    pub(super) mount: Mount,
    /// How many bytes a name may have, where that is known.
    pub(super) name_max: Option<usize>,
    /// Whether the directory keeps whatever is made in it.
    pub(super) is_append_only: bool,
}

/// This process's id. Each lock and unlock needs it several times, so it is cached:
/// pthread_atfork(3) clears the cache in a forked child. (A child made by the bare system call
/// clone(2), bypassing the C library, keeps the parent's id and must not use what it inherits.)
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
            // SAFETY: the handler lives as long as the program, and only stores a number.
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

/// The bits of a mode other than the file type, see inode(7).
pub(super) const PERMISSIONS: u32 = 0o7777;

/// The attributes of an open file, which an NFS client may have cached.
pub(crate) fn attributes(file: &File) -> io::Result<Attr> {
    file.metadata().map(|meta| Attr::of(&meta))
}

/// The attributes of a file without opening it, which an NFS client may have cached.
pub(crate) fn cached_attributes(path: &Path) -> io::Result<Attr> {
    std::fs::symlink_metadata(path).map(|meta| Attr::of(&meta))
}

impl Attr {
    /// The remaining length of the lease when the inode was last changed. Both dates are the
    /// server's time, so later changes to any clock do not matter. Zero if the lease had already
    /// ended.
    pub(crate) fn lease_length(&self) -> Duration {
        self.mtime.duration_since(self.ctime).unwrap_or_default()
    }

    /// Whether the file system shows the mtime as the ctime too, as Samba does: once a date is set,
    /// that is no time of the server's clock.
    pub(crate) fn is_changed_at_mtime(&self) -> bool {
        self.ctime == self.mtime
    }

    /// Whether it is a regular file.
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

/// A file's time, clamped to the range of [`SystemTime`]: the owner of a file can set any date.
pub(super) fn timestamp(seconds: i64, nanoseconds: i64) -> SystemTime {
    let nanoseconds = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0));
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let whole =
        if seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    whole.map_or(UNIX_EPOCH, |time| time.checked_add(nanoseconds).unwrap_or(time))
}
