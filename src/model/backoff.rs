//! How a waiter polls a lock that another process holds: ever more slowly, with jitter.
//!
//! A pause is about a quarter of the wait before it, so a release is noticed an eighth of the hold
//! later on average; and there are only some thirty polls before the longest pause.

use std::time::Duration;

/// The bounds of a waiter's pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Polling {
    pub(crate) first: Duration,
    pub(crate) cap: Duration,
}

/// The pauses of one waiter.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    cap: Duration,
}

impl Backoff {
    pub(crate) fn new(polling: Polling) -> Backoff {
        Backoff { next: polling.first, cap: polling.cap }
    }

    /// How long to wait until the next poll. `random` spreads the waiters of one lock, which would
    /// otherwise all poll at once.
    pub(crate) fn pause(&mut self, random: u64) -> Duration {
        let full = self.next;
        self.next = (full * 5 / 4).min(self.cap);
        #[allow(clippy::cast_precision_loss)] // any fraction will do
        let fraction = random as f64 / u64::MAX as f64;
        full.mul_f64(0.5 + fraction / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_cap_and_are_spread() {
        let polling = Polling { first: Duration::from_millis(4), cap: Duration::from_millis(100) };
        let mut backoff = Backoff::new(polling);
        assert_eq!(backoff.pause(0), Duration::from_millis(2));
        assert_eq!(backoff.pause(u64::MAX), Duration::from_millis(5));
        for _ in 0..30 {
            backoff.pause(0);
        }
        assert_eq!(backoff.pause(u64::MAX), polling.cap);
        assert_eq!(backoff.pause(0), polling.cap / 2);
    }
}
