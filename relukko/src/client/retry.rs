//! How often, and after which delays, a failed request is retried.

use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub(super) struct Retry {
    pub(super) tries: u32,
    pub(super) delay: Duration,
    pub(super) backoff: f64,
    pub(super) max_delay: Duration,
}

/// The delays before further attempts, each longer than the last.
#[derive(Clone, Debug)]
pub(super) struct Retries {
    options: Retry,
    left: u32,
    delay: f64,
}

impl Retries {
    pub(super) fn new(options: Retry) -> Retries {
        Retries { options, left: options.tries - 1, delay: options.delay.as_secs_f64() }
    }

    /// The next delay; `None` after the last attempt.
    pub(super) fn next(&mut self) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        Some(self.next_of_any_number())
    }

    /// The next delay, regardless of the number of attempts.
    pub(super) fn next_of_any_number(&mut self) -> Duration {
        let most = self.options.max_delay;
        let delay = Duration::try_from_secs_f64(self.delay).unwrap_or(most).min(most);
        self.delay *= self.options.backoff;
        delay
    }
}
