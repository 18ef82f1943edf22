//! The options of a lock, and the ways to make one.

mod build;
mod rw_lock;
mod slots;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::error::Error;
use crate::holder::Role;
use crate::lock::Lock;
use crate::model::backoff::Polling;
use crate::model::context::Context;
use crate::model::names::with_suffix;
use crate::policy::StalePolicy;
use crate::sys::linker::Linker;

/// A builder for a [`Lock`]: see [`Lock::options`].
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("report.lock");
/// use std::time::Duration;
/// use linklock::{Lock, StalePolicy};
///
/// let lock = Lock::options(&path)
///     .lifetime(Duration::from_secs(60))
///     .timeout(Duration::from_secs(5))
///     .stale(StalePolicy::Expired)
///     .build()?;
/// # Ok::<(), linklock::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "options have no effect until they are built"]
pub struct LockOptions {
    path: PathBuf,
    lifetime: Duration,
    timeout: Option<Duration>,
    separator: char,
    host_name: Option<OsString>,
    stale: StalePolicy,
    clock_slop: Duration,
    polling: Polling,
    retry_errnos: Vec<i32>,
    keep_claim: bool,
    fencing: bool,
    mode: Option<u32>,
    wake_hints: bool,
    wake_address: Option<Ipv4Addr>,
    clock: Option<Arc<dyn Clock>>,
    linker: Option<Linker>,
    role: Role,
    learnt_from: Option<Arc<Context>>,
}

/// The default length of a lease: 15 s, as in flufl.lock.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(15);
/// How long an expired lease is still respected by default: 10 s, as in flufl.lock.
pub const DEFAULT_CLOCK_SLOP: Duration = Duration::from_secs(10);
/// The first and the longest pause of a polling waiter by default: 1 ms and 1 s.
pub const DEFAULT_POLLING: [Duration; 2] = [Duration::from_millis(1), Duration::from_secs(1)];

impl Lock {
    /// Makes a lock with the default options: a lifetime of 15 s, as in flufl.lock, and no timeout.
    ///
    /// A relative path is made absolute now, so that a later `chdir` does not affect it. The file
    /// system is not accessed yet, and nothing blocks.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the lock path is invalid: it has no file name, it contains the
    /// separator, or the names of its claims would be too long. [`Error::Io`] if the current
    /// directory or the host name is not available.
    pub fn new(path: impl Into<PathBuf>) -> Result<Lock, Error> {
        Lock::options(path).build()
    }

    /// Makes the lock beside a file, to guard that file, with the default options: its name is the
    /// file's with `.lock` at its end. So the locks of `a.json` and `a.toml`, which
    /// [`Path::with_extension`](std::path::Path::with_extension) would make one, are two.
    ///
    /// The file need not exist, and is not touched. A file that has several names, by links, has as
    /// many locks: all its users must go by the same name.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path();
    /// use linklock::Lock;
    ///
    /// let lock = Lock::beside(dir.join("a.json"))?;
    /// assert_eq!(lock.path(), dir.join("a.json.lock"));
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn beside(file: impl AsRef<Path>) -> Result<Lock, Error> {
        Lock::options_beside(file).build()
    }

    /// Options for the lock beside a file: see [`beside`](Self::beside).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path();
    /// use std::time::Duration;
    /// use linklock::Lock;
    ///
    /// let lock = Lock::options_beside(dir.join("a.json")).timeout(Duration::from_secs(5)).build()?;
    /// assert_eq!(lock.path(), dir.join("a.json.lock"));
    /// # Ok::<(), linklock::Error>(())
    /// ```
    pub fn options_beside(file: impl AsRef<Path>) -> LockOptions {
        // A path without a name is an error of `build`.
        Lock::options(with_suffix(file.as_ref(), ".lock"))
    }

    /// Options for a lock at this path; [`build`](LockOptions::build) makes it.
    pub fn options(path: impl Into<PathBuf>) -> LockOptions {
        LockOptions {
            path: path.into(),
            lifetime: DEFAULT_LIFETIME,
            timeout: None,
            separator: '|',
            host_name: None,
            stale: StalePolicy::default(),
            clock_slop: DEFAULT_CLOCK_SLOP,
            polling: Polling { first: DEFAULT_POLLING[0], cap: DEFAULT_POLLING[1] },
            retry_errnos: Vec::new(),
            keep_claim: false,
            fencing: false,
            mode: None,
            wake_hints: false,
            wake_address: None,
            clock: None,
            linker: None,
            role: Role::Alone,
            learnt_from: None,
        }
    }
}

