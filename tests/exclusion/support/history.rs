//! Histories: what workers write down about their tenures. Each place among the workers has a file, to which
//! one process at a time appends. A record is a line and one write(2), so that a process which is killed at
//! any moment leaves the history readable.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

/// Every record ends with it: a line without it was being written when its process was killed.
const END: &str = " .";

/// The tokens of tenures that others may share begin with it.
pub(crate) const READER: &str = "read-";

/// How a tenure ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The holder released the lock.
    Released,
    /// The lease ran out, and was renewed: another tenure begins.
    Renewed,
    /// The lease was over, and another process has taken over the lock.
    TakenOver,
    /// The lock was gone while the lease still ran, which must never be.
    Lost,
    /// The holder left the lock behind on purpose.
    Abandoned,
}

/// A line of a history. Times are those of [`now`](crate::kit::clock::now).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// A new process writes from here on.
    Begun,
    /// A tenure of the lock with that number begins. No two tenures have the same token.
    Held {
        lock: usize,
        token: String,
        since: Duration,
        lease_ends: Duration,
        waited: Duration,
    },
    /// The holder is about to release or to renew.
    Ending {
        token: String,
        at: Duration,
    },
    Ended {
        token: String,
        outcome: Outcome,
    },
    /// The process is about to be killed, perhaps in its seat: while it takes over a lock.
    Killed {
        at: Duration,
        seated: bool,
    },
    /// A new holder has found the witness of another.
    Clash {
        lock: usize,
        at: Duration,
        found: String,
        by: String,
    },
    /// A contender was kept from a step for longer than the clock slop: what the lock's safety
    /// rests on did not hold.
    Stalled {
        lock: usize,
        from: Duration,
        to: Duration,
    },
    /// flufl.lock has removed a lock file, between two moments.
    Removed(Removal),
    /// A waiter of flufl.lock has found its claim gone.
    Wedged,
    /// Something went wrong that must not.
    Failed {
        why: String,
    },
}

/// flufl.lock has removed the lock file of one tenure. The lock that it had judged to be stale or, in an
/// unlock, its own, may have been another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Removal {
    pub(crate) meant: String,
    pub(crate) removed: String,
    pub(crate) after: Duration,
    pub(crate) before: Duration,
}

impl Removal {
    pub(crate) fn is_mistake(&self) -> bool {
        self.meant != self.removed
    }
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
            Record::Clash { lock, at, found, by } => {
                write!(f, "clash {lock} {} {found} {by}", at.as_nanos())
            }
            Record::Stalled { lock, from, to } => {
                write!(f, "stalled {lock} {} {}", from.as_nanos(), to.as_nanos())
            }
            Record::Removed(Removal { meant, removed, after, before }) => {
                write!(f, "removed {meant} {removed} {} {}", after.as_nanos(), before.as_nanos())
            }
            Record::Wedged => write!(f, "wedged"),
            Record::Failed { why } => write!(f, "failed {}", why.replace('\n', " ")),
        }
    }
}

impl Record {
    /// Reads a line; `None` if it is not whole.
    pub(crate) fn parse(line: &str) -> Option<Record> {
        let line = line.strip_suffix(END)?;
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words: Vec<&str> = rest.split(' ').collect();
        let text = |word: &&str| (*word).to_owned();
        let time = |word: &str| word.parse().ok().map(Duration::from_nanos);
        Some(match (kind, words.as_slice()) {
            ("begun", _) => Record::Begun,
            ("held", [lock, token, since, lease_ends, waited]) => Record::Held {
                lock: lock.parse().ok()?,
                token: text(token),
                since: time(since)?,
                lease_ends: time(lease_ends)?,
                waited: time(waited)?,
            },
            ("ending", [token, at]) => Record::Ending { token: text(token), at: time(at)? },
            ("ended", [token, outcome]) => {
                Record::Ended { token: text(token), outcome: Outcome::parse(outcome)? }
            }
            ("killed", [at, seated]) => {
                Record::Killed { at: time(at)?, seated: seated.parse().ok()? }
            }
            ("clash", [lock, at, found, by]) => Record::Clash {
                lock: lock.parse().ok()?,
                at: time(at)?,
                found: text(found),
                by: text(by),
            },
            ("stalled", [lock, from, to]) => {
                Record::Stalled { lock: lock.parse().ok()?, from: time(from)?, to: time(to)? }
            }
            ("removed", [meant, removed, after, before]) => Record::Removed(Removal {
                meant: text(meant),
                removed: text(removed),
                after: time(after)?,
                before: time(before)?,
            }),
            ("wedged", _) => Record::Wedged,
            ("failed", _) => Record::Failed { why: rest.to_owned() },
            _ => return None,
        })
    }
}

impl Outcome {
    fn parse(word: &str) -> Option<Outcome> {
        use Outcome::{Abandoned, Lost, Released, Renewed, TakenOver};
        let all = [Released, Renewed, TakenOver, Lost, Abandoned];
        all.into_iter().find(|outcome| format!("{outcome:?}") == word)
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

    /// The records that have come since the last call.
    pub(crate) fn new_records(&mut self) -> Vec<Record> {
        self.file.read_to_end(&mut self.rest).expect("a history can be read");
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.rest.drain(..whole).collect();
        String::from_utf8_lossy(&lines).lines().filter_map(Record::parse).collect()
    }
}
