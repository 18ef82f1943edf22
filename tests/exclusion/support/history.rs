//! What processes write down about their tenures: one file for each place in the workers, one record
//! a line, each written by one write(2), so that a process killed at any moment leaves it readable.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

/// Every record ends with it: a line without it was being written when its process was killed.
const END: &str = " .";

/// How a tenure ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was released.
    Released,
    /// Its lease ran out, and was renewed: another tenure begins.
    Renewed,
    /// The lease was over, and another has ended it.
    Succeeded,
    /// The lock was gone while the lease still ran: never to happen.
    Robbed,
}

/// A line of a history. Times are those of [`now`](crate::kit::clock::now).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// A new process writes from here on.
    Begun,
    /// The lock with that number is held.
    Held {
        lock: usize,
        token: String,
        since: Duration,
        lease_ends: Duration,
        waited: Duration,
    },
    /// The holder is about to unlock or to renew.
    Ending {
        token: String,
        at: Duration,
    },
    Ended {
        token: String,
        outcome: Outcome,
    },
    /// The process is about to be killed, perhaps in its seat: while it breaks a lock.
    Killed {
        at: Duration,
        seated: bool,
    },
    /// The witness has seen two holders.
    Shared {
        lock: usize,
        at: Duration,
        how: String,
    },
    /// A contender was kept from a step for longer than the clock slop: what the lock's safety
    /// rests on did not hold.
    Stalled {
        lock: usize,
        from: Duration,
        to: Duration,
    },
    /// Something went wrong that must not.
    Failed {
        why: String,
    },
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Record::Begun => write!(f, "begun"),
            Record::Held { lock, token, since, lease_ends, waited } => {
                let [since, ends, waited] = [since, lease_ends, waited].map(Duration::as_nanos);
                write!(f, "held {lock} {token} {since} {ends} {waited}")
            }
            Record::Ending { token, at } => write!(f, "ending {token} {}", at.as_nanos()),
            Record::Ended { token, outcome } => write!(f, "ended {token} {outcome:?}"),
            Record::Killed { at, seated } => write!(f, "killed {} {seated}", at.as_nanos()),
            Record::Shared { lock, at, how } => {
                write!(f, "shared {lock} {} {}", at.as_nanos(), how.replace('\n', " "))
            }
            Record::Stalled { lock, from, to } => {
                write!(f, "stalled {lock} {} {}", from.as_nanos(), to.as_nanos())
            }
            Record::Failed { why } => write!(f, "failed {}", why.replace('\n', " ")),
        }
    }
}

impl Record {
    /// Reads a line; `None` if it is not whole.
    fn parse(line: &str) -> Option<Record> {
        let line = line.strip_suffix(END)?;
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words: Vec<&str> = rest.split(' ').collect();
        let time = |word: &str| word.parse().ok().map(Duration::from_nanos);
        Some(match (kind, words.as_slice()) {
            ("begun", _) => Record::Begun,
            ("held", [lock, token, since, lease_ends, waited]) => Record::Held {
                lock: lock.parse().ok()?,
                token: (*token).to_owned(),
                since: time(since)?,
                lease_ends: time(lease_ends)?,
                waited: time(waited)?,
            },
            ("ending", [token, at]) => Record::Ending { token: (*token).to_owned(), at: time(at)? },
            ("ended", [token, outcome]) => {
                let outcomes =
                    [Outcome::Released, Outcome::Renewed, Outcome::Succeeded, Outcome::Robbed];
                let outcome = outcomes.into_iter().find(|it| format!("{it:?}") == *outcome)?;
                Record::Ended { token: (*token).to_owned(), outcome }
            }
            ("killed", [at, seated]) => {
                Record::Killed { at: time(at)?, seated: seated.parse().ok()? }
            }
            ("shared", [lock, at, how @ ..]) => {
                Record::Shared { lock: lock.parse().ok()?, at: time(at)?, how: how.join(" ") }
            }
            ("stalled", [lock, from, to]) => {
                Record::Stalled { lock: lock.parse().ok()?, from: time(from)?, to: time(to)? }
            }
            ("failed", _) => Record::Failed { why: rest.to_owned() },
            _ => return None,
        })
    }
}

/// A history to write into. Threads may do so at once: `O_APPEND` keeps their records apart.
#[derive(Debug)]
pub(crate) struct History {
    file: File,
}

impl History {
    pub(crate) fn open(path: &Path) -> History {
        let file = OpenOptions::new().create(true).append(true).open(path);
        History { file: file.expect("a history can be opened") }
    }

    pub(crate) fn write(&self, record: &Record) {
        // Begins with a new line: a process before us may have been killed in the middle of one.
        let line = format!("\n{record}{END}\n");
        (&self.file).write_all(line.as_bytes()).expect("a history can be written");
    }
}

/// Reads a history as it grows.
#[derive(Debug)]
pub(crate) struct Reader {
    file: File,
    rest: Vec<u8>,
}

impl Reader {
    pub(crate) fn open(path: &Path) -> Reader {
        drop(History::open(path));
        Reader { file: File::open(path).expect("it was made just now"), rest: Vec::new() }
    }

    /// The records that have come since it was asked last.
    pub(crate) fn fresh(&mut self) -> Vec<Record> {
        self.file.read_to_end(&mut self.rest).expect("a history can be read");
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.rest.drain(..whole).collect();
        String::from_utf8_lossy(&lines).lines().filter_map(Record::parse).collect()
    }
}
