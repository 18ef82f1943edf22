//! The clock that leases are measured on.

use std::fmt::Debug;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use crate::sys::clock;

/// The clock that leases are measured on; replaceable through
/// [`LockOptions::clock`](crate::LockOptions::clock).
///
/// flufl.lock's counterpart is the `_now` hook, which its users overrode to make up for clocks
/// that disagree. Here expiry is judged in the file server's time, so only tests should have
/// reason to bring a clock of their own.
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
    /// Time since some fixed moment: never goes back, and goes on while the machine is suspended
    /// (`CLOCK_BOOTTIME`, see clock_gettime(2); on systems that have none `CLOCK_MONOTONIC`, which
    /// goes on in some of them only, see `docs/portability.md`).
    fn now(&self) -> Duration;
    /// This machine's idea of the date. It decides nothing but what
    /// [`Lock::state`](crate::Lock::state) says before the server's time is known.
    fn wall(&self) -> SystemTime;
    /// Blocks the calling thread.
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

/// The one that all locks share which bring none of their own: they are kept alive by the same
/// threads.
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
