//! Constants of every run.

use std::time::{Duration, SystemTime};

/// The directory that contains all files.
pub(super) const DIR: &str = "/sim";
/// The path of the lock.
pub(super) const PATH: &str = "/sim/L";
/// The path of the other slot, in runs with a set of slots.
pub(super) const OTHER_SLOT: &str = "/sim/M";
/// The prefix of the locks of readers, in runs with readers and writers.
pub(super) const READERS: &str = "/sim/L.read.";
/// The directory of its fencing counter.
pub(super) const FENCE: &str = "/sim/L.fence";
/// The mailbox, in runs with one.
pub(super) const MAILBOX: &str = "/sim/joe";
/// The mailbox's dotlock.
pub(super) const DOTLOCK: &str = "/sim/joe.lock";
/// The lock that guards the removal of another process's dotlock, and the prefix of all names
/// beside it.
pub(super) const BREAKER: &str = "/sim/.joe.break";
/// The prefix of the files that other mail programs link their dotlocks from.
pub(super) const FOREIGN: &str = "/sim/.lk";
/// How long another process's dotlock must be unchanged before it is taken over.
pub(super) const REST: Duration = Duration::from_secs(60);
pub(super) const LIFETIME: Duration = Duration::from_secs(15);
/// The lifetime that a process asks for when it expects to work for long.
pub(super) const LONG_LIFETIME: Duration = Duration::from_secs(300);
pub(super) const SLOP: Duration = Duration::from_secs(10);
/// How long a process may stall: longer than its lease is respected.
pub(super) const STALL: Duration = Duration::from_secs(26);
/// The longest pause between two polls of a lock.
pub(super) const POLL: Duration = Duration::from_secs(4);
/// When the server revokes a delegation that its client does not return: knfsd's lease, plus a
/// client's delay before it asks again.
pub(super) const REVOKED_AFTER: Duration = Duration::from_secs(105);
/// When a content reaches the disk without being synced.
pub(super) const WRITTEN_BACK: Duration = Duration::from_secs(30);
/// How often a local file system's journal is committed.
pub(super) const JOURNAL: Duration = Duration::from_secs(5);
/// A run that takes this many steps is considered endless.
pub(super) const STEPS: usize = 10_000;

/// The server's date when a run begins: no whole second, which is what coarse time stamps show.
pub(super) fn epoch() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789)
}
