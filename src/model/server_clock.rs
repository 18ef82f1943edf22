//! The file server's clock, the one that leases are checked against, and what was observed without it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::sys::dates::coarseness;
use crate::sys::fs::FileId;

/// How long one clock can stand for another: crystals differ by some 50 ppm, which is 3 ms in that
/// time.
const GOOD_FOR: Duration = Duration::from_secs(60);

/// The server's clock, known from the ctime that it stamped on a file of ours, and carried on by
/// our own monotonic clock. The machines' own dates do not matter.
#[derive(Debug, Default)]
pub(crate) struct ServerClock {
    known: Mutex<Known>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    sample: Option<Sample>,
    /// The time that it was set forward to, as far as that was noticed.
    jumped_to: Option<SystemTime>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    stamped: SystemTime,
    /// The stamp was made between these two moments of our own clock.
    before: Duration,
    after: Duration,
}

impl ServerClock {
    /// The server stamped this time on a file between the two moments. The last stamp counts, since
    /// the server's clock may have been set. If it was set forward by more than `tolerance`, dates
    /// from before show nothing about how long ago they were written. A coarse stamp seems to jump
    /// whenever it moves on, so that a jump by no more than its coarseness is not noticed.
    pub(crate) fn set(
        &self,
        stamped: SystemTime,
        before: Duration,
        after: Duration,
        tolerance: Duration,
    ) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let expected =
            known.sample.and_then(|sample| sample.at_most(after)?.checked_add(tolerance));
        if expected.is_some_and(|expected| expected < stamped) {
            known.jumped_to = Some(stamped);
        }
        known.sample = Some(Sample { stamped, before, after });
    }

    /// The time that the server's clock was last set forward to, as far as that was noticed.
    pub(crate) fn jumped_to(&self) -> Option<SystemTime> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).jumped_to
    }

    /// Whether a time that the server stamped on a file can be compared with the server's time now:
    /// not if its clock has jumped forward in between.
    pub(crate) fn is_comparable(&self, stamped: SystemTime) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.jumped_to.is_none_or(|jumped_to| jumped_to <= stamped)
    }

    /// The earliest time that it can be on the server now. A process that checks another's lease
    /// uses this, so that the check is never early.
    pub(crate) fn earliest(&self, now: Duration) -> Option<SystemTime> {
        let sample = self.sample()?;
        sample.stamped.checked_add(now.saturating_sub(sample.after))
    }

    /// The latest time that it can be on the server now. A process that sets the end of its own
    /// lease uses this, so that no other process finds the lease expired early. (Except by less
    /// than a clock tick, which the slop covers.) Where stamps are coarse, another process may have
    /// missed a jump by that much, so the lease is that much longer.
    pub(crate) fn latest(&self, now: Duration) -> Option<SystemTime> {
        let sample = self.sample()?;
        sample.at_most(now)?.checked_add(coarseness(sample.stamped))
    }

    /// Whether the last stamp is so old that a new one had better be requested.
    pub(crate) fn is_old(&self, now: Duration) -> bool {
        self.sample().is_none_or(|sample| now.saturating_sub(sample.after) >= GOOD_FOR)
    }

    fn sample(&self) -> Option<Sample> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).sample
    }
}

impl Sample {
    /// The latest time that it can be on the server at that moment, unless its clock was set.
    fn at_most(&self, now: Duration) -> Option<SystemTime> {
        let since = now.saturating_sub(self.before).saturating_add(coarseness(self.stamped));
        self.stamped.checked_add(since)
    }
}

/// A file that had the same date in one observation after another, timed by our own clock, which is
/// not affected when another clock is set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ObservedDate {
    id: FileId,
    date: SystemTime,
    /// The time after the first observation.
    since: Duration,
    /// The time before the last observation.
    pub(crate) until: Duration,
}

impl ObservedDate {
    pub(crate) fn begin(id: FileId, date: SystemTime, after: Duration) -> ObservedDate {
        ObservedDate { id, date, since: after, until: after }
    }

