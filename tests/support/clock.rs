//! The one clock that the processes of a test share: what they record can be compared.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Time since boot (`CLOCK_BOOTTIME`): the same in every process, and nobody can set it.
pub(crate) fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has had it since 2.6.39").into()
}
