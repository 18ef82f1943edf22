//! All histories taken together: which tenure held which lock when, and what must never be seen of a lock.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use crate::kit::exclusion::overlaps;
use crate::support::history::{Outcome, READER, Record, Removal};
use crate::support::witness::Rule;

/// One tenure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tenure {
    pub(crate) lock: usize,
    pub(crate) token: String,
    pub(crate) since: Duration,
    lease_ends: Duration,
    waited: Duration,
    ending: Option<Duration>,
    outcome: Option<Outcome>,
    killed: Option<Duration>,
}

impl Tenure {
    /// When it surely held the lock. None of this ends too late: `ending` was read before the unlock, `killed`
    /// before the signal, and a lease ends whether its holder lives or not.
    pub(crate) fn held(&self, rule: Rule) -> Range<Duration> {
        let until = match (self.ending, self.killed) {
            (Some(ending), _) => ending,
            (None, Some(killed)) if rule == Rule::LeaseOrLife => killed,
            (None, _) => self.lease_ends,
        };
        self.since..until.min(self.lease_ends)
    }

    pub(crate) fn began_to_end_after(&self, moment: Duration) -> bool {
        self.ending.is_some_and(|ending| ending > moment)
    }

    pub(crate) fn was_released(&self) -> bool {
        self.outcome == Some(Outcome::Released)
    }

    /// Whether the two may not hold a lock at the same time.
    fn excludes(&self, other: &Tenure) -> bool {
        !(self.token.starts_with(READER) && other.token.starts_with(READER))
    }

    /// Whether its holder left the lock for others to take over. A holder that was killed in the middle of an
    /// unlock may have released the lock or not, and does not count.
    fn was_left(&self) -> bool {
        match self.outcome {
            Some(outcome) => matches!(outcome, Outcome::TakenOver | Outcome::Abandoned),
            None => self.ending.is_none() && self.killed.is_some(),
        }
    }
}

impl fmt::Display for Tenure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tenure { token, since, lease_ends, waited, ending, outcome, killed, .. } = self;
        write!(f, "{token} (waited {waited:?}, held since {since:?}, lease until {lease_ends:?}")?;
        write!(f, "; ending {ending:?}, {outcome:?}; killed {killed:?})")
    }
}

/// What must never be seen of a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The second tenure began while the first surely held the lock.
    Overlap(Tenure, Tenure),
    /// A new holder found the witness of another, which the times do not explain.
    Clash { lock: usize, at: Duration, found: String, by: String },
    /// The lock was gone while the lease still ran.
    Lost(Tenure),
}

impl Fault {
    /// The lock, and the moment.
    pub(crate) fn place(&self) -> (usize, Duration) {
        match self {
            Fault::Overlap(_, second) => (second.lock, second.since),
            Fault::Clash { lock, at, .. } => (*lock, *at),
            Fault::Lost(tenure) => (tenure.lock, tenure.ending.unwrap_or_default()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lock, _) = self.place();
        match self {
            Fault::Overlap(first, second) => {
                write!(f, "lock {lock}: {second} began during {first}")
            }
            Fault::Clash { found, by, .. } => {
                write!(f, "lock {lock}: {by} found the witness of {found}")
            }
            Fault::Lost(tenure) => {
                write!(f, "lock {lock}: {tenure} lost the lock during its lease")
            }
        }
    }
}

/// What the histories have shown so far.
#[derive(Debug)]
pub(crate) struct ExclusionChecker {
    rule: Rule,
    pub(crate) tenures: Vec<Tenure>,
    by_token: HashMap<String, usize>,
    /// The tenures of each place's process, and whether it is about to be killed.
    processes: HashMap<usize, (Vec<usize>, bool)>,
    clashes: Vec<Fault>,
    /// Steps that took longer than the clock slop: of which lock, from when to when.
    pub(crate) stalls: Vec<(usize, Duration, Duration)>,
    pub(crate) removals: Vec<Removal>,
    pub(crate) wedged: usize,
    /// Processes that were killed in a seat.
    pub(crate) seated: usize,
    pub(crate) failures: Vec<String>,
}

impl ExclusionChecker {
    pub(crate) fn new(rule: Rule) -> ExclusionChecker {
        ExclusionChecker {
            rule,
            tenures: Vec::new(),
            by_token: HashMap::new(),
            processes: HashMap::new(),
            clashes: Vec::new(),
            stalls: Vec::new(),
            removals: Vec::new(),
            wedged: 0,
            seated: 0,
            failures: Vec::new(),
        }
    }

