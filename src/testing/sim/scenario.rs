//! What is run: who does what, on which machine, and what may go wrong.

use std::time::Duration;

use super::actor::Actor;
use super::constants::SLOP;
use super::faults::{Caching, Faults};
use super::safety_checker::MailboxUse;
use crate::policy::StalePolicy;

/// What a process does.
pub(super) type Workload = fn(&Actor);

/// A process's name, its machine and its script.
pub(super) type Participant = (&'static str, usize, Workload);

#[allow(clippy::struct_excessive_bools)] // each is a choice of its own
#[derive(Clone)]
pub(super) struct Scenario {
    pub(super) parts: Vec<Participant>,
    /// Who comes when a machine has been rebooted.
    pub(super) after_boot: Vec<Participant>,
    /// Each machine's uptime when the run begins, and how far its date is off, in seconds.
    pub(super) clients: Vec<(u64, i64)>,
    /// Whether all machines have the same host name, as clones have.
    pub(super) one_name: bool,
    pub(super) policy: StalePolicy,
    /// Those of single machines, in place of that.
    pub(super) policies: Vec<(usize, StalePolicy)>,
    /// The clock slops of single machines, where they differ from [`SLOP`].
    pub(super) slops: Vec<(usize, Duration)>,
    /// Threads, each with the process that it is one of: they share its memory, and its death.
    pub(super) threads: Vec<(&'static str, &'static str)>,
    /// The longest lifetime that a script asks for.
    pub(super) lifetime: Duration,
    /// Whether handles keep their claims from one tenure to the next.
    pub(super) keep_claim: bool,
    /// Whether tenures are numbered.
    pub(super) fencing: bool,
    /// A local file system: no caches, nothing lost.
    pub(super) local: bool,
    pub(super) faults: Faults,
    pub(super) caching: Caching,
    /// Whether the directory may be listed as it was a while ago.
    pub(super) stale_lists: bool,
    /// Within which time a request is executed that waits for no delegation: D of `guide::safety`.
    pub(super) delay: Duration,
    /// The resolution of the server's time stamps.
    pub(super) resolution: Duration,
    /// Whether a dead client may have a delegation of what its process has changed a moment ago,
    /// which recalls all that there are: see `a_reader_in_the_last_moment` in `mutants`.
    pub(super) delegates_late: bool,
    /// Where a mailbox is locked in place of the lock.
    pub(super) mailbox: Option<MailboxUse>,
    /// How the run begins, before the schedule decides.
    pub(super) prefix: Vec<Act>,
}

impl Scenario {
    /// When the processes of a machine take a lock over.
    pub(super) fn policy_on(&self, client: usize) -> StalePolicy {
        let own = self.policies.iter().find(|(machine, _)| *machine == client);
        own.map_or(self.policy, |(_, policy)| *policy)
    }

    /// For how long the processes of a machine respect a lease that is over.
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

    /// How many processes there can be in it, the next contender and the sweeper included.
    pub(super) fn processes(&self) -> usize {
        self.parts.len() + self.after_boot.len() + 2
    }
}

/// One act of a prefix.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// This process goes on until it is about to ask for this: how a trace would begin to say it,
    /// and what it would say of it.
    Before(&'static str, &'static str, &'static str),
    /// This process goes on until that has been executed; it has not been told yet.
    After(&'static str, &'static str, &'static str),
    /// This process goes on until it pauses.
    Park(&'static str),
    /// This process goes on until it has ended.
    Ends(&'static str),
    /// What this process has asked for fails: EIO, and it was not executed.
    Fails(&'static str),
    /// The server loses the contents that are not on its disk.
    LosesContents,
    /// The server's clock is set by so many seconds.
    SetsServer(i64),
    /// So many seconds pass.
    Seconds(u64),
}
