//! Systems without the features of [Linux](super): nothing can wake a waiter, so it polls.

pub(crate) mod handoff_queue;
pub(crate) mod inotify;
pub(crate) mod wake_fd;
