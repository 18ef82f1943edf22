//! Time: leases, and the one clock that they are judged by, the file server's.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::error::Error;

/// Less than this, and a lease is over before a file server has answered.
const SHORTEST: Duration = Duration::from_millis(10);
/// Where time stamps of file systems end, this is too long.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

/// For how long one clock can stand for another: crystals differ by some 50 ppm, which is 3 ms.
const GOOD_FOR: Duration = Duration::from_secs(60);

/// For how long the holder may act, on this machine's own clock.
///
/// It is counted from *before* the operation that began or extended it, so it never ends later
/// than the mtime that others read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) ends: Duration,
}

impl Lease {
    pub(crate) fn remaining(&self, now: Duration) -> Duration {
        self.ends.saturating_sub(now)
    }

    pub(crate) fn runs(&self, now: Duration) -> bool {
        now < self.ends
    }
}

/// The server's clock, known from the ctime that it stamped on a file of ours, and carried on by
/// our own monotonic clock. The machines' ideas of the date do not matter.
#[derive(Debug, Default)]
pub(crate) struct ServerClock {
    sample: Mutex<Option<Sample>>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    stamped: SystemTime,
    /// The stamp was made between these two moments of our own clock.
    before: Duration,
    after: Duration,
}

impl ServerClock {
    /// The server stamped this time on a file between the two moments. What came last counts:
    /// the server's clock may have been set.
    pub(crate) fn set(&self, stamped: SystemTime, before: Duration, after: Duration) {
        let mut sample = self.sample.lock().unwrap_or_else(PoisonError::into_inner);
        *sample = Some(Sample { stamped, before, after });
    }

    /// The least that it can be on the server now: whoever judges another's lease uses this, and
    /// is never early.
    pub(crate) fn earliest(&self, now: Duration) -> Option<SystemTime> {
        let sample = self.sample()?;
        sample.stamped.checked_add(now.saturating_sub(sample.after))
    }

    /// The most that it can be on the server now: whoever sets the end of its own lease uses this,
    /// so that nobody finds it ended early. (But for less than the resolution of the server's time
    /// stamps, from a clock tick to two seconds, for which the slop is there.)
    pub(crate) fn latest(&self, now: Duration) -> Option<SystemTime> {
        let sample = self.sample()?;
        sample.stamped.checked_add(now.saturating_sub(sample.before))
    }

    /// Whether it was asked for so long ago that it had better be asked for again.
    pub(crate) fn is_old(&self, now: Duration) -> bool {
        self.sample().is_none_or(|sample| now.saturating_sub(sample.after) >= GOOD_FOR)
    }

    fn sample(&self) -> Option<Sample> {
        *self.sample.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lease must have a length, and an end that file systems can express.
pub(crate) fn check_lifetime(path: &Path, lifetime: Duration) -> Result<(), Error> {
    if !(SHORTEST..=LONGEST).contains(&lifetime) {
        let reason = format!("a lifetime of {lifetime:?} is not between 10 ms and ten years");
        return Err(Error::Invalid { path: path.into(), reason });
    }
    Ok(())
}

/// A time on our clock, or since 1970, as an atomic number can hold it.
pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX) // in some 584 years
}

/// A date as [`nanoseconds`].
pub(crate) fn since_epoch(time: SystemTime) -> u64 {
    nanoseconds(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_lease_runs_until_its_end() {
        let lease = Lease { ends: seconds(15) };
        assert!(lease.runs(seconds(14)));
        assert!(!lease.runs(seconds(15)));
        assert_eq!(lease.remaining(seconds(5)), seconds(10));
        assert_eq!(lease.remaining(seconds(50)), Duration::ZERO);
    }

    #[test]
    fn the_server_clock_is_bounded_from_both_sides() {
        let clock = ServerClock::default();
        assert_eq!(clock.earliest(seconds(1)), None);
        let noon = SystemTime::UNIX_EPOCH + seconds(1_000_000);
        clock.set(noon, seconds(10), seconds(13)); // a slow request
        assert_eq!(clock.earliest(seconds(20)), Some(noon + seconds(7)));
        assert_eq!(clock.latest(seconds(20)), Some(noon + seconds(10)));
    }
}
