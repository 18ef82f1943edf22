//! Walks through all files below a directory, and identifies those that belong to locks.

use std::ffi::OsStr;
use std::fmt::Display;
use std::fs::{Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use walkdir::{IntoIter, WalkDir};

use crate::exit::{self, Failure};
use crate::output::say;

/// The regular files below a directory. Unreadable directories and files are reported and skipped.
pub(crate) struct Walk {
    entries: IntoIter,
    failed: bool,
}

impl Walk {
    pub(crate) fn below(dir: &Path) -> Result<Walk, Failure> {
        if let Err(error) = dir.read_dir() {
            let message = format!("cannot read the directory {}: {error}", dir.display());
            return Err(Failure::new(exit::CANNOT_CREATE, message));
        }
        Ok(Walk { entries: WalkDir::new(dir).into_iter(), failed: false })
    }

    pub(crate) fn next_file(&mut self) -> Option<(PathBuf, Metadata)> {
        loop {
            match self.entries.next()? {
                Ok(entry) if !entry.file_type().is_file() => {}
                Ok(entry) => match entry.metadata() {
                    Ok(meta) => return Some((entry.into_path(), meta)),
                    Err(error) => self.passed_over(&error),
                },
                Err(error) => self.passed_over(&error),
            }
        }
    }

    /// Reports a skipped file, unless it is gone by now.
    fn passed_over(&mut self, error: &walkdir::Error) {
        let is_gone = error.depth() > 0
            && error.io_error().is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound);
        if !is_gone {
            let path = error.path().unwrap_or(Path::new("a directory")).display();
            match error.io_error() {
                Some(cause) => self.failed(&format!("failed to read {path}: {cause}")),
                None => self.failed(error), // a loop of symbolic links
            }
        }
    }

    pub(crate) fn failed(&mut self, error: &dyn Display) {
        say(error);
        self.failed = true;
    }

    pub(crate) fn failed_with(&mut self, failure: Failure) {
        failure.report();
        self.failed = true;
    }

    /// The exit code.
    pub(crate) fn end(self) -> u8 {
        if self.failed { exit::SYSTEM } else { 0 }
    }
}

/// The lock that a file with this name may belong to: the part before the separator, which does not
/// occur in a lock's own name.
pub(crate) fn lock_of<'a>(name: &'a OsStr, separator: &[u8]) -> Option<&'a OsStr> {
    let name = name.as_bytes();
    let end = name.windows(separator.len()).position(|at| at == separator)?;
    (end > 0).then(|| OsStr::from_bytes(&name[..end]))
}

/// The beginning of a regular file, read so that it does no harm if the file has been replaced by
/// something else.
pub(crate) fn start_of(path: &Path, length: u64) -> io::Result<Vec<u8>> {
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let mut content = Vec::new();
    file.take(length).read_to_end(&mut content)?;
    Ok(content)
}
