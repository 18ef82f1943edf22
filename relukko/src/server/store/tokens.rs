//! Fencing tokens: numbers that grow from one tenure of a lock to the next.
//!
//! One counter serves all locks of the directory: the name of an empty file in `.relukko/tokens`. To
//! draw a token is to rename that file from N to N+1, which succeeds for one server only. It is drawn
//! once the lock is taken, and counts only if the lock is still the same tenure's after that; so of two
//! tenures of a lock the later one has the higher token. Numbers may be skipped, since a rename may have
//! succeeded although its answer was lost.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::records;

/// The directory of the counter, inside that of the records.
const DIR: &str = "tokens";
/// How often to try: only other servers get in the way, each with a token of its own.
const ATTEMPTS: usize = 100;

#[derive(Debug)]
pub(crate) struct Tokens {
    dir: PathBuf,
    /// The last number that we know of.
    last: Mutex<u64>,
}

impl Tokens {
    pub(crate) fn new(records: &Path) -> Tokens {
        Tokens { dir: records.join(DIR), last: Mutex::new(0) }
    }

    /// A number that is higher than all that were drawn before. It is on the disk.
    pub(crate) fn draw(&self) -> io::Result<u64> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..ATTEMPTS {
            match fs::rename(self.file(*last), self.file(*last + 1)) {
                Ok(()) => {
                    *last += 1;
                    records::sync(&self.dir)?;
                    return Ok(*last);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    *last = self.highest(*last)?.max(*last);
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other(format!("the counter in {} changes too often", self.dir.display())))
    }

    /// The number that the counter shows. If there is none, it is made, with this number.
    fn highest(&self, start: u64) -> io::Result<u64> {
        let listed = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make(start)?;
                fs::read_dir(&self.dir)?
            }
            listed => listed?,
        };
        let mut highest = None;
        for entry in listed {
            let number = entry?.file_name().to_str().and_then(|name| name.parse().ok());
            highest = highest.max(number);
        }
        // An entry may be missed while it is renamed.
        Ok(highest.unwrap_or(start))
    }

    /// Puts a directory with a counter in its place, unless another server has just done so: over a
    /// directory that is not empty nothing can be renamed.
    fn make(&self, start: u64) -> io::Result<()> {
        let name = format!("{DIR}.{}{}", uuid::Uuid::new_v4().simple(), records::HALF);
        let draft = self.dir.with_file_name(name);
        fs::create_dir(&draft)?;
        let made = File::create_new(draft.join(start.to_string()))
            .and_then(|_| fs::rename(&draft, &self.dir))
            .and_then(|()| records::sync(self.dir.parent().unwrap_or(&self.dir)));
        if made.is_err() {
            let _ = fs::remove_dir_all(&draft); // otherwise it is swept
        }
        match made {
            Err(_) if self.dir.exists() => Ok(()),
            made => made,
        }
    }

    fn file(&self, number: u64) -> PathBuf {
        self.dir.join(number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_servers_get_the_same_token() {
        let dir = tempfile::tempdir().unwrap();
        let drawn: Vec<Vec<u64>> = std::thread::scope(|scope| {
            let server = || {
                let tokens = Tokens::new(dir.path());
                (0..50).map(|_| tokens.draw().unwrap()).collect()
            };
            let servers: Vec<_> = (0..4).map(|_| scope.spawn(server)).collect();
            servers.into_iter().map(|server| server.join().unwrap()).collect()
        });
        assert!(drawn.iter().all(|own| own.is_sorted()));
        let all: HashSet<_> = drawn.iter().flatten().collect();
        assert_eq!((all.len(), all.contains(&0)), (200, false));
        assert_eq!(Tokens::new(dir.path()).draw().unwrap(), 201);
    }

    #[test]
    fn a_counter_that_was_removed_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(dir.path());
        assert_eq!((tokens.draw().unwrap(), tokens.draw().unwrap()), (1, 2));
        fs::remove_dir_all(dir.path().join(DIR)).unwrap();
        assert_eq!(tokens.draw().unwrap(), 3);
    }

    #[test]
    fn other_files_are_no_counters() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(dir.path());
        tokens.draw().unwrap();
        for name in ["x", "-5", "7x", ".swp"] {
            File::create(dir.path().join(DIR).join(name)).unwrap();
        }
        assert_eq!(Tokens::new(dir.path()).draw().unwrap(), 2);
    }
}
