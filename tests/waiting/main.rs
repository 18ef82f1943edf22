//! Waiting on one machine: who waits is woken by the kernel, in order, and nobody waits for ever.
//!
//! The waiters here poll once in an hour: what they notice, they have heard.
#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
mod common;

mod order;
mod trouble;

use std::time::Duration;

use linklock::{Lock, Options};

/// Longer than a test may take.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A lock whose waiters only listen.
pub(crate) fn by_ear(path: &std::path::Path) -> Options {
    Lock::options(path).lifetime(HOUR).polling(HOUR, HOUR)
}

/// Whether `count` processes have a claim on the lock, its holder's among them.
pub(crate) fn claims(path: &std::path::Path, count: usize) -> bool {
    common::beside(path).len() == count
}

/// The name of a lock's queue, in the abstract namespace.
pub(crate) fn queue(path: &std::path::Path) -> String {
    use std::os::unix::fs::MetadataExt;
    let dir = std::fs::metadata(path.parent().unwrap()).unwrap();
    let name = path.file_name().unwrap().as_encoded_bytes();
    let parts = [dir.dev().to_le_bytes().as_slice(), &dir.ino().to_le_bytes(), name].concat();
    let hash = parts.iter().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    });
    format!("linklock-{hash:016x}")
}

/// How many sockets of a lock's queue there are: one that listens, and one for each in line. (Those
/// in line have two ends until they are accepted, of which only the listening one has the name.)
pub(crate) fn in_line(path: &std::path::Path) -> usize {
    let queue = format!("@{}", queue(path));
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
    sockets.lines().filter(|line| line.ends_with(&queue)).count()
}

/// Not a test: the other process of tests that need one.
#[test]
#[ignore = "started by tests as another process"]
fn worker() {
    common::worker::work();
}
