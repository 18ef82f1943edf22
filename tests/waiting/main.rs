//! Waiting on one machine: who waits is woken by the kernel, in order, and nobody waits for ever.
//!
//! The waiters here poll once in an hour: what they notice, they have heard.
#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
mod common;

mod forked;
mod order;
mod trouble;

use std::path::Path;
use std::time::Duration;

use linklock::{Lock, Options};

/// Longer than a test may take.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A lock whose waiters only listen.
pub(crate) fn by_ear(path: &Path) -> Options {
    Lock::options(path).lifetime(HOUR).polling(HOUR, HOUR)
}

/// Whether `count` processes have a claim on the lock, its holder's among them.
pub(crate) fn claims(path: &Path, count: usize) -> bool {
    common::beside(path).len() == count
}

/// Not a test: the other process of tests that need one.
#[test]
#[ignore = "started by tests as another process"]
fn worker() {
    common::worker::work();
}