    /// Enters a record from the history of that place.
    pub(crate) fn enter(&mut self, place: usize, record: Record) {
        let (of_process, is_dying) = self.processes.entry(place).or_default();
        match record {
            Record::Begun => (*of_process, *is_dying) = (Vec::new(), false),
            Record::Held { lock, token, since, lease_ends, waited } => {
                let (ending, outcome) = (None, None);
                // By another thread, before the signal has reached it.
                let killed = is_dying.then_some(since);
                of_process.push(self.tenures.len());
                self.by_token.insert(token.clone(), self.tenures.len());
                self.tenures.push(Tenure {
                    lock,
                    token,
                    since,
                    lease_ends,
                    waited,
                    ending,
                    outcome,
                    killed,
                });
            }
            Record::Ending { token, at } => self.tenure(&token).ending = Some(at),
            Record::Ended { token, outcome } => self.tenure(&token).outcome = Some(outcome),
            Record::Killed { at, seated } => {
                self.seated += usize::from(seated);
                *is_dying = true;
                for index in of_process {
                    let killed = &mut self.tenures[*index].killed;
                    *killed = Some(killed.map_or(at, |earlier| earlier.min(at)));
                }
            }
            Record::Clash { lock, at, found, by } => {
                self.clashes.push(Fault::Clash { lock, at, found, by });
            }
            Record::Stalled { lock, from, to } => self.stalls.push((lock, from, to)),
            Record::Removed(removal) => self.removals.push(removal),
            Record::Wedged => self.wedged += 1,
            Record::Failed { why } => self.failures.push(why),
        }
    }

    fn tenure(&mut self, token: &str) -> &mut Tenure {
        &mut self.tenures[self.by_token[token]]
    }

    /// How many tenures were left by their holders and ended by others.
    pub(crate) fn breaks(&self) -> usize {
        let of_locks = self.by_lock().into_values();
        // The last tenure of a lock may have been left, but nobody has held the lock since.
        let was_ended = |of: &[&Tenure], one: usize| {
            of[one].was_left() && of[one + 1..].iter().any(|later| later.excludes(of[one]))
        };
        of_locks.map(|of| (0..of.len()).filter(|one| was_ended(&of, *one)).count()).sum()
    }

    pub(crate) fn lost(&self) -> usize {
        self.tenures.iter().filter(|tenure| tenure.outcome == Some(Outcome::Lost)).count()
    }

    pub(crate) fn longest_wait(&self) -> Duration {
        self.tenures.iter().map(|tenure| tenure.waited).max().unwrap_or_default()
    }

    /// All faults, for when all workers have ended: while histories grow, one may have been read a
    /// moment before another, and a tenure in it seem to go on.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        let mut faults = self.clashes.clone();
        for tenures in self.by_lock().values() {
            let overlaps = overlaps(tenures, |tenure| tenure.held(self.rule)).into_iter();
            let overlaps = overlaps.filter(|(one, other)| one.excludes(other));
            faults
                .extend(overlaps.map(|(&one, &other)| Fault::Overlap(one.clone(), other.clone())));
            let lost = tenures.iter().filter(|tenure| tenure.outcome == Some(Outcome::Lost));
            faults.extend(lost.map(|&tenure| Fault::Lost(tenure.clone())));
        }
        faults
    }

    /// The tenures of each lock, in the order in which they began.
    fn by_lock(&self) -> HashMap<usize, Vec<&Tenure>> {
        let mut by_lock: HashMap<usize, Vec<&Tenure>> = HashMap::new();
        for tenure in &self.tenures {
            by_lock.entry(tenure.lock).or_default().push(tenure);
        }
        for tenures in by_lock.values_mut() {
            tenures.sort_by_key(|tenure| tenure.since);
        }
        by_lock
    }
}

