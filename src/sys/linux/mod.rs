//! Features that only Linux has: inotify(7), sockets in the abstract namespace, and what is built
//! on them.

mod fd_passing;
pub(crate) mod handoff_queue;
pub(crate) mod inotify;
mod unshared;
pub(crate) mod wake_fd;