impl LockOptions {
    /// The length of a lease: how long the holder may be out of touch before other processes may
    /// take the lock. From 10 ms to ten years; 15 s by default, as in flufl.lock.
    pub fn lifetime(mut self, lifetime: Duration) -> LockOptions {
        self.lifetime = lifetime;
        self
    }

    /// How long [`Lock::lock`] waits. There is no limit by default. flufl.lock: `default_timeout`.
    pub fn timeout(mut self, timeout: Duration) -> LockOptions {
        self.timeout = Some(timeout);
        self
    }

    /// The character between the parts of a claim's name: `|` by default, as in flufl.lock. All
    /// users of a lock must choose the same. It must not be a letter or a digit, and must not occur
    /// in the path or the host name.
    pub fn separator(mut self, separator: char) -> LockOptions {
        self.separator = separator;
        self
    }

    /// This host's name in claims, in place of what gethostname(2) returns. Set it where that name
    /// changes while locks are held, or is the same on several hosts.
    pub fn host_name(mut self, host_name: impl Into<OsString>) -> LockOptions {
        self.host_name = Some(host_name.into());
        self
    }

    /// Shares what a handle has found out about the file system, and how it makes hard links, if it is for a
    /// lock in the same directory: as [`Lock::with_file_name`] does, for a lock with options of its own.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// use linklock::Lock;
    ///
    /// let report = Lock::new(dir.path().join("report.lock"))?;
    /// let _held = report.lock()?;
    /// let backup = Lock::options(dir.path().join("backup.lock")).learnt_from(&report).build()?;
    /// let _held = backup.lock()?; // does not ask again what the directory is on
    /// # Ok::<(), linklock::Error>(())
    /// ```
    pub fn learnt_from(mut self, other: &Lock) -> LockOptions {
        self.learnt_from = Some(other.context.clone());
        self
    }

    /// When another process's lock may be taken over; see [`StalePolicy`].
    pub fn stale(mut self, policy: StalePolicy) -> LockOptions {
        self.stale = policy;
        self
    }

    /// How long an expired lease is still respected: 10 s by default, as in flufl.lock
    /// (`CLOCK_SLOP`).
    ///
    /// The lock's safety rests on this one assumption: if a process checks its lease and then
    /// issues one file operation, the server executes that operation within this time.
    ///
    /// Processes that use one lock may have different slops: each is how long *this* process
    /// respects the locks of others. So the *shortest* of all must be longer than any process's
    /// operation may take; a longer slop costs nothing but a longer wait for the locks of dead
    /// holders. See [The assumptions](crate::guide::safety#the-assumptions-one-by-one).
    pub fn clock_slop(mut self, slop: Duration) -> LockOptions {
        self.clock_slop = slop;
        self
    }

    /// How a waiter polls: its first pause, and the longest that its pauses grow to. 1 ms and 1 s
    /// by default. One poll reads the lock file once, which costs a file server one request.
    ///
    /// A waiter polls for events that cannot wake it: a release on another machine, or the death of
    /// a holder. On one machine (Linux) a waiter is woken when the lock is released, waiters are
    /// served in the order of arrival, and only the first of them polls; the waiters behind it
    /// network file system.
    pub fn polling(mut self, first: Duration, longest: Duration) -> LockOptions {
        self.polling = Polling { first: first.min(longest), cap: longest };
        self
    }

    /// Errors of reading a lock file that a contender waits out, as `errno` values: `EIO`, for
    /// example, where a server comes and goes. `ENOENT` means that the lock is free; all other
    /// errors fail the acquisition. None by default. flufl.lock: `retry_errnos`.
    pub fn retry_errnos(mut self, errnos: impl IntoIterator<Item = i32>) -> LockOptions {
        self.retry_errnos = errnos.into_iter().collect();
        self
    }

    /// Keeps the handle's claim after an unlock, for the next acquisition: for a lock that is taken
    /// again and again, within its lifetime. Without contention, lock and unlock then take four
    /// system calls (utimensat(2), link(2), statx(2), unlink(2)) instead of nine. Off by default.
    ///
    /// The claim, a small file beside the lock file, exists until the handle is dropped.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("counter.lock");
    /// let lock = linklock::Lock::options(&path).keep_claim(true).build()?;
    /// for _ in 0..1000 {
    ///     lock.lock()?.unlock()?;
    /// }
    /// drop(lock); // and the claim is gone
    /// # assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    /// # Ok::<(), linklock::Error>(())
    /// ```
    pub fn keep_claim(mut self, keep: bool) -> LockOptions {
        self.keep_claim = keep;
        self
    }

