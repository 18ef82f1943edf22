//! The real file system, stamped by a clock that only tests move on: nothing waits for real.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::clock::Clock;
use crate::sys::fs::{Attr, FileId, Fs, HeldOpen, Mount};
use crate::sys::posix::PosixFs;

/// The clock of everybody in a test. Sleeping moves it on.
#[derive(Debug, Default)]
pub(super) struct ManualClock(Mutex<Duration>);

/// When the tests take place.
const EPOCH: Duration = Duration::from_secs(1_700_000_000);

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wall(&self) -> SystemTime {
        UNIX_EPOCH + EPOCH + self.now()
    }

    fn sleep(&self, time: Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.saturating_add(time);
    }
}

/// [`PosixFs`], but for the time that a file was last changed.
#[derive(Debug)]
pub(super) struct ServerFs {
    pub(super) clock: Arc<ManualClock>,
    inner: PosixFs,
    /// How far its date has been set forward.
    pub(super) ahead: Mutex<Duration>,
    changed: Mutex<HashMap<FileId, SystemTime>>,
}

impl ServerFs {
    pub(super) fn new(clock: Arc<ManualClock>) -> ServerFs {
        let (inner, ahead, changed) = (PosixFs::default(), Mutex::default(), Mutex::default());
        ServerFs { clock, inner, ahead, changed }
    }

    fn date(&self) -> SystemTime {
        self.clock.wall() + *self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stamps the file with the time, as every change of an inode does.
    fn change(&self, attr: Attr) -> Attr {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let ctime = self.date();
        changed.insert(attr.id, ctime);
        Attr { ctime, ..attr }
    }

    fn stamped(&self, attr: Attr) -> Attr {
        let changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        Attr { ctime: changed.get(&attr.id).copied().unwrap_or(attr.ctime), ..attr }
    }

    /// Stamps what now has this name.
    fn change_at(&self, path: &Path) {
        if let Ok(attr) = self.inner.stat(path) {
            self.change(attr);
        }
    }
}

impl Fs for ServerFs {
    fn create(
        &self,
        path: &Path,
        content: &[u8],
        mtime: &mut dyn FnMut(&Attr) -> SystemTime,
    ) -> io::Result<(Attr, HeldOpen)> {
        let created = |attr: &Attr| self.change(Attr { mtime: self.date(), ..*attr });
        let made = self.inner.create(path, content, &mut |attr| mtime(&created(attr)));
        made.map(|(attr, held)| (created(&attr), held))
    }

    fn stat(&self, path: &Path) -> io::Result<Attr> {
        self.inner.stat(path).map(|attr| self.stamped(attr))
    }

    fn read(&self, path: &Path, limit: usize) -> io::Result<(Attr, Vec<u8>)> {
        self.inner.read(path, limit).map(|(attr, content)| (self.stamped(attr), content))
    }

    fn touch(&self, path: &Path, mtime: SystemTime) -> io::Result<()> {
        self.inner.touch(path, mtime)?;
        self.change_at(path);
        Ok(())
    }

    fn touch_atime(&self, path: &Path) -> io::Result<()> {
        self.inner.touch_atime(path)?;
        self.change_at(path);
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.link(from, to)?;
        self.change_at(to);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)?;
        self.change_at(to);
        Ok(())
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.inner.unlink(path)
    }

    fn make_dir(&self, path: &Path, entry: &str) -> io::Result<()> {
        self.inner.make_dir(path, entry)?;
        self.change_at(path);
        Ok(())
    }

    fn remove_dir(&self, path: &Path, entry: &str) -> io::Result<()> {
        self.inner.remove_dir(path, entry)
    }

    fn rename_in(&self, dir: &Path, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename_in(dir, from, to)
    }

    fn unlink_in(&self, dir: &Path, entry: &str) -> io::Result<()> {
        self.inner.unlink_in(dir, entry)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.inner.list(dir)
    }

    fn mount(&self, dir: &Path) -> io::Result<Mount> {
        self.inner.mount(dir)
    }
}
