//! The clock by which leases are measured.

use std::fmt::Debug;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use crate::sys::clock;

/// The clock by which leases are measured; replaceable through
/// [`LockOptions::clock`](crate::LockOptions::clock).
///
/// flufl.lock's counterpart is the `_now` hook, which its users overrode to compensate for clocks
/// that disagree. This library decides expiry in the file server's time, so only tests should need
/// a clock of their own.
///
/// ```
/// use linklock::Clock;
///
/// let clock = linklock::SystemClock;
/// let before = clock.now();
/// clock.sleep(std::time::Duration::from_millis(1));
/// assert!(clock.now() > before);
/// ```
pub trait Clock: Debug + Send + Sync {
    /// Time since some fixed moment. It never goes back, and it advances while the machine is
    /// suspended (`CLOCK_BOOTTIME`, see clock_gettime(2); systems without that use
    /// `CLOCK_MONOTONIC`, which advances then on some of them only, see `docs/portability.md`).
    fn now(&self) -> Duration;
    /// This machine's date. It affects only what [`Lock::state`](crate::Lock::state) and
    /// [`Lock::holder`](crate::Lock::holder) return before the server's time is known.
    fn wall(&self) -> SystemTime;
    /// Blocks the calling thread for `time`.
    fn sleep(&self, time: Duration);
}

/// The machine's own clocks.
///
/// ```
/// use linklock::{Clock, SystemClock};
///
/// assert!(SystemClock.wall() > std::time::UNIX_EPOCH);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// The clock shared by all locks without a clock of their own, which are therefore kept alive by
/// the same threads.
pub(crate) fn system_clock() -> Arc<dyn Clock> {
    static CLOCK: LazyLock<Arc<dyn Clock>> = LazyLock::new(|| Arc::new(SystemClock));
    CLOCK.clone()
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        clock::since_boot()
    }

    fn wall(&self) -> SystemTime {
        clock::date()
    }

    fn sleep(&self, time: Duration) {
        clock::sleep(time);
    }
}
