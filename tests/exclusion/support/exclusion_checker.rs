//! All histories taken together: who held what when, and who did so at the same time as another.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use crate::support::history::{Outcome, Record};
use crate::support::setup::Setup;
use crate::support::witness::Rule;

/// One tenure.
#[derive(Clone, Debug)]
struct Tenure {
    token: String,
    since: Duration,
    lease_ends: Duration,
    waited: Duration,
    ending: Option<Duration>,
    outcome: Option<Outcome>,
    killed: Option<Duration>,
}

impl Tenure {
    /// Until when it surely held the lock. None of this can be too late: `ending` was read before
    /// the unlock, `killed` before the signal, and a lease ends whether its holder lives or not.
    fn until(&self, rule: Rule) -> Duration {
        let until = match (self.ending, self.killed) {
            (Some(ending), _) => ending,
            (None, Some(killed)) if rule == Rule::LeaseOrLife => killed,
            (None, _) => self.lease_ends,
        };
        until.min(self.lease_ends)
    }

    /// Whether it was left to others to end it. Who was killed in the middle of an unlock may have
    /// released the lock or not, and does not count.
    fn was_left(&self) -> bool {
        match self.outcome {
            Some(outcome) => outcome == Outcome::Succeeded,
            None => self.ending.is_none() && self.killed.is_some(),
        }
    }
}

impl fmt::Display for Tenure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tenure { token, since, lease_ends, waited, ending, outcome, killed } = self;
        write!(f, "{token} (waited {waited:?}, held since {since:?}, lease until {lease_ends:?}")?;
        write!(f, "; ending {ending:?}, {outcome:?}; killed {killed:?})")
    }
}

/// What must never be seen of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// A tenure began while another surely held the lock.
    Overlap,
    /// A witness met another holder's.
    Shared,
    /// A tenure was gone while its lease still ran.
    Robbed,
}

/// What was counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) tenures: usize,
    /// Tenures that others have ended: each was left by its holder, and the lock was held again.
    pub(crate) breaks: usize,
    pub(crate) overlaps: usize,
    pub(crate) shared: usize,
    pub(crate) robbed: usize,
    /// Steps that took longer than the clock slop, and faults that came of them.
    pub(crate) stalls: usize,
    pub(crate) excused: usize,
    /// Processes killed, and those among them that were seen in a seat.
    pub(crate) killed: usize,
    pub(crate) seated: usize,
    pub(crate) longest_wait: Duration,
    /// All faults that nothing excuses, in words.
    pub(crate) faults: Vec<String>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { tenures, breaks, overlaps, shared, robbed, .. } = self;
        let Figures { stalls, excused, killed, seated, longest_wait, .. } = self;
        write!(f, "{overlaps} overlaps in {breaks} breaks and {tenures} tenures")?;
        if *breaks > 0 {
            write!(f, ", {:.1} per 1,000 breaks", self.overlaps_per_thousand_breaks())?;
        }
        write!(
            f,
            "; {shared} seen by witnesses, {robbed} locks lost; {killed} processes killed, "
        )?;
        write!(f, "{seated} of them seen in a seat; longest wait {longest_wait:.1?}; ")?;
        write!(f, "{stalls} stalls beyond the slop excuse {excused} faults")
    }
}

impl Figures {
    fn overlaps_per_thousand_breaks(&self) -> f64 {
        count(self.overlaps) * 1000.0 / count(self.breaks.max(1))
    }
}

fn count(number: usize) -> f64 {
    u32::try_from(number).expect("fewer than four billion").into()
}

/// What the histories have said so far.
#[derive(Debug)]
pub(crate) struct ExclusionChecker {
    rule: Rule,
    /// The tenures of each lock.
    locks: Vec<Vec<Tenure>>,
    /// Where each place's process has its tenures.
    by_token: Vec<HashMap<String, (usize, usize)>>,
    /// Whether a place's process is about to be killed.
    is_dying: Vec<bool>,
    /// For how long a stall's consequences may show.
    grace: Duration,
    stalls: Vec<(usize, Duration, Duration)>,
    faults: Vec<(Fault, usize, Duration, String)>,
    seen: Figures,
}

impl ExclusionChecker {
    pub(crate) fn new(setup: &Setup) -> ExclusionChecker {
        ExclusionChecker {
            rule: setup.rule(),
            locks: vec![Vec::new(); setup.locks],
            by_token: vec![HashMap::new(); setup.processes],
            is_dying: vec![false; setup.processes],
            grace: setup.lifetime + setup.slop,
            stalls: Vec::new(),
            faults: Vec::new(),
            seen: Figures::default(),
        }
    }

