//! Waiting on one machine: who waits is woken by the kernel, in order, and nobody waits for ever.
//!
//! The waiters here poll once in an hour: what they notice, they have heard.

mod forked;
mod order;
mod trouble;

use std::path::Path;
use std::time::Duration;

use linklock::{Lock, LockOptions};

/// Longer than a test may take.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A lock whose waiters only listen.
pub(crate) fn by_ear(path: &Path) -> LockOptions {
    Lock::options(path).lifetime(HOUR).polling(HOUR, HOUR)
}

/// Whether `count` processes have a claim on the lock, its holder's among them.
pub(crate) fn claims(path: &Path, count: usize) -> bool {
    crate::kit::beside(path).len() == count
}
