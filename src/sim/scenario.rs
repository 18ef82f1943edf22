//! What is run: who does what, on which machine, and what may go wrong.

use std::time::Duration;

use super::actor::Actor;
use crate::holder::StalePolicy;

/// The lock's file in every run.
pub(super) const PATH: &str = "/sim/L";
/// The directory of its fencing tokens' counter.
pub(super) const FENCE: &str = "/sim/L.fence";
pub(super) const LIFETIME: Duration = Duration::from_secs(15);
pub(super) const SLOP: Duration = Duration::from_secs(10);
/// For how long a process may stand still: longer than its lease is respected.
pub(super) const STALL: Duration = Duration::from_secs(26);
/// The longest pause between two looks at a lock.
pub(super) const POLL: Duration = Duration::from_secs(4);

/// What a process does.
pub(super) type Script = fn(&Actor);

/// A process's name, its machine and its script.
pub(super) type Part = (&'static str, usize, Script);

#[allow(clippy::struct_excessive_bools)] // each is a choice of its own
#[derive(Clone)]
pub(super) struct Scenario {
    pub(super) parts: Vec<Part>,
    /// Who comes when a machine has been rebooted.
    pub(super) after_boot: Vec<Part>,
    /// Each machine's uptime when the run begins, and how far its date is off, in seconds.
    pub(super) clients: Vec<(u64, i64)>,
    /// Whether all machines have the same host name, as clones have.
    pub(super) one_name: bool,
    pub(super) policy: StalePolicy,
    /// Whether handles keep their claims from one tenure to the next.
    pub(super) keep_claim: bool,
    /// Whether tenures are numbered.
    pub(super) fencing: bool,
    /// A local file system: no caches, nothing lost.
    pub(super) local: bool,
    pub(super) faults: Faults,
    pub(super) caching: Caching,
    /// How the run begins, before the schedule decides.
    pub(super) beginning: Vec<Act>,
}

impl Scenario {
    /// How many processes there can be in it, whoever comes last included.
    pub(super) fn processes(&self) -> usize {
        self.parts.len() + self.after_boot.len() + 2
    }
}

/// Of what clients may use what they have cached, although it has changed since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Caching {
    #[default]
    Nothing,
    Names,
    /// Attributes and contents too: nothing is forced from the server.
    Everything,
}

/// What may go wrong in one run, and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults {
    /// A process is killed, where it stands. Its last request may be executed after its death.
    pub(super) crashes: usize,
    /// A process stands still for longer than its lease and the slop.
    pub(super) stalls: usize,
    /// A machine is rebooted: its processes are gone, and so is what it had cached.
    pub(super) reboots: usize,
    /// A request is executed and its reply is lost, as the server's reply cache is: it is executed
    /// again, at once or later, and the second reply counts.
    pub(super) repeats: usize,
    /// The server is restarted: that happens to all requests whose replies are under way.
    pub(super) restarts: usize,
    /// EIO or ESTALE, whether the request was executed or not.
    pub(super) errors: usize,
    /// A machine's date is set, hours forward or back.
    pub(super) clock_steps: usize,
}

/// One act of a beginning that is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// This process goes on until it is about to ask for this: how a trace would begin to say it,
    /// and what it would say of it.
    Before(&'static str, &'static str, &'static str),
    /// This process goes on until that has been executed; it has not been told yet.
    After(&'static str, &'static str, &'static str),
    /// This process goes on until it pauses.
    Pauses(&'static str),
    /// This process goes on until it has ended.
    Ends(&'static str),
    /// So many seconds pass.
    Seconds(u64),
}
