//! What Linux's kernel has, on Android too: a clock that goes on while the machine is suspended, and
//! range locks of an open file description.

use nix::time::ClockId;

pub(super) use nix::fcntl::FcntlArg::{F_OFD_GETLK as GET, F_OFD_SETLK as SET};

pub(super) const SUSPEND_CLOCK: ClockId = ClockId::CLOCK_BOOTTIME;

/// Whether a range lock is the process's rather than that of the file it has opened: then all of them
/// on one file go as soon as the process closes it once, by whatever descriptor.
pub(super) const IS_OF_PROCESS: bool = false;
