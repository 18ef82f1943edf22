//! What Linux's kernel offers, on Android too: a clock that keeps running while the machine is
//! suspended, and range locks on an open file description.

use nix::time::ClockId;

pub(super) use nix::fcntl::FcntlArg::{F_OFD_GETLK as GET, F_OFD_SETLK as SET};

pub(super) const SUSPEND_CLOCK: ClockId = ClockId::CLOCK_BOOTTIME;

/// Whether a range lock belongs to the process rather than to the open file description. If so, all
/// of the process's locks on a file are released as soon as it closes any descriptor of that file.
pub(super) const IS_OF_PROCESS: bool = false;