    /// Enters a record from the history of that place.
    pub(crate) fn enter(&mut self, place: usize, record: Record) {
        match record {
            Record::Begun => {
                self.by_token[place].clear();
                self.is_dying[place] = false;
            }
            Record::Held { lock, token, since, lease_ends, waited } => {
                let at = (lock, self.locks[lock].len());
                self.by_token[place].insert(token.clone(), at);
                let (ending, outcome) = (None, None);
                // By another thread, before the signal has reached it.
                let killed = self.is_dying[place].then_some(since);
                let tenure = Tenure { token, since, lease_ends, waited, ending, outcome, killed };
                self.locks[lock].push(tenure);
                self.seen.tenures += 1;
            }
            Record::Ending { token, at } => self.tenure(place, &token).ending = Some(at),
            Record::Ended { token, outcome } => {
                let tenure = self.tenure(place, &token);
                tenure.outcome = Some(outcome);
                let at = tenure.ending.unwrap_or_default();
                if outcome == Outcome::Robbed {
                    let (lock, _) = self.by_token[place][&token];
                    self.faults.push((Fault::Robbed, lock, at, format!("{token} was robbed")));
                }
            }
            Record::Killed { at, seated } => {
                self.seen.seated += usize::from(seated);
                self.is_dying[place] = true;
                for (lock, index) in self.by_token[place].values() {
                    let killed = &mut self.locks[*lock][*index].killed;
                    *killed = Some(killed.map_or(at, |earlier| earlier.min(at)));
                }
            }
            Record::Shared { lock, at, how } => {
                self.faults.push((Fault::Shared, lock, at, how));
            }
            Record::Stalled { lock, from, to } => self.stalls.push((lock, from, to)),
            Record::Failed { why } => self.seen.faults.push(why),
        }
    }

    fn tenure(&mut self, place: usize, token: &str) -> &mut Tenure {
        let (lock, index) = self.by_token[place][token];
        &mut self.locks[lock][index]
    }

    /// What can be told while the histories grow: breaks and failures. One history may have been
    /// read a moment before another, and a tenure in it seem to go on.
    pub(crate) fn so_far(&self) -> Figures {
        let mut figures = self.seen.clone();
        figures.shared = self.faults.iter().filter(|fault| fault.0 == Fault::Shared).count();
        figures.robbed = self.faults.len() - figures.shared;
        for tenures in &self.locks {
            let left = tenures.iter().filter(|tenure| tenure.was_left()).count();
            // The last one may be stale yet.
            figures.breaks += left.saturating_sub(1);
        }
        figures
    }

    /// What can be told when all is over.
    pub(crate) fn figures(mut self) -> Figures {
        let mut figures = std::mem::take(&mut self.seen);
        let mut faults = std::mem::take(&mut self.faults);
        for (lock, tenures) in self.locks.iter().enumerate() {
            let mut tenures: Vec<&Tenure> = tenures.iter().collect();
            tenures.sort_by_key(|tenure| tenure.since);
            // The last one may have been left, but nobody has held the lock since.
            figures.breaks += tenures.iter().rev().skip(1).filter(|it| it.was_left()).count();
            let longest = tenures.iter().map(|tenure| tenure.waited).max().unwrap_or_default();
            figures.longest_wait = figures.longest_wait.max(longest);
            self.find_overlaps(lock, &tenures, &mut faults);
        }
        figures.stalls = self.stalls.len();
        for (fault, lock, at, how) in faults {
            if self.is_excused(lock, at) {
                figures.excused += 1;
                continue;
            }
            match fault {
                Fault::Overlap => figures.overlaps += 1,
                Fault::Shared => figures.shared += 1,
                Fault::Robbed => figures.robbed += 1,
            }
            figures.faults.push(format!("lock {lock}: {how}"));
        }
        figures
    }

    /// Compares each tenure with the one before it that ended last.
    fn find_overlaps(
        &self,
        lock: usize,
        tenures: &[&Tenure],
        faults: &mut Vec<(Fault, usize, Duration, String)>,
    ) {
        let mut last: Option<&Tenure> = None;
        for tenure in tenures {
            let until = last.map_or(Duration::ZERO, |last| last.until(self.rule));
            // A process that stalled while it was told that it has the lock never held it.
            let held = tenure.since < tenure.until(self.rule);
            if let Some(last) = last.filter(|_| held && tenure.since < until) {
                let how = format!("{tenure} began during {last}");
                faults.push((Fault::Overlap, lock, tenure.since, how));
            }
            if tenure.until(self.rule) > until {
                last = Some(tenure);
            }
        }
    }

    /// Whether a contender for this lock was kept from a step for longer than the clock slop, just
    /// before or during this moment. No lease can make up for that, and no harness prevent it.
    fn is_excused(&self, lock: usize, at: Duration) -> bool {
        let near = |from: Duration, to: Duration| from <= at && at <= to + self.grace;
        self.stalls.iter().any(|(stalled, from, to)| *stalled == lock && near(*from, *to))
    }
}