/// The checker itself must detect a lock that excludes nobody.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::exclusion::is_alone;

    #[test]
    fn overlaps_are_found_and_nothing_else() {
        let found = |tenures: &[Range<u32>]| {
            let pairs = overlaps(tenures, Range::clone).into_iter();
            pairs.map(|(one, other)| (one.start, other.start)).collect::<Vec<_>>()
        };
        assert_eq!(found(&[10..20, 20..30, 31..40]), []);
        assert_eq!(found(&[31..40, 10..20, 19..30]), [(10, 19)]);
        assert_eq!(found(&[25..26, 10..30, 12..13]), [(10, 12), (10, 25)], "one outlasts two");
        assert_eq!(found(&[10..20, 10..11]), [(10, 10)], "two begin at once");
        let late = Range { start: 15, end: 12 };
        assert_eq!(found(&[10..20, late]), [], "its lease was over before it began");
    }

    #[test]
    fn a_witness_shows_that_another_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let witness = dir.path().join("witness");
        let mut inner = None;
        assert!(is_alone(&witness, || inner = Some(is_alone(&witness, || ()))));
        assert_eq!(inner, Some(false));
        assert!(is_alone(&witness, || ()), "the witness was left behind");
    }

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    fn held(lock: usize, token: &str, since: u64, lease_ends: u64) -> Record {
        let (since, lease_ends) = (at(since), at(lease_ends));
        Record::Held { lock, token: token.into(), since, lease_ends, waited: Duration::ZERO }
    }

    fn ending(token: &str, second: u64) -> Record {
        Record::Ending { token: token.into(), at: at(second) }
    }

    fn ended(token: &str, outcome: Outcome) -> Record {
        Record::Ended { token: token.into(), outcome }
    }

    /// What is found in the histories of two places.
    fn check(rule: Rule, histories: [&[Record]; 2]) -> ExclusionChecker {
        let mut checker = ExclusionChecker::new(rule);
        for (place, history) in histories.into_iter().enumerate() {
            for record in history {
                // As written and read again.
                let read = Record::parse(&format!("{record} .")).unwrap();
                assert_eq!(&read, record);
                checker.enter(place, read);
            }
        }
        checker
    }

    #[test]
    fn readers_may_be_there_together_and_no_writer_with_them() {
        let reader = [held(0, "read-a", 10, 25), ending("read-a", 20)];
        let checker = check(Rule::Lease, [&reader, &[held(0, "read-b", 12, 27)]]);
        assert_eq!(checker.faults(), []);
        let checker = check(Rule::Lease, [&reader, &[held(0, "c", 12, 27)]]);
        assert!(matches!(checker.faults()[..], [Fault::Overlap(..)]));
    }

    #[test]
    fn a_history_with_two_holders_is_rejected() {
        let one = [held(0, "a", 10, 25), ending("a", 20), ended("a", Outcome::Released)];
        let checker = check(Rule::Lease, [&one, &[held(0, "b", 20, 35)]]);
        assert_eq!(checker.faults(), []);
        let checker = check(Rule::Lease, [&one, &[held(1, "b", 19, 34)]]);
        assert_eq!(checker.faults(), [], "they are of two locks");
        let checker = check(Rule::Lease, [&one, &[held(0, "b", 19, 34)]]);
        assert!(matches!(&checker.faults()[..], [Fault::Overlap(first, _)] if first.token == "a"));
    }

    #[test]
    fn a_dead_holder_holds_until_its_death_or_to_the_end_of_its_lease() {
        let dead = [held(0, "a", 10, 40), Record::Killed { at: at(20), seated: false }];
        for (rule, since, faults) in [
            (Rule::LeaseOrLife, 19, 1),
            (Rule::LeaseOrLife, 20, 0),
            (Rule::Lease, 39, 1),
            (Rule::Lease, 40, 0),
        ] {
            let checker = check(rule, [&dead, &[held(0, "b", since, 99)]]);
            assert_eq!(checker.faults().len(), faults, "{rule:?}, {since}");
            assert_eq!(checker.breaks(), 1);
        }
    }

    #[test]
    fn a_lost_lock_and_a_witness_of_another_are_faults() {
        let lost = [held(0, "a", 10, 40), ending("a", 20), ended("a", Outcome::Lost)];
        let clash = Record::Clash { lock: 0, at: at(9), found: "a".into(), by: "b".into() };
        let faults = check(Rule::Lease, [&lost, &[clash]]).faults();
        assert!(matches!(&faults[..], [Fault::Clash { .. }, Fault::Lost(_)]), "{faults:?}");
    }
}
