//! The real file system, with time stamps from a clock that only tests advance: no test really
//! sleeps.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::clock::Clock;
use crate::sys::fs::{Attr, FileId, Fs, HeldOpen, Mount, OpenFile};
use crate::sys::posix::PosixFs;
use crate::sys::range_lock::Locker;

/// The clock of all processes in a test. Sleeping advances it.
#[derive(Debug, Default)]
pub(super) struct ManualClock(Mutex<Duration>);

/// The date at which the tests begin: no whole second, which is what coarse time stamps show.
const EPOCH: Duration = Duration::new(1_700_000_000, 123_456_789);

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

/// [`PosixFs`], except for the modification times.
#[derive(Debug)]
pub(super) struct ServerFs {
    inner: PosixFs,
    stamps: Arc<Stamps>,
}

/// The modification times of files.
#[derive(Debug)]
struct Stamps {
    clock: Arc<ManualClock>,
    /// How far the server's clock has been set forward.
    ahead: Mutex<Duration>,
    changed: Mutex<HashMap<FileId, SystemTime>>,
}

/// An open file on the server.
#[derive(Debug)]
struct ServerFile {
    inner: Box<dyn OpenFile>,
    stamps: Arc<Stamps>,
}

impl ServerFs {
    pub(super) fn new(clock: Arc<ManualClock>) -> ServerFs {
        let stamps = Stamps { clock, ahead: Mutex::default(), changed: Mutex::default() };
        ServerFs { inner: PosixFs::default(), stamps: Arc::new(stamps) }
    }

    /// Sets the server's clock forward.
    pub(super) fn set_forward(&self, ahead: Duration) {
        *self.stamps.ahead.lock().unwrap_or_else(PoisonError::into_inner) = ahead;
    }

    fn date(&self) -> SystemTime {
        self.stamps.date()
    }

    fn change(&self, attr: Attr) -> Attr {
        self.stamps.change(attr)
    }

    fn stamped(&self, attr: Attr) -> Attr {
        self.stamps.stamped(attr)
    }

    /// Stamps the file that has this name now.
    fn change_at(&self, path: &Path) {
        if let Ok(attr) = self.inner.stat(path) {
            self.change(attr);
        }
    }

    fn opened(&self, inner: Box<dyn OpenFile>) -> Box<dyn OpenFile> {
        Box::new(ServerFile { inner, stamps: self.stamps.clone() })
    }
}

impl Stamps {
    fn date(&self) -> SystemTime {
        self.clock.wall() + *self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stamps the file with the current time, as every change of an inode does.
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
}

impl Fs for ServerFs {
    fn create(
        &self,
        path: &Path,
        content: &[u8],
        permissions: Option<u32>,
        mtime: &mut dyn FnMut(&Attr) -> SystemTime,
    ) -> io::Result<(Attr, HeldOpen)> {
        let created = |attr: &Attr| self.change(Attr { mtime: self.date(), ..*attr });
        let made = self.inner.create(path, content, permissions, &mut |attr| mtime(&created(attr)));
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

    fn make_dir(&self, path: &Path, entry: &str, permissions: Option<u32>) -> io::Result<()> {
        self.inner.make_dir(path, entry, permissions)?;
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

    fn create_new(
        &self,
        path: &Path,
        content: &[u8],
        permissions: u32,
    ) -> io::Result<Box<dyn OpenFile>> {
        let made = self.opened(self.inner.create_new(path, content, permissions)?);
        made.touch()?;
        Ok(made)
    }

    fn open(&self, path: &Path, for_writing: bool) -> io::Result<Option<Box<dyn OpenFile>>> {
        Ok(self.inner.open(path, for_writing)?.map(|file| self.opened(file)))
    }

    fn stat_lockable(&self, path: &Path) -> io::Result<Attr> {
        self.inner.stat_lockable(path).map(|attr| self.stamped(attr))
    }
}

impl OpenFile for ServerFile {
    fn attributes(&self) -> io::Result<Attr> {
        self.inner.attributes().map(|attr| self.stamps.stamped(attr))
    }

    fn touch(&self) -> io::Result<()> {
        self.file().expect("a real file").set_modified(self.stamps.date())?;
        self.stamps.change(self.inner.attributes()?);
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.inner.try_lock()
    }

    fn unlock(&self) -> io::Result<()> {
        self.inner.unlock()
    }

    fn locker(&self) -> io::Result<Locker> {
        self.inner.locker()
    }

    fn file(&self) -> Option<&File> {
        self.inner.file()
    }
}
