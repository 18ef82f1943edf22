//! Fencing tokens: numbers that grow from one tenure of a lock to the next.
//!
//! One counter serves all locks of the directory: the name of an empty file in `.relukko/tokens`, which
//! is `LAST.LIMIT`. A server that draws a token renames that file: from 7.1000 to 8.1000, if it was the
//! last to do so, and otherwise to 1001.2000. A rename succeeds for one server only. A token is drawn
//! once the lock is taken, and counts only if the lock is still the same tenure's after that; so of two
//! tenures of a lock the later one has the higher token.
//!
//! Only a new limit is synced, before the first token below it is used: no token is higher than the
//! limit that survives a power failure, and the server that finds that limit then was not the last to
//! draw, since it was restarted, or finds another name than the one it left. So numbers are skipped, as
//! they are when a rename has succeeded although its answer was lost.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::durable::sync;
use super::records::HALF;

/// The directory of the counter, inside that of the records.
const DIR: &str = "tokens";
/// How many tokens a server draws for each sync.
const BLOCK: u64 = 1000;
/// How often to try: only other servers get in the way, each with a token of its own.
const ATTEMPTS: usize = 100;

#[derive(Debug)]
pub(crate) struct Tokens {
    dir: PathBuf,
    known: Mutex<Known>,
}

/// The counter that we know of.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    counter: Counter,
    /// Whether this server made it, limit and all.
    is_ours: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Counter {
    last: u64,
    limit: u64,
}

impl Tokens {
    pub(crate) fn new(records: &Path) -> Tokens {
        Tokens { dir: records.join(DIR), known: Mutex::default() }
    }

    /// A number that is higher than all that were drawn before, also after a power failure.
    pub(crate) fn draw(&self) -> io::Result<u64> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..ATTEMPTS {
            let Known { counter, is_ours } = *known;
            let next = if is_ours && counter.last < counter.limit {
                counter.step()
            } else {
                counter.next_block()
            };
            match fs::rename(self.file(counter), self.file(next)) {
                Ok(()) => {
                    if next.limit != counter.limit {
                        sync(&self.dir)?;
                    }
                    *known = Known { counter: next, is_ours: true };
                    return Ok(next.last);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    *known = Known { counter: self.shown(counter)?, is_ours: false };
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other(format!("the counter in {} changes too often", self.dir.display())))
    }

    /// The counter in the directory. If there is none, it is made from the one that we know of.
    fn shown(&self, known: Counter) -> io::Result<Counter> {
        let listed = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make(known)?;
                fs::read_dir(&self.dir)?
            }
            listed => listed?,
        };
        let mut highest = None;
        for entry in listed {
            highest = highest.max(entry?.file_name().to_str().and_then(Counter::parse));
        }
        // An entry may be missed while it is renamed.
        Ok(highest.unwrap_or(known))
    }

    /// Puts a directory with a counter in its place, unless another server has just done so: over a
    /// directory that is not empty nothing can be renamed.
    fn make(&self, start: Counter) -> io::Result<()> {
        let name = format!("{DIR}.{}{HALF}", uuid::Uuid::new_v4().simple());
        let draft = self.dir.with_file_name(name);
        fs::create_dir(&draft)?;
        let made = File::create_new(draft.join(start.name()))
            .and_then(|_| fs::rename(&draft, &self.dir))
            .and_then(|()| sync(self.dir.parent().unwrap_or(&self.dir)));
        if made.is_err() {
            let _ = fs::remove_dir_all(&draft); // otherwise it is swept
        }
        match made {
            Err(_) if self.dir.exists() => Ok(()),
            made => made,
        }
    }

    fn file(&self, counter: Counter) -> PathBuf {
        self.dir.join(counter.name())
    }
}

impl Counter {
    fn parse(name: &str) -> Option<Counter> {
        let (last, limit) = name.split_once('.')?;
        Some(Counter { last: last.parse().ok()?, limit: limit.parse().ok()? })
    }

    fn name(self) -> String {
        format!("{}.{}", self.last, self.limit)
    }

    fn step(self) -> Counter {
        Counter { last: self.last + 1, ..self }
    }

    fn next_block(self) -> Counter {
        let first = self.limit + 1;
        Counter { last: first, limit: self.limit + BLOCK }
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
        let all: HashSet<_> = drawn.iter().flatten().copied().collect();
        assert_eq!((all.len(), all.contains(&0)), (200, false));
        assert!(Tokens::new(dir.path()).draw().unwrap() > all.into_iter().max().unwrap());
    }

    #[test]
    fn servers_that_take_turns_draw_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let servers = [0; 2].map(|_| Tokens::new(dir.path()));
        let turns = [0, 0, 1, 0, 1, 1, 1, 0, 0];
        let drawn: Vec<_> = turns.into_iter().map(|turn| servers[turn].draw().unwrap()).collect();
        assert!(drawn.is_sorted_by(|one, next| one < next), "{drawn:?}");
    }

    #[test]
    fn one_server_skips_no_number() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(dir.path());
        for number in 1..=3 * BLOCK + 1 {
            assert_eq!(tokens.draw().unwrap(), number);
        }
    }

    /// All renames are lost but those that were synced: the counter is where its block began.
    #[test]
    fn a_counter_that_a_power_failure_has_set_back_repeats_no_token() {
        let dir = tempfile::tempdir().unwrap();
        let before = Tokens::new(dir.path());
        let show = |number: u64| {
            let counter =
                fs::read_dir(dir.path().join(DIR)).unwrap().next().unwrap().unwrap().path();
            let limit = counter.extension().unwrap().to_str().unwrap();
            fs::rename(&counter, counter.with_file_name(format!("{number}.{limit}"))).unwrap();
        };
        let last = (0..BLOCK + 70).map(|_| before.draw().unwrap()).last().unwrap();
        show(BLOCK + 1);
        let restarted = Tokens::new(dir.path()).draw().unwrap();
        assert!(restarted > last, "{restarted} after {last}");
        // A server may outlive the file server's power failure.
        show(restarted - 1);
        let on_its_own = before.draw().unwrap();
        assert!(on_its_own > restarted, "{on_its_own} after {restarted}");
    }

    #[test]
    fn a_counter_that_was_removed_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(dir.path());
        assert_eq!((tokens.draw().unwrap(), tokens.draw().unwrap()), (1, 2));
        fs::remove_dir_all(dir.path().join(DIR)).unwrap();
        assert!(tokens.draw().unwrap() > 2);
    }

    #[test]
    fn other_files_are_no_counters() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(dir.path());
        tokens.draw().unwrap();
        for name in ["x", "-5.1", "7.x", ".swp", "7", "2.5.8"] {
            File::create(dir.path().join(DIR).join(name)).unwrap();
        }
        assert_eq!(tokens.draw().unwrap(), 2);
        assert_eq!(Tokens::new(dir.path()).draw().unwrap(), BLOCK + 1);
    }
}
