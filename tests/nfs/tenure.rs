//! The history of a lock: when a worker in a guest held it, in such terms that tenures of different guests can
//! be compared, whatever their clocks show.

use std::{
    fmt::{self, Display},
    ops::Range,
    time::{Duration, SystemTime},
};

use linklock::LockGuard;

use crate::{kit::exclusion::overlaps, lab, shared::Shared};

/// The beginning of a report that a worker held the lock while another did.
pub(crate) const WITNESSED: &str = "witnessed";
/// The beginning of a report of a tenure, of one holder alone or of a reader.
const TENURE: &str = "tenure";
const READING: &str = "reading";

/// A tenure as its worker sees it while it lasts. It may be reported at any time.
pub(crate) struct Running {
    reads: bool,
    from: u64,
    /// When the lease was last known to run, and for how much longer.
    lease: (u64, Duration),
    until: Option<u64>,
}

impl Running {
    /// The tenure begins: the lock is known to be ours.
    pub(crate) fn begin(guard: &LockGuard) -> Running {
        let from = lab::shared().ticket();
        Running { reads: false, from, lease: (from, guard.remaining()), until: None }
    }

    /// The same for one that shares the lock with others that read.
    pub(crate) fn begin_to_read(guard: &LockGuard) -> Running {
        Running { reads: true, ..Running::begin(guard) }
    }

    /// Reads how long the lease is now, if it runs. The ticket comes first, so that a stall in
    /// between makes the lease shorter than it is and never longer.
    pub(crate) fn look(&mut self, guard: &LockGuard) {
        let now = lab::shared().ticket();
        let left = guard.remaining();
        if !left.is_zero() {
            self.lease = (now, left);
        }
    }

    /// The tenure ends: the lock is about to be released.
    pub(crate) fn end(mut self, guard: &LockGuard) -> Running {
        self.look(guard);
        self.until = Some(lab::shared().ticket());
        self
    }
}

impl Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (vm, (seen, left)) = (lab::vm(), self.lease);
        let what = if self.reads { READING } else { TENURE };
        write!(f, "{what} {vm} {} {seen} {}", self.from, left.as_millis())?;
        self.until.map_or(Ok(()), |until| write!(f, " {until}"))
    }
}

/// When a ticket was drawn by the host's clock, and the ticket: tickets order what the clock does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    pub(crate) time: SystemTime,
    ticket: u64,
}

/// A tenure that is over.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tenure {
    pub(crate) vm: String,
    /// Whether others that read may hold the lock too.
    pub(crate) reads: bool,
    pub(crate) from: Moment,
    /// Just before the release; `None` if there was none.
    pub(crate) until: Option<Moment>,
    /// By the host's clock; rather too early than too late.
    pub(crate) lease_ends: SystemTime,
}

impl Tenure {
    /// When it surely held the lock: until it was released or its lease ended.
    fn held(&self) -> Range<Moment> {
        let lease_ends = Moment { time: self.lease_ends, ticket: 0 };
        self.from..self.until.map_or(lease_ends, |until| until.min(lease_ends))
    }

    fn parse(line: &str, shared: &Shared) -> Option<Tenure> {
        let (what, rest) = line.split_once(' ')?;
        [TENURE, READING].contains(&what).then_some(())?;
        let (vm, numbers) = rest.split_once(' ')?;
        let numbers: Vec<u64> = numbers.split(' ').map(|word| word.parse().unwrap()).collect();
        let [from, seen, left, until @ ..] = &numbers[..] else { return None };
        let moment = |ticket| Moment { ticket, time: shared.time_of(ticket) };
        Some(Tenure {
            vm: vm.to_owned(),
            reads: what == READING,
            from: moment(*from),
            until: until.first().copied().map(moment),
            lease_ends: shared.time_of(*seen) + Duration::from_millis(*left),
        })
    }
}

/// The tenures among the reports of workers.
pub(crate) fn among<'a>(
    reports: impl IntoIterator<Item = &'a String>,
    shared: &Shared,
) -> Vec<Tenure> {
    reports.into_iter().filter_map(|line| Tenure::parse(line, shared)).collect()
}

/// The pairs of tenures that overlap and must not.
pub(crate) fn overlapping(tenures: &[Tenure]) -> Vec<(&Tenure, &Tenure)> {
    let mut overlaps = overlaps(tenures, Tenure::held);
    overlaps.retain(|(one, other)| !(one.reads && other.reads));
    overlaps
}

/// The times from one tenure's end to the next one's beginning: those between clients, and those on
/// one client, shortest first.
pub(crate) fn handovers(tenures: &[Tenure]) -> [Vec<Duration>; 2] {
    let mut sorted = tenures.to_vec();
    sorted.sort_by_key(|tenure| tenure.from.ticket);
    [false, true].map(|same_client| {
        let mut gaps: Vec<Duration> = sorted
            .windows(2)
            .filter(|pair| (pair[0].vm == pair[1].vm) == same_client)
            .filter_map(|pair| pair[1].from.time.duration_since(pair[0].until?.time).ok())
            .collect();
        gaps.sort();
        gaps
    })
}
