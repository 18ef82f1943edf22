//! flufl.lock 10.0.0's protocol, system call by system call, as the control: a harness that finds
//! faults must find some here.
//!
//! Two things are set differently. The slop and the pauses between polls are parameters, since with
//! 10 s and up to 2 s there would be few breaks a minute. And mtimes are written in full: whole
//! seconds, as `_touch` writes them, would cut a lease of a fraction of a second to nothing.
//! Neither makes the protocol any worse.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;

use crate::kit::clock::now;

/// flufl.lock's `Lock`.
#[derive(Debug)]
pub(crate) struct FluflLock {
    lock: PathBuf,
    claim: PathBuf,
    lifetime: Duration,
    slop: Duration,
    polling: (Duration, Duration),
    lease_ends: Duration,
}

/// What flufl.lock raises.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FluflError {
    #[error("already locked")]
    AlreadyLocked,
    #[error("not locked")]
    NotLocked,
    #[error("timed out")]
    TimedOut,
    #[error(transparent)]
    Os(#[from] io::Error),
}

impl FluflLock {
    pub(crate) fn new(
        lock: &Path,
        lifetime: Duration,
        slop: Duration,
        polling: (Duration, Duration),
    ) -> FluflLock {
        let (pid, random) = (std::process::id(), rand::random::<u64>() >> 1);
        let claim = format!("{}|localhost|{pid}|{random}", lock.display()).into();
        let lease_ends = Duration::ZERO;
        FluflLock { lock: lock.to_owned(), claim, lifetime, slop, polling, lease_ends }
    }

    /// The end of the lease that began with the last touch, on the tests' clock.
    pub(crate) fn lease_ends(&self) -> Duration {
        self.lease_ends
    }

    /// `lock()`.
    pub(crate) fn lock(&mut self, timeout: Duration) -> Result<(), FluflError> {
        let deadline = now() + timeout;
        fs::write(&self.claim, self.claim.as_os_str().as_encoded_bytes())?; // _write
        self.touch()?;
        loop {
            match fs::hard_link(&self.claim, &self.lock) {
                Ok(()) => {
                    self.touch()?;
                    return Ok(());
                }
                Err(error) if is_gone(&error) => {}
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    fs::remove_file(&self.claim)?;
                    return Err(error.into());
                }
                Err(_) => {
                    if self.link_count()? == 2 && self.owns()? {
                        return Err(FluflError::AlreadyLocked);
                    }
                }
            }
            if deadline < now() {
                fs::remove_file(&self.claim).or_else(unless_gone)?;
                return Err(FluflError::TimedOut);
            }
            if let Some(release_time) = self.release_time()? {
                if SystemTime::now() > release_time + self.slop {
                    self.break_lock()?;
                }
            }
            let (least, most) = self.polling;
            sleep(rand::random_range(least..=most));
        }
    }

    /// `unlock()`.
    pub(crate) fn unlock(&mut self) -> Result<(), FluflError> {
        if !self.is_locked()? {
            return Err(FluflError::NotLocked);
        }
        fs::remove_file(&self.lock).or_else(unless_gone)?;
        fs::remove_file(&self.claim).or_else(unless_gone)?;
        Ok(())
    }

    /// `is_locked`, which is all that `refresh()` does.
    pub(crate) fn is_locked(&mut self) -> Result<bool, FluflError> {
        self.touch()?;
        Ok(self.link_count()? == 2 && self.owns()?)
    }

    /// `_break()`.
    fn break_lock(&self) -> Result<(), FluflError> {
        let details = self.read()?;
        if details.is_none_or(|details| details.split(|byte| *byte == b'|').count() != 4) {
            return Ok(());
        }
        self.touch_file(&self.lock)?;
        let winner = self.read()?;
        fs::remove_file(&self.lock).or_else(unless_gone)?;
        if let Some(winner) = winner.filter(|winner| !winner.is_empty()) {
            fs::remove_file(&*String::from_utf8_lossy(&winner)).or_else(unless_gone)?;
        }
        Ok(())
    }

    /// `_touch()`.
    fn touch(&mut self) -> io::Result<()> {
        self.lease_ends = now() + self.lifetime;
        self.touch_file(&self.claim)
    }

    fn touch_file(&self, path: &Path) -> io::Result<()> {
        let since_epoch = (SystemTime::now() + self.lifetime).duration_since(UNIX_EPOCH);
        let time = TimeSpec::from_duration(since_epoch.expect("it is after 1970"));
        let follow = UtimensatFlags::FollowSymlink;
        utimensat(AT_FDCWD, path, &time, &time, follow)
            .map_err(io::Error::from)
            .or_else(unless_gone)
    }

    /// `_releasetime`.
    fn release_time(&self) -> io::Result<Option<SystemTime>> {
        found(fs::metadata(&self.lock).and_then(|lock| lock.modified()))
    }

    /// `_linkcount`; -1 if there is no lock file, as in flufl.lock.
    fn link_count(&self) -> io::Result<i64> {
        let count = found(fs::metadata(&self.lock))?.map(|lock| lock.nlink());
        Ok(count.map_or(-1, |count| i64::try_from(count).unwrap_or(i64::MAX)))
    }

    /// `_read()`.
    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        found(fs::read(&self.lock))
    }

    fn owns(&self) -> io::Result<bool> {
        let content = self.read()?;
        Ok(content.is_some_and(|content| content == self.claim.as_os_str().as_encoded_bytes()))
    }
}

/// flufl.lock's `ERRORS`.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESTALE))
}

fn unless_gone(error: io::Error) -> io::Result<()> {
    if is_gone(&error) { Ok(()) } else { Err(error) }
}

fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if is_gone(&error) => Ok(None),
        result => result.map(Some),
    }
}
