//! The scratch directory in which the checks run; it is removed at the end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(crate) struct Scratch {
    dir: PathBuf,
}

/// A name that nothing else has, and a short one: what has room for a user's locks has room for it.
pub(crate) fn unique_name() -> String {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanoseconds = time.unwrap_or_default().subsec_nanos();
    format!(".doctor{:x}-{nanoseconds:x}", std::process::id())
}

impl Scratch {
    pub(crate) fn in_dir(dir: &Path) -> io::Result<Scratch> {
        let dir = dir.join(unique_name());
        fs::create_dir(&dir)?;
        Ok(Scratch { dir })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn name(&self) -> &Path {
        Path::new(self.dir.file_name().expect("the directory was created with a name"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// Removes only what the checks have created: files, no directories.
impl Drop for Scratch {
    fn drop(&mut self) {
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let _ = fs::remove_file(entry.path());
        }
        let _ = fs::remove_dir(&self.dir);
    }
}
