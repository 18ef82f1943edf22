//! Systems without what [Linux](super) has: nothing wakes a waiter, and it polls.

pub(crate) mod handoff_queue;
pub(crate) mod inotify;
pub(crate) mod wake_fd;
