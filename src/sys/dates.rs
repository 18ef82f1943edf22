//! Whether a file system keeps the dates that are set: a lease is one.

use std::fmt;
use std::io;
use std::time::{Duration, SystemTime};

use nix::errno::Errno;

/// The coarsest that dates may be, those of FAT's: a lease is written by as much longer.
pub(crate) const COARSEST: Duration = Duration::from_secs(2);

/// The last moment that every file system can keep: in 2038, where a date has 32 bits.
const SURELY_KEPT: Duration = Duration::from_secs(i32::MAX as u64);

/// Why a file does not have the date that it was to have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DateNotKept {
    /// Success was reported, and it has another.
    Changed { set: SystemTime, kept: SystemTime },
    /// None can be set.
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

/// Whether a file that has the one date was given the other: never an earlier one, but for what is lost of
/// less than a microsecond, and no later one than comes of rounding.
pub(crate) fn is_kept(kept: SystemTime, date: SystemTime) -> bool {
    let earlier = date.duration_since(kept).unwrap_or_default();
    let later = kept.duration_since(date).unwrap_or_default();
    earlier < Duration::from_micros(1) && later <= 2 * COARSEST
}

/// Whether a date is one that only some file systems have room for.
pub(super) fn is_far_off(date: SystemTime) -> bool {
    date.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|since| since > SURELY_KEPT)
}
