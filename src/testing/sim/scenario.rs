//! What a run consists of: the processes with their workloads and machines, and what may go wrong.

use std::time::Duration;

use super::actor::Actor;
use super::constants::SLOP;
use super::faults::{Caching, Faults};
use super::safety_checker::MailboxUse;
use crate::policy::StalePolicy;

/// The workload of a process.
pub(super) type Workload = fn(&Actor);

/// A process's name, its machine and its workload.
pub(super) type Participant = (&'static str, usize, Workload);

#[allow(clippy::struct_excessive_bools)] // the choices are independent
#[derive(Clone)]
pub(super) struct Scenario {
    pub(super) parts: Vec<Participant>,
    /// The processes that start after a machine has rebooted.
    pub(super) after_boot: Vec<Participant>,
    /// Each machine's uptime when the run begins, and the error of its date, in seconds.
    pub(super) clients: Vec<(u64, i64)>,
    /// Whether all machines have the same host name, as clones do.
    pub(super) one_name: bool,
    pub(super) policy: StalePolicy,
    /// The policies of single machines, where they differ.
    pub(super) policies: Vec<(usize, StalePolicy)>,
    /// The clock slops of single machines, where they differ from [`SLOP`].
    pub(super) slops: Vec<(usize, Duration)>,
    /// Threads, each with the process that it belongs to: they share its memory, and its death.
    pub(super) threads: Vec<(&'static str, &'static str)>,
    /// The longest lifetime that a workload asks for.
    pub(super) lifetime: Duration,
    /// Whether handles keep their claims from one tenure to the next.
    pub(super) keep_claim: bool,
    /// Whether acquisitions get fencing tokens.
    pub(super) fencing: bool,
    /// Whether waiters ask holders for wake-up hints.
    pub(super) wake_hints: bool,
    /// A local file system: no caches, and no lost replies.
    pub(super) local: bool,
    pub(super) faults: Faults,
    pub(super) caching: Caching,
    /// Whether a listing of the directory may be out of date.
    pub(super) stale_lists: bool,
    /// The time within which a request is executed unless it waits for a delegation: D of
    /// `guide::safety`.
    pub(super) delay: Duration,
    /// The resolution of the server's time stamps.
    pub(super) resolution: Duration,
    /// Whether a dead client may have a delegation of an inode that its process has just changed,
    /// which recalls all existing delegations: see `a_reader_in_the_last_moment` in `mutants`.
    pub(super) delegates_late: bool,
    /// How a mailbox is locked in place of the lock, if one is.
    pub(super) mailbox: Option<MailboxUse>,
    /// Whether a process contends for a set of slots.
    pub(super) slots: bool,
    /// Whether processes are readers and writers.
    pub(super) readers: bool,
    /// How the run begins, before the schedule takes over.
    pub(super) prefix: Vec<Act>,
}

impl Scenario {
    /// When the processes of a machine take over a lock.
    pub(super) fn policy_on(&self, client: usize) -> StalePolicy {
        let own = self.policies.iter().find(|(machine, _)| *machine == client);
        own.map_or(self.policy, |(_, policy)| *policy)
    }

    /// How long after its end the processes of a machine respect a lease.
    pub(super) fn slop_on(&self, client: usize) -> Duration {
        let own = self.slops.iter().find(|(machine, _)| *machine == client);
        own.map_or(SLOP, |(_, slop)| *slop)
    }

    fn slops(&self) -> impl Iterator<Item = Duration> {
        (0..=self.clients.len()).map(|client| self.slop_on(client))
    }

    pub(super) fn shortest_slop(&self) -> Duration {
        self.slops().min().unwrap_or(SLOP)
    }

    pub(super) fn longest_slop(&self) -> Duration {
        self.slops().max().unwrap_or(SLOP)
    }

    /// The most processes that a run can have, with the next contender and the sweeper.
    pub(super) fn processes(&self) -> usize {
        self.parts.len() + self.after_boot.len() + 2
    }
}

/// One step of a prefix.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// This process proceeds until it is about to make this request, given as a trace would show
    /// it: the verb, and what the rest of the line mentions.
    Before(&'static str, &'static str, &'static str),
    /// This process proceeds until that request has been executed, but has not got the answer.
    After(&'static str, &'static str, &'static str),
    /// This process proceeds until it pauses.
    Park(&'static str),
    /// This process proceeds until it has ended.
    Ends(&'static str),
    /// The pending request of this process fails with EIO, without being executed.
    Fails(&'static str),
    /// The server loses the contents that are not on its disk yet.
    LosesContents,
    /// The server's clock is set by this many seconds.
    SetsServer(i64),
    /// This many seconds pass.
    Seconds(u64),
}
