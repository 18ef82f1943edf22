//! A clock that tests set: an hour takes no time.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use linklock::Clock;

/// Goes on only when somebody sleeps by it, or when it is told to.
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
