//! What a test has its processes do: known by name, so that a process can be told.

use std::time::Duration;

use linklock::StalePolicy;

use crate::support::witness::Rule;

/// Whose protocol to keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Linklock(StalePolicy),
    Flufl,
}

/// A workers of processes. Each has one thread for each lock, so all of them contend for every lock.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) name: &'static str,
    pub(crate) protocol: Protocol,
    pub(crate) processes: usize,
    pub(crate) locks: usize,
    /// Whether each process calls itself a host of its own: then nobody can prove another dead,
    /// as where processes of many machines meet, and only leases count.
    pub(crate) hosts_of_their_own: bool,
    pub(crate) lifetime: Duration,
    pub(crate) slop: Duration,
    /// The least and the longest pause between two looks at a lock.
    pub(crate) polling: (Duration, Duration),
    /// How long a tenure is: the least and the most.
    pub(crate) hold: (Duration, Duration),
    /// How long a holder waits until it wants the lock again, unless it does so at once, as every
    /// second time: at most.
    pub(crate) rest: Duration,
    pub(crate) mishaps: Mishaps,
}

/// What goes wrong, and how often.
#[derive(Debug)]
pub(crate) struct Mishaps {
    /// Of all tenures, how many are ended by SIGKILL.
    pub(crate) killed_holding: f64,
    /// Of all tenures, how many stall until their lease is over.
    pub(crate) stalled: f64,
    /// Of all steps of those who break a lock, how many are the last.
    pub(crate) killed_breaking: f64,
    /// For how long a process lives at most, until it is killed whatever it does.
    pub(crate) life: Option<Duration>,
}

impl Setup {
    pub(crate) fn rule(&self) -> Rule {
        match self.protocol {
            Protocol::Linklock(StalePolicy::ExpiredOrDead) => Rule::LeaseOrLife,
            Protocol::Linklock(_) | Protocol::Flufl => Rule::Lease,
        }
    }
}
