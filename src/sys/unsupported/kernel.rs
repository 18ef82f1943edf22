//! Other kernels: a clock that may stop while the machine is suspended (on macOS and OpenBSD it
//! keeps running), and range locks that belong to the process.

use nix::time::ClockId;

pub(super) use nix::fcntl::FcntlArg::{F_GETLK as GET, F_SETLK as SET};

pub(super) const SUSPEND_CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;

/// Whether a range lock belongs to the process rather than to the open file description. If so, all
/// of the process's locks on a file are released as soon as it closes any descriptor of that file.
pub(super) const IS_OF_PROCESS: bool = true;
