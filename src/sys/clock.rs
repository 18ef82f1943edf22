//! The machine's clocks, see clock_gettime(2).

use std::time::{Duration, SystemTime};

use nix::time::clock_gettime;

use super::kernel::SUSPEND_CLOCK;

/// Time since a fixed moment of this boot. Where the system has a suitable clock, it includes time
/// spent suspended.
pub(crate) fn since_boot() -> Duration {
    Duration::from(clock_gettime(SUSPEND_CLOCK).expect("a clock that every supported kernel has"))
}

/// The current date.
pub(crate) fn date() -> SystemTime {
    SystemTime::now()
}

/// Blocks the calling thread.
pub(crate) fn sleep(time: Duration) {
    std::thread::sleep(time);
}