    /// Numbers the acquisitions: each guard has a [token](crate::LockGuard::token), higher than
    /// those of all earlier ones. Off by default; see
    /// [Fencing tokens](crate::guide::leases#fencing-tokens) for their use and their cost.
    ///
    /// All users of a lock should choose the same: a holder without this option has no token, and
    /// cannot be distinguished from one that has lost the lock.
    pub fn fencing(mut self, fencing: bool) -> LockOptions {
        self.fencing = fencing;
        self
    }

    /// The mode of the lock's files, whatever the umask is: for a lock that several users share,
    /// 0o664 where all are in the directory's group, for instance. It applies to the claim, which
    /// becomes the lock file, and to the counter of [fencing tokens](Self::fencing); the counter's
    /// directory can also be searched by all who may read it. By default a file has mode 0666 less
    /// the umask.
    ///
    /// A mode consists of permissions to read and to write, and the owner has both. It costs one
    /// file operation for each claim, where the umask has withheld something. To break or take over
    /// a lock takes more than its mode: [Permissions](crate::guide::nfs#permissions).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// use std::os::unix::fs::PermissionsExt;
    ///
    /// let guard = linklock::Lock::options(&path).mode(0o664).build()?.lock()?;
    /// let mode = std::fs::metadata(&path)?.permissions().mode();
    /// assert_eq!(mode & 0o777, 0o664);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn mode(mut self, mode: u32) -> LockOptions {
        self.mode = Some(mode);
        self
    }

    /// Asks a holder on another machine for a wake-up when it releases the lock, and answers others:
    /// by UDP, between processes that have this option. A waiter then gets the lock milliseconds
    /// after the release rather than at its next poll, in the order of arrival of the machines. Off
    /// by default. A hint is no more than that: where datagrams are lost or forbidden, waiters poll as
    /// without it. See [Wake-up hints](crate::guide::waiting#wake-up-hints), and
    /// [what they disclose](crate::guide::security#wake-up-hints).
    ///
    /// A waiter for one of several [slots](Self::slots) asks the holder of each.
    ///
    /// It works on mounts that name their server's IPv4 address, as NFS does on Linux; for others, set
    /// a [`wake_address`](Self::wake_address).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// let guard = linklock::Lock::options(&path).wake_hints(true).build()?.lock()?;
    /// # guard.unlock()?;
    /// # Ok::<(), linklock::Error>(())
    /// ```
    pub fn wake_hints(mut self, wake_hints: bool) -> LockOptions {
        self.wake_hints = wake_hints;
        self
    }

    /// The address of this machine at which other machines can send it [wake-up
    /// hints](Self::wake_hints), in place of the one by which the mount's own traffic leaves. Set it
    /// where the mount does not say (FUSE, CephFS), or where hints are to take another network.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// use std::net::Ipv4Addr;
    ///
    /// let lock = linklock::Lock::options(&path)
    ///     .wake_hints(true)
    ///     .wake_address(Ipv4Addr::LOCALHOST)
    ///     .build()?;
    /// # let guard = lock.lock()?;
    /// # guard.unlock()?;
    /// # Ok::<(), linklock::Error>(())
    /// ```
    pub fn wake_address(mut self, address: Ipv4Addr) -> LockOptions {
        self.wake_address = Some(address);
        self
    }

    /// A clock in place of the machine's own, for tests. flufl.lock: the `_now` hook. Waiters then
    /// wait by this clock alone: they poll, and join no
    /// [queue](crate::guide::waiting#on-one-machine).
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> LockOptions {
        self.clock = Some(clock);
        self
    }

    /// Makes hard links by a function in place of link(2): from the first path to the second. For
    /// tests of what a program does when the file system fails, and for bindings to languages that
    /// have a function for it. link(2) by default. flufl.lock: `os.link`, which its tests replace.
    ///
    /// The function must make the link or return an error, as link(2) does; the lock relies on it.
    /// It is called while an acquisition runs, and must not use the lock.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// use std::io;
    /// use linklock::Lock;
    ///
    /// let full = |_: &_, _: &_| Err(io::Error::from(io::ErrorKind::StorageFull));
    /// let error = Lock::options(&path).link_by(full).build()?.lock().unwrap_err();
    /// assert_eq!(error.io_error().unwrap().kind(), io::ErrorKind::StorageFull);
    /// # assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    /// # Ok::<(), linklock::Error>(())
    /// ```
    pub fn link_by(
        mut self,
        link: impl Fn(&Path, &Path) -> io::Result<()> + Send + Sync + 'static,
    ) -> LockOptions {
        self.linker = Some(Linker::new(link));
        self
    }
}

impl fmt::Debug for LockOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockOptions")
            .field("path", &self.path)
            .field("lifetime", &self.lifetime)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
