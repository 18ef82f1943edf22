//! When a worker in a guest held a lock, told so that tenures from different guests can be
//! compared, whatever their clocks say; and the check that no two held it at once.

use std::{
    fmt::{self, Display},
    time::{Duration, SystemTime},
};

use linklock::LockGuard;

use crate::{lab, shared::Shared};

/// How a worker's report begins that it held the lock while another did.
pub(crate) const WITNESSED: &str = "witnessed";

/// A tenure as the worker sees it while it runs. It is reported as it stands, as often as need be.
pub(crate) struct Running {
    from: u64,
    /// When the lease was last seen to run, and for how much longer.
    lease: (u64, Duration),
    until: Option<u64>,
}

impl Running {
    /// The lock is known to be ours.
    pub(crate) fn begin(guard: &LockGuard) -> Running {
        let from = lab::shared().ticket();
        Running { from, lease: (from, guard.remaining()), until: None }
    }

    /// Looks at how long the lease is now, if it runs. The ticket comes first, so that a stall in
    /// between makes the lease shorter than it is and never longer.
    pub(crate) fn look(&mut self, guard: &LockGuard) {
        let now = lab::shared().ticket();
        let left = guard.remaining();
        if !left.is_zero() {
            self.lease = (now, left);
        }
    }

    /// The lock is about to be given back.
    pub(crate) fn end(mut self, guard: &LockGuard) -> Running {
        self.look(guard);
        self.until = Some(lab::shared().ticket());
        self
    }
}

impl Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (vm, (seen, left)) = (lab::vm(), self.lease);
        write!(f, "tenure {vm} {} {seen} {}", self.from, left.as_millis())?;
        self.until.map_or(Ok(()), |until| write!(f, " {until}"))
    }
}

/// A ticket, and when it was drawn by the host's clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moment {
    ticket: u64,
    pub(crate) time: SystemTime,
}

/// A tenure that is over.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tenure {
    pub(crate) vm: String,
    pub(crate) from: Moment,
    /// Just before it was given back; `None` if that never happened.
    pub(crate) until: Option<Moment>,
    /// By the host's clock; rather too early than too late.
    pub(crate) lease_ends: SystemTime,
}

impl Tenure {
    fn lived_at(&self, moment: Moment) -> bool {
        self.from.ticket < moment.ticket
            && self.until.is_none_or(|until| moment.ticket < until.ticket)
            && moment.time < self.lease_ends
    }

    fn parse(line: &str, shared: &Shared) -> Option<Tenure> {
        let (vm, numbers) = line.strip_prefix("tenure ")?.split_once(' ')?;
        let numbers: Vec<u64> = numbers.split(' ').map(|word| word.parse().unwrap()).collect();
        let [from, seen, left, until @ ..] = &numbers[..] else { return None };
        let moment = |ticket| Moment { ticket, time: shared.time_of(ticket) };
        Some(Tenure {
            vm: vm.to_owned(),
            from: moment(*from),
            until: until.first().copied().map(moment),
            lease_ends: shared.time_of(*seen) + Duration::from_millis(*left),
        })
    }
}

/// The tenures among what workers have reported.
pub(crate) fn among<'a>(
    reports: impl IntoIterator<Item = &'a String>,
    shared: &Shared,
) -> Vec<Tenure> {
    reports.into_iter().filter_map(|line| Tenure::parse(line, shared)).collect()
}

/// Every two tenures of which the second began while the first one's lease ran and it was not
/// given back: none, if there was mutual exclusion.
pub(crate) fn overlaps(tenures: &[Tenure]) -> Vec<(Tenure, Tenure)> {
    let mut found = Vec::new();
    for first in tenures {
        let overlapping = tenures.iter().filter(|second| first.lived_at(second.from));
        found.extend(overlapping.map(|second| (first.clone(), second.clone())));
    }
    found
}

/// The times from one tenure's end to the next one's beginning, for those that change between
/// clients, and for those that stay on one: shortest first.
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

#[test]
fn the_checker_finds_overlaps_and_nothing_else() {
    // One ticket a second.
    let moment =
        |ticket| Moment { ticket, time: SystemTime::UNIX_EPOCH + Duration::from_secs(ticket) };
    let tenure = |from, until: Option<u64>, lease_ends| Tenure {
        vm: "c1".to_owned(),
        from: moment(from),
        until: until.map(moment),
        lease_ends: moment(lease_ends).time,
    };
    let in_turn = [tenure(10, Some(20), 25), tenure(21, None, 30), tenure(31, Some(40), 50)];
    assert_eq!(overlaps(&in_turn), []);
    // One whose lease is over may be succeeded, though it doesn't know yet.
    assert_eq!(overlaps(&[tenure(10, Some(40), 20), tenure(21, Some(30), 35)]), []);
    let [late, long, early] =
        [tenure(25, Some(26), 99), tenure(10, Some(30), 99), tenure(12, Some(13), 99)];
    let found = [(long.clone(), late.clone()), (long.clone(), early.clone())];
    assert_eq!(overlaps(&[late, long, early]), found);
    let dead = tenure(10, None, 30);
    assert_eq!(overlaps(&[dead.clone(), tenure(29, Some(30), 50)]).len(), 1);
}
