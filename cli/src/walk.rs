//! Walking through all that is below a directory.

use std::fmt::Display;
use std::fs::Metadata;
use std::path::{Path, PathBuf};

use walkdir::{IntoIter, WalkDir};

use crate::exit::{self, Failure};
use crate::message::say;

/// The plain files below a directory. What can't be read is told, and passed over.
pub(crate) struct Walk {
    entries: IntoIter,
    failed: bool,
}

impl Walk {
    pub(crate) fn below(dir: &Path) -> Walk {
        Walk { entries: WalkDir::new(dir).into_iter(), failed: false }
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

    /// A file that is gone by now is none that would have to be told.
    fn passed_over(&mut self, error: &walkdir::Error) {
        let is_gone = error.depth() > 0
            && error.io_error().is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound);
        if !is_gone {
            self.failed(error);
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

    /// What to exit with.
    pub(crate) fn end(self) -> u8 {
        if self.failed { exit::SYSTEM } else { 0 }
    }
}
