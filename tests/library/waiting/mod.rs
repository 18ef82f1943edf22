//! Waiting on one machine: the kernel wakes the waiters in order, and none waits for ever.
//!
//! The waiters here poll once an hour: whatever they notice, they were woken for.

mod forked;
mod instances;
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
