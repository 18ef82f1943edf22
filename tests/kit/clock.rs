//! Clocks: the one that all processes share, and those that tests set, where an hour takes no time.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use linklock::{Clock, SystemClock};
use nix::time::{ClockId, clock_gettime};

/// The time since boot: the same in every process, and never set.
pub(crate) fn now() -> Duration {
    #[cfg(target_os = "linux")]
    let clock = ClockId::CLOCK_BOOTTIME;
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::CLOCK_MONOTONIC;
    clock_gettime(clock).expect("every system has such a clock").into()
}

/// Advances only when a sleep or a test advances it.
#[derive(Debug, Default)]
pub(crate) struct ManualClock {
    now: Mutex<Duration>,
}

impl ManualClock {
    pub(crate) fn new() -> Arc<ManualClock> {
        Arc::default()
    }

    pub(crate) fn advance(&self, time: Duration) {
        *self.now.lock().unwrap() += time;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        *self.now.lock().unwrap()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, time: Duration) {
        self.advance(time);
    }
}

/// The machine's own clock, until it is set forward.
#[derive(Debug, Default)]
pub(crate) struct JumpingClock {
    ahead: Mutex<Duration>,
}

impl JumpingClock {
    pub(crate) fn jump(&self, time: Duration) {
        *self.ahead.lock().unwrap() += time;
    }
}

impl Clock for JumpingClock {
    fn now(&self) -> Duration {
        SystemClock.now() + *self.ahead.lock().unwrap()
    }

    fn wall(&self) -> SystemTime {
        SystemClock.wall()
    }

    fn sleep(&self, time: Duration) {
        SystemClock.sleep(time);
    }
}

/// The clock of a machine that has another date, and was booted at another time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OtherClock {
    pub(crate) wrong: Wrong,
    /// The beginning of its count, which must not matter either.
    pub(crate) count: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Wrong {
    Right,
    Fast(Duration),
    Slow(Duration),
}

impl Clock for OtherClock {
    fn now(&self) -> Duration {
        SystemClock.now() + self.count
    }

    fn wall(&self) -> SystemTime {
        match self.wrong {
            Wrong::Right => SystemClock.wall(),
            Wrong::Fast(by) => SystemClock.wall() + by,
            Wrong::Slow(by) => SystemClock.wall() - by,
        }
    }

    fn sleep(&self, time: Duration) {
        SystemClock.sleep(time);
    }
}
