//! Leases: how long a holder may act, and for how long a process may act in a seat.

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::error::Error;

/// A shorter lease would expire before a file server has answered.
const SHORTEST: Duration = Duration::from_millis(10);
/// A longer lease would end beyond the time stamps of some file systems.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

/// How long a process may act in a seat, whatever its lifetime is: enough for some ten requests to
/// a server that takes a second for each.
pub(crate) const SEAT_LEASE: Duration = Duration::from_secs(15);

/// How long the holder may act, on this machine's own clock.
///
/// It is counted from *before* the operation that began or extended it, so it never ends later than
/// the mtime that others read.
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

/// Checks that a lease has a length, and an end that file systems can express.
pub(crate) fn check_lifetime(path: &Path, lifetime: Duration) -> Result<(), Error> {
    if !(SHORTEST..=LONGEST).contains(&lifetime) {
        let reason = format!("a lifetime of {lifetime:?} is not between 10 ms and ten years");
        return Err(Error::Invalid { path: path.into(), reason });
    }
    Ok(())
}

/// A time on our clock, or since 1970, as an atomic number can hold it.
pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX) // enough for some 584 years
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
}
