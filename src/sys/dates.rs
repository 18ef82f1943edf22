//! Whether a file system keeps the dates that are set on files; a lease depends on it.

use std::fmt;
use std::io;
use std::time::{Duration, SystemTime};

use nix::errno::Errno;

/// The coarsest date resolution supported, which is FAT's. On such a file system leases are written
/// this much longer.
pub(crate) const COARSEST: Duration = Duration::from_secs(2);

/// How much older than the moment at which it was made a time stamp may be: one in whole seconds
/// comes from a file system that keeps no more.
pub(crate) fn coarseness(stamped: SystemTime) -> Duration {
    let since_epoch = stamped.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    if since_epoch.subsec_nanos() == 0 { COARSEST } else { Duration::ZERO }
}

/// The latest date that every file system can store: in 2038, the end of 32-bit dates.
const SURELY_KEPT: Duration = Duration::from_secs(i32::MAX as u64);

/// Why a file does not have the date that was set.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DateNotKept {
    /// Setting it reported success, but the file has a different date.
    Changed { set: SystemTime, kept: SystemTime },
    /// No date can be set.
    Refused(Errno),
}

impl fmt::Display for DateNotKept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (set, kept) = match self {
            DateNotKept::Changed { set, kept } => (set, kept),
            DateNotKept::Refused(errno) => return write!(f, "{}", io::Error::from(*errno)),
        };
        let off = set.duration_since(*kept).or_else(|_| kept.duration_since(*set));
        let off = off.unwrap_or_default().as_secs_f64();
        let which = if kept < set { "earlier" } else { "later" };
        write!(f, "one is {off:.1} s {which} than it was set to")
    }
}

impl std::error::Error for DateNotKept {}

/// Whether `kept` is what a file system may make of `date`: not earlier, except for a loss of less
/// than a microsecond, and not later than rounding explains.
pub(crate) fn is_kept(kept: SystemTime, date: SystemTime) -> bool {
    let earlier = date.duration_since(kept).unwrap_or_default();
    let later = kept.duration_since(date).unwrap_or_default();
    earlier < Duration::from_micros(1) && later <= 2 * COARSEST
}

/// Whether only some file systems can store this date.
pub(super) fn is_far_off(date: SystemTime) -> bool {
    date.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|since| since > SURELY_KEPT)
}
