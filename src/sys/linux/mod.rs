//! Features that only Linux has: inotify(7), sockets in the abstract namespace, and code built on
//! them.

mod fd_passing;
pub(crate) mod handoff_queue;
pub(crate) mod inotify;
mod inotify_pool;
pub(super) mod mount_table;
#[cfg(test)]
mod process_tests;
pub(super) mod statfs;
pub(crate) mod udp;
mod unshared;
pub(crate) mod wake_fd;

/// Whether proc(5) has all that a proof of death takes.
pub(super) const HAS_PROOF: bool = true;

/// Whether the waiters of a host have a queue, and are woken.
#[cfg(test)]
pub(crate) const HAS_QUEUE: bool = true;
