//! What a test has its processes do. A setup has a name, by which a process finds its own.

use std::time::Duration;

use linklock::StalePolicy;

use crate::support::witness::Rule;

/// Whose protocol the workers follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Linklock(StalePolicy),
    Flufl,
}

/// What the workers contend for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Locks by themselves.
    Locks,
    /// A slot of a set of so many.
    Slots(u32),
    /// Locks of readers and writers: a worker is now one, now the other.
    RwLocks,
}

/// A group of workers. Each has one thread for each lock, so all of them contend for every lock; or
/// so many threads that each contend for any slot of a set.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) name: &'static str,
    pub(crate) protocol: Protocol,
    pub(crate) processes: usize,
    pub(crate) locks: usize,
    pub(crate) shape: Shape,
    /// Whether each process claims to be on a host of its own: then none can be proven dead, as
    /// with processes of many machines, and only leases count.
    pub(crate) hosts_of_their_own: bool,
    /// Whether a handle keeps its claim from one tenure to the next.
    pub(crate) keep_claim: bool,
    /// Whether tenures get fencing tokens.
    pub(crate) fencing: bool,
    pub(crate) lifetime: Duration,
    pub(crate) slop: Duration,
    /// The least and the longest pause between two looks at a lock.
    pub(crate) polling: (Duration, Duration),
    /// How long a tenure is: the least and the most.
    pub(crate) hold: (Duration, Duration),
    /// How long a holder waits at most until it wants the lock again. Every second time it does so
    /// at once.
    pub(crate) rest: Duration,
    pub(crate) mishaps: Mishaps,
}

/// What goes wrong, and how often.
#[derive(Debug)]
pub(crate) struct Mishaps {
    /// The share of tenures that are ended by SIGKILL.
    pub(crate) killed_holding: f64,
    /// The share of tenures that stall until their lease is over.
    pub(crate) stalled: f64,
    /// The share of steps in a takeover after which the process dies.
    pub(crate) killed_breaking: f64,
    /// How long a process lives at most, until it is killed at whatever it is doing.
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
