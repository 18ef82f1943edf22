//! The configuration of a lock: what its options say, validated.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::model::backoff::{Backoff, Polling};
use crate::model::lease::SEAT_LEASE;
use crate::policy::StalePolicy;

/// The part of [`LockOptions`](crate::LockOptions) that steps of the protocol read.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) stale: StalePolicy,
    pub(crate) clock_slop: Duration,
    pub(crate) polling: Polling,
    pub(crate) retry_errnos: Vec<i32>,
    /// Whether a handle keeps its claim from one tenure to the next.
    pub(crate) keep_claim: bool,
    /// Whether tenures get fencing tokens.
    pub(crate) fencing: bool,
    /// The permissions of claims and counters; `None`: what the umask leaves.
    pub(crate) mode: Option<u32>,
    /// Whether waiters ask holders for wake-up hints, and holders answer.
    pub(crate) wake_hints: bool,
    /// This machine's address for hints, where the mount does not say which one.
    pub(crate) wake_address: Option<Ipv4Addr>,
}

impl Config {
    /// How long processes can be in that many seats, one after another, before all are passed over.
    pub(crate) fn time_of_seats(&self, seats: u32) -> Duration {
        SEAT_LEASE.saturating_add(self.clock_slop).saturating_mul(seats)
    }

    /// Whether the options say that this error of reading a lock file is waited out.
    pub(crate) fn is_to_be_retried(&self, error: &io::Error) -> bool {
        error.raw_os_error().is_some_and(|errno| self.retry_errnos.contains(&errno))
    }

    pub(crate) fn backoff(&self) -> Backoff {
        Backoff::new(self.polling)
    }
}
