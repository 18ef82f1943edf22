//! What is the same in every run.

use std::time::{Duration, SystemTime};

/// The directory that all is in.
pub(super) const DIR: &str = "/sim";
/// The lock's file in every run.
pub(super) const PATH: &str = "/sim/L";
/// The directory of its fencing tokens' counter.
pub(super) const FENCE: &str = "/sim/L.fence";
/// The mailbox, in runs with one.
pub(super) const MAILBOX: &str = "/sim/joe";
/// Its dotlock.
pub(super) const DOTLOCK: &str = "/sim/joe.lock";
/// The lock that is taken to remove another's dotlock, and how all names beside it begin.
pub(super) const BREAKER: &str = "/sim/.joe.break";
/// How the names begin that other mail programs give their files before they are dotlocks.
pub(super) const FOREIGN: &str = "/sim/.lk";
/// For how long another's dotlock must rest before it is taken over.
pub(super) const REST: Duration = Duration::from_secs(60);
pub(super) const LIFETIME: Duration = Duration::from_secs(15);
/// That of a process which expects to work for long.
pub(super) const LONG_LIFETIME: Duration = Duration::from_secs(300);
pub(super) const SLOP: Duration = Duration::from_secs(10);
/// For how long a process may stand still: longer than its lease is respected.
pub(super) const STALL: Duration = Duration::from_secs(26);
/// The longest pause between two looks at a lock.
pub(super) const POLL: Duration = Duration::from_secs(4);
/// After which time the server revokes a delegation whose client does not give it back: knfsd's
/// lease, and what a client waits before it asks again.
pub(super) const REVOKED_AFTER: Duration = Duration::from_secs(105);
/// After which time a content is on the disk, although nobody has asked for that.
pub(super) const WRITTEN_BACK: Duration = Duration::from_secs(30);
/// How often a local file system's journal is committed.
pub(super) const JOURNAL: Duration = Duration::from_secs(5);
/// A run that goes on for so many steps never ends.
pub(super) const STEPS: usize = 10_000;

/// The server's date when a run begins.
pub(super) fn epoch() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}
