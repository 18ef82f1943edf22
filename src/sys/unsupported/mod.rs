//! Systems without the features of [Linux](super): nothing can wake a waiter, so it polls.

pub(crate) mod handoff_queue;
pub(crate) mod inotify;
pub(super) mod mount_table;
#[cfg(test)]
mod process_tests;
pub(super) mod statfs;
pub(crate) mod udp;
pub(crate) mod wake_fd;

/// Other systems do not provide all that a proof of death takes, even if they have a /proc.
pub(super) const HAS_PROOF: bool = false;

/// Without a queue, and with nothing that wakes it, each waiter polls.
#[cfg(test)]
pub(crate) const HAS_QUEUE: bool = false;
