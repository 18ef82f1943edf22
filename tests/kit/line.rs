//! The queue of one machine's waiters, as the kernel shows it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::geteuid;

/// The name of a lock's queue, in the abstract namespace.
pub(crate) fn queue(path: &Path) -> String {
    queue_of(path, geteuid().as_raw())
}

/// The name of another user's queue.
pub(crate) fn queue_of(path: &Path, user: u32) -> String {
    let dir = std::fs::metadata(path.parent().unwrap()).unwrap();
    let name = path.file_name().unwrap().as_encoded_bytes();
    let parts = [dir.dev().to_le_bytes().as_slice(), &dir.ino().to_le_bytes(), name].concat();
    let hash = parts.iter().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    });
    format!("linklock-{user}-{hash:016x}")
}

/// How many sockets a lock's queue has: one that listens, and one for each waiter in line. (A
/// connection has two ends until it is accepted, of which only the listening one has the name.)
pub(crate) fn in_line(path: &Path) -> usize {
    let queue = format!("@{}", queue(path));
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
    sockets.lines().filter(|line| line.ends_with(&queue)).count()
}
