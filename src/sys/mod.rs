//! The operating system: all system calls are made in this module.
//!
//! [`fs`] is the file system as the protocol sees it, and [`process`] the processes. Linux-only
//! features are in `linux`, their replacements on other systems in `unsupported`. This file is the
//! only place that chooses between the two.

mod attributes;
pub(crate) mod clock;
pub(crate) mod dates;
pub(crate) mod errno;
pub(crate) mod fs;
pub(crate) mod hint_socket;
pub(crate) mod linker;
pub(crate) mod mutex;
pub(crate) mod os_str;
pub(crate) mod posix;
mod posix_file;
pub(crate) mod proc;
pub(crate) mod process;
pub(crate) mod range_lock;
pub(crate) mod users;

#[cfg_attr(all(target_os = "linux", not(linklock_unsupported)), path = "linux/mod.rs")]
#[cfg_attr(not(all(target_os = "linux", not(linklock_unsupported))), path = "unsupported/mod.rs")]
mod os;

// These depend on the C library too.
#[cfg_attr(
    all(
        target_os = "linux",
        any(target_env = "gnu", target_env = "musl"),
        not(linklock_unsupported)
    ),
    path = "linux/statx.rs"
)]
#[cfg_attr(
    not(all(
        target_os = "linux",
        any(target_env = "gnu", target_env = "musl"),
        not(linklock_unsupported)
    )),
    path = "unsupported/statx.rs"
)]
mod statx;

// These depend on the kernel alone, which Android shares.
#[cfg_attr(
    all(any(target_os = "linux", target_os = "android"), not(linklock_unsupported)),
    path = "linux/kernel.rs"
)]
#[cfg_attr(
    not(all(any(target_os = "linux", target_os = "android"), not(linklock_unsupported))),
    path = "unsupported/kernel.rs"
)]
mod kernel;

#[cfg(test)]
pub(crate) use os::HAS_QUEUE;
pub(crate) use os::{handoff_queue, inotify, udp, wake_fd};
