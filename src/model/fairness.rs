//! How a handle lets other waiters go first.
//!
//! A process that releases a lock and takes it again at once is quicker than any waiter can wake up. So
//! a handle that had to wait the last time queues up before it tries; and a handle that locks and
//! unlocks again and again without ever waiting does so now and then, to see whether others wait.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::model::lease::nanoseconds;

/// A handle that locks again within this time after a release leaves a waiter no time to wake up.
const AT_ONCE: Duration = Duration::from_millis(1);
/// How often such a handle checks whether others wait: a few system calls in hundreds.
const ASKS: Duration = Duration::from_millis(10);

/// Hints that have arrived within this time are taken to arrive still.
const HINTS_ARRIVE: Duration = Duration::from_secs(60);
/// Machines that have sent a hint within this time may still want the lock.
const OTHERS_WAIT: Duration = Duration::from_secs(1);

/// What one handle remembers of its last tenures; times in nanoseconds of its clock.
#[derive(Debug, Default)]
pub(crate) struct Fairness {
    has_waited: AtomicBool,
    released_at: AtomicU64,
    asked_at: AtomicU64,
    heard_hint_at: AtomicU64,
}

impl Fairness {
    /// Whether to queue up before the first try.
    pub(crate) fn is_due(&self, now: Duration) -> bool {
        if self.has_waited.load(Ordering::Relaxed) {
            return true;
        }
        let since = |then: &AtomicU64| {
            now.saturating_sub(Duration::from_nanos(then.load(Ordering::Relaxed)))
        };
        let is_due = since(&self.released_at) < AT_ONCE && since(&self.asked_at) >= ASKS;
        if is_due {
            self.asked_at.store(nanoseconds(now), Ordering::Relaxed);
        }
        is_due
    }

    pub(crate) fn acquired(&self, has_waited: bool) {
        self.has_waited.store(has_waited, Ordering::Relaxed);
    }

    /// A question for a wake-up hint, or an answer, has come from another machine.
    pub(crate) fn heard_hint(&self, now: Duration) {
        self.heard_hint_at.store(nanoseconds(now), Ordering::Relaxed);
    }

    /// Whether a free lock may be the turn of a waiter that was woken by a hint: not where no hint
    /// arrives.
    pub(crate) fn leaves_to_hinted(&self, now: Duration) -> bool {
        is_within(&self.heard_hint_at, HINTS_ARRIVE, now)
    }

    /// Whether to see who holds the lock before the first try, since other machines may have asked.
    pub(crate) fn looks_first(&self, now: Duration) -> bool {
        is_within(&self.heard_hint_at, OTHERS_WAIT, now)
    }

    pub(crate) fn released(&self, now: Duration) {
        self.released_at.store(nanoseconds(now), Ordering::Relaxed);
    }
}

/// Whether `then`, if it ever was, is no longer ago than this.
fn is_within(then: &AtomicU64, time: Duration, now: Duration) -> bool {
    match then.load(Ordering::Relaxed) {
        0 => false,
        then => now.saturating_sub(Duration::from_nanos(then)) < time,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_waiter_that_waited_queues_first_until_it_need_not_wait() {
        let fairness = Fairness::default();
        assert!(!fairness.is_due(ms(1000)));
        fairness.acquired(true);
        assert!(fairness.is_due(ms(1000)));
        fairness.acquired(false);
        assert!(!fairness.is_due(ms(1000)));
    }

    #[test]
    fn a_free_lock_is_left_to_hinted_waiters_while_hints_arrive() {
        let fairness = Fairness::default();
        assert!(!fairness.leaves_to_hinted(ms(1)) && !fairness.looks_first(ms(1)));
        fairness.heard_hint(ms(1000));
        assert!(fairness.leaves_to_hinted(ms(60_999)) && !fairness.leaves_to_hinted(ms(61_000)));
        assert!(fairness.looks_first(ms(1_999)) && !fairness.looks_first(ms(2_000)));
    }

    #[test]
    fn a_handle_that_locks_again_at_once_queues_now_and_then() {
        let fairness = Fairness::default();
        let mut asked = 0;
        for tenth in 10_000..11_000 {
            let now = ms(1) / 10 * tenth; // 100 ms in all
            asked += u32::from(fairness.is_due(now));
            fairness.released(now);
        }
        assert_eq!(asked, 10);
        fairness.released(ms(2000));
        assert!(!fairness.is_due(ms(2001)), "a waiter has had time to wake up");
    }
}
