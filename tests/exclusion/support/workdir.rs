//! Where workers work: a directory for the locks, and others for what the processes record.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The directories of one group of workers.
#[derive(Clone, Debug)]
pub(crate) struct Workdir {
    root: PathBuf,
}

impl Workdir {
    pub(crate) fn at(root: &Path) -> Workdir {
        let workdir = Workdir { root: root.to_owned() };
        for dir in ["locks", "witnesses", "histories"] {
            fs::create_dir_all(root.join(dir)).expect("a directory can be made");
        }
        workdir
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A directory for each lock: it contains only the lock file, and what the protocol puts beside
    /// it.
    pub(crate) fn lock(&self, number: usize) -> PathBuf {
        let dir = self.root.join("locks").join(number.to_string());
        fs::create_dir_all(&dir).expect("a directory can be made");
        dir.join("lock")
    }

    pub(crate) fn witness(&self, number: usize) -> PathBuf {
        self.root.join("witnesses").join(number.to_string())
    }

    /// Where the fencing token of the last tenure stands.
    pub(crate) fn last_token(&self, number: usize) -> PathBuf {
        self.root.join(format!("last-token-{number}"))
    }

    pub(crate) fn history(&self, place: usize) -> PathBuf {
        self.root.join("histories").join(place.to_string())
    }

    /// Tells all processes to stop once they hold nothing.
    pub(crate) fn close(&self) {
        File::create(self.root.join("closed")).expect("a file can be made");
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.root.join("closed").exists()
    }

    /// Whether a claim of this process is in a seat: whether it was taking over a lock.
    pub(crate) fn has_seated(&self, pid: u32) -> bool {
        let Ok(dirs) = fs::read_dir(self.root.join("locks")) else { return false };
        let files = dirs.flatten().filter_map(|dir| fs::read_dir(dir.path()).ok()).flatten();
        let claim = format!("|{pid}|");
        files.flatten().any(|file| {
            file.file_name().to_string_lossy().contains("|break|")
                && fs::read_to_string(file.path()).is_ok_and(|content| content.contains(&claim))
        })
    }

    /// All files of a lock: itself, claims, seats.
    pub(crate) fn files_of(&self, lock: usize) -> Vec<PathBuf> {
        let lock = self.lock(lock);
        let entries = fs::read_dir(lock.parent().expect("it has one")).expect("it is there");
        entries.map(|entry| entry.expect("it can be read").path()).collect()
    }
}

/// A directory for workers, removed when it is dropped, on the file system of `LINKLOCK_TEST_DIR`,
/// or of the build.
pub(crate) fn temporary() -> TempDir {
    let parent = env::var_os("LINKLOCK_TEST_DIR");
    let parent = parent.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
    tempfile::tempdir_in(parent).expect("a directory can be made")
}
