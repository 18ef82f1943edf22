//! Other kernels: a clock that may stop while the machine is suspended (it goes on in macOS and
//! OpenBSD), and range locks of a process.

use nix::time::ClockId;

pub(super) use nix::fcntl::FcntlArg::{F_GETLK as GET, F_SETLK as SET};

pub(super) const SUSPEND_CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;

/// Whether a range lock is the process's rather than that of the file it has opened: then all of them
/// on one file go as soon as the process closes it once, by whatever descriptor.
pub(super) const IS_OF_PROCESS: bool = true;