    pub(crate) fn is(&self, id: FileId, date: SystemTime) -> bool {
        self.id == id && self.date == date
    }

    pub(crate) fn is_of(&self, id: FileId) -> bool {
        self.id == id
    }

    pub(crate) fn unchanged_for(&self) -> Duration {
        self.until.saturating_sub(self.since)
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// A stamp of a clock that keeps more than seconds.
    fn noon() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000_001)
    }

    fn coarse(time: Duration, unit: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + seconds(time.as_secs() / unit * unit)
    }

    #[test]
    fn the_server_clock_is_bounded_from_both_sides() {
        let clock = ServerClock::default();
        assert_eq!(clock.earliest(seconds(1)), None);
        let noon = noon();
        clock.set(noon, seconds(10), seconds(13), seconds(2)); // a slow request
        assert_eq!(clock.earliest(seconds(20)), Some(noon + seconds(7)));
        assert_eq!(clock.latest(seconds(20)), Some(noon + seconds(10)));
    }

    #[test]
    fn a_jump_forward_counts_only_beyond_the_tolerance() {
        let clock = ServerClock::default();
        let noon = noon();
        clock.set(noon, seconds(10), seconds(10), seconds(2));
        clock.set(noon + seconds(12), seconds(20), seconds(20), seconds(2));
        assert!(clock.is_comparable(noon), "two seconds too many are tolerated");
        clock.set(noon + seconds(25), seconds(30), seconds(30), seconds(2));
        assert!(!clock.is_comparable(noon + seconds(24)));
        assert!(clock.is_comparable(noon + seconds(25)), "stamped by the clock as it is now");
        clock.set(noon, seconds(40), seconds(40), seconds(2));
        assert!(!clock.is_comparable(noon), "a clock that is set back makes no date comparable");
    }

    /// Every so many milliseconds.
    fn times(range: Range<u64>, step: usize) -> impl Iterator<Item = Duration> + Clone {
        range.step_by(step).map(Duration::from_millis)
    }

    #[test]
    fn a_coarse_clock_does_not_jump() {
        for unit in [1, 2] {
            let clock = ServerClock::default();
            for now in times(0..100_000, 70) {
                clock.set(coarse(now, unit), now, now, Duration::from_millis(250));
                assert!(clock.is_comparable(SystemTime::UNIX_EPOCH), "{now:?} by {unit} s");
                assert!(clock.earliest(now) <= Some(SystemTime::UNIX_EPOCH + now));
                assert!(clock.latest(now) >= Some(SystemTime::UNIX_EPOCH + now));
            }
        }
    }

    /// A lease is written before the jump. The process that checks it has learned the time before,
    /// too, and learns it again now.
    #[test]
    fn a_jump_that_a_coarse_clock_hides_ends_no_lease_early() {
        let (tolerance, now) = (Duration::from_millis(250), seconds(20));
        let mut hidden = 0;
        for unit in [1, 2] {
            // The file system cuts the date of a lease, too. (One by two seconds is written later.)
            let cut = if unit == 1 { seconds(1) } else { Duration::ZERO };
            for jump in times(0..7000, 130) {
                for (one, other) in
                    times(10_000..12_000, 70).zip(times(10_000..12_000, 190).cycle())
                {
                    let (holder, checker) = (ServerClock::default(), ServerClock::default());
                    holder.set(coarse(one, unit), one, one, tolerance);
                    checker.set(coarse(other, unit), other, other, tolerance);
                    checker.set(coarse(now + jump, unit), now, now, tolerance);
                    if checker.is_comparable(SystemTime::UNIX_EPOCH) {
                        hidden += 1;
                        let written = holder.latest(now).unwrap() - cut;
                        assert!(checker.earliest(now).unwrap() <= written + tolerance, "{jump:?}");
                    }
                }
            }
        }
        assert!(hidden > 500, "only {hidden} jumps were hidden");
    }
}
