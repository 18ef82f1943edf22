//! The scene of a test: a directory with a lock that both share.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use linklock::{Lock, LockOptions};
use tempfile::TempDir;

use super::dialogue::LIMIT;
use super::flufl::Flufl;
use crate::kit::python::python;

/// A short clock slop, to save time.
pub(crate) const SLOP: Duration = Duration::from_millis(500);
/// The same, for [`Flufl`].
pub(crate) const FLUFL_SLOP: &str = "--slop=0.5";

#[derive(Debug)]
pub(crate) struct Scene {
    python: &'static Path,
    dir: TempDir,
    pub(crate) lock: PathBuf,
}

impl Scene {
    /// `None` where no flufl.lock is available.
    pub(crate) fn new() -> Option<Scene> {
        Scene::with_lock("shared.lock")
    }

    pub(crate) fn with_lock(name: &str) -> Option<Scene> {
        let python = python()?;
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let lock = dir.path().join(name);
        Some(Scene { python, dir, lock })
    }

    /// A flufl.lock with the full path of the lock.
    pub(crate) fn flufl(&self, options: &[&str]) -> Flufl {
        Flufl::start(self.python, Path::new("/"), self.lock.as_os_str(), options)
    }

    /// The same, when it holds the lock.
    pub(crate) fn flufl_holding(&self, options: &[&str]) -> Flufl {
        let mut flufl = self.flufl(options);
        flufl.ask("lock").unwrap();
        flufl
    }

    /// Has it unlock, after which nothing is left.
    pub(crate) fn unlock_last(&self, mut flufl: Flufl) {
        flufl.ask("unlock").unwrap();
        self.assert_nothing_is_left();
    }

    /// A flufl.lock with a relative path, at work in the directory of the lock.
    pub(crate) fn flufl_inside(&self, options: &[&str]) -> Flufl {
        let name = self.lock.file_name().expect("it has one");
        Flufl::start(self.python, self.dir.path(), name, options)
    }

    /// Our lock, which waits no longer than a test may take.
    pub(crate) fn ours(&self) -> LockOptions {
        Lock::options(&self.lock)
            .timeout(LIMIT)
            .polling(Duration::from_millis(1), Duration::from_millis(20))
    }

    /// The names in the directory.
    pub(crate) fn left(&self) -> Vec<OsString> {
        let entries = fs::read_dir(self.dir.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    }

    pub(crate) fn assert_nothing_is_left(&self) {
        assert_eq!(self.left(), Vec::<OsString>::new());
    }

    pub(crate) fn mtime(&self) -> SystemTime {
        fs::metadata(&self.lock).unwrap().modified().unwrap()
    }

    /// Makes the holder's lease one that ended long ago.
    pub(crate) fn age(&self) {
        age(&self.lock).unwrap();
    }
}

/// Makes a claim, or a lock file, one that expired an hour ago.
pub(crate) fn age(path: &Path) -> io::Result<()> {
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    File::open(path)?.set_modified(hour_ago)
}

/// Returns once the condition holds.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within {LIMIT:?}");
        thread::sleep(Duration::from_millis(5));
    }
}
