//! Whether flufl.lock is to blame for the faults that were found.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use crate::support::exclusion_checker::{ExclusionChecker, Fault, Tenure};
use crate::support::history::Removal;
use crate::support::witness::Rule;

/// What the faults come from.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// flufl.lock removed another lock file than the one that it had judged to be stale.
    pub(crate) by_mistake: Faults,
    /// It removed one while a process with linklock was just about to.
    pub(crate) in_the_wake: Faults,
    /// Faults that nothing explains, and that must not be.
    pub(crate) unexplained: Vec<Fault>,
    /// Tenures of linklock whose lock file flufl.lock took away before they began to unlock, and whose
    /// holders did not learn of it then.
    pub(crate) unnoticed: Vec<Tenure>,
}

/// How many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    pub(crate) overlaps: usize,
    pub(crate) losses: usize,
}

/// Since when which tenures may have lost the lock, by their tokens.
type Victims<'a> = HashMap<&'a str, Duration>;

impl Verdict {
    pub(crate) fn on(checker: &ExclusionChecker) -> Verdict {
        let mut verdict = Verdict { unnoticed: unnoticed(checker), ..Verdict::default() };
        let (robbed, in_the_wake) = (robbed(checker), in_the_wake(checker));
        let faults = checker.faults();
        for fault in &faults {
            if is_seen_by_the_times(fault, &faults) {
                continue; // it counts once, as that overlap
            }
            let count = if is_explained(&robbed, fault) {
                &mut verdict.by_mistake
            } else if is_explained(&in_the_wake, fault) {
                &mut verdict.in_the_wake
            } else {
                verdict.unexplained.push(fault.clone());
                continue;
            };
            match fault {
                Fault::Lost(_) => count.losses += 1,
                Fault::Overlap(..) | Fault::Clash { .. } => count.overlaps += 1,
            }
        }
        verdict
    }
}

/// Whether a tenure that the fault is about was a victim, of an overlap by the time that the other began. The
/// victim need not have begun first: it may have lost the lock before it could write down that it had it.
fn is_explained(victims: &Victims, fault: &Fault) -> bool {
    let is_victim_by = |victim: &Tenure, other: &Tenure| {
        victims.get(victim.token.as_str()).is_some_and(|since| *since < other.since)
    };
    match fault {
        Fault::Overlap(one, other) => is_victim_by(one, other) || is_victim_by(other, one),
        Fault::Lost(tenure) => victims.contains_key(tenure.token.as_str()),
        // By the times its tenure was over: its end was written down before the signal that was to kill it, and
        // on a busy machine it may live on for a while. What the witness saw of it counts none the less.
        Fault::Clash { at, found, by, .. } => [found, by]
            .iter()
            .any(|token| victims.get(token.as_str()).is_some_and(|since| since < at)),
    }
}

/// Whether what a witness has shown is among the overlaps too.
fn is_seen_by_the_times(fault: &Fault, faults: &[Fault]) -> bool {
    let Fault::Clash { found, by, .. } = fault else { return false };
    faults.iter().any(|other| {
        let Fault::Overlap(one, other) = other else { return false };
        [(found, by), (by, found)].contains(&(&one.token, &other.token))
    })
}

/// The tenures whose lock file flufl.lock took away by mistake.
fn robbed(checker: &ExclusionChecker) -> Victims<'_> {
    let mut robbed = HashMap::new();
    for removal in checker.removals.iter().filter(|removal| removal.is_mistake()) {
        note_victim(&mut robbed, &removal.removed, removal.after);
    }
    robbed
}

fn unnoticed(checker: &ExclusionChecker) -> Vec<Tenure> {
    let mistakes = || checker.removals.iter().filter(|removal| removal.is_mistake());
    let is_robbed = |tenure: &Tenure| {
        mistakes().any(|it| it.removed == tenure.token && tenure.began_to_end_after(it.before))
    };
    ours(checker).filter(|tenure| tenure.was_released() && is_robbed(tenure)).cloned().collect()
}

/// The tenures that began right after flufl.lock had removed a lock file whose holder had ended or died.
///
/// A process with linklock may have looked at that file just before, in its seat or in order to
/// unlock it, and take it away just after: it takes away the successor's, for flufl.lock leaves it
/// no way to know. A breaker sees what it has caught and puts it back, but for a moment it was gone.
fn in_the_wake(checker: &ExclusionChecker) -> Victims<'_> {
    // The victim, the one that came in its place, and one more that was quicker than they to write it down.
    const NEXT: usize = 3;
    let mut victims = HashMap::new();
    let mut tenures: Vec<&Tenure> = checker.tenures.iter().collect();
    tenures.sort_by_key(|tenure| tenure.since);
    for Removal { removed, after, before, .. } in &checker.removals {
        let of_removed = tenures.iter().find(|tenure| tenure.token == *removed);
        if of_removed.is_none_or(|tenure| tenure.held(Rule::LeaseOrLife).end < *before) {
            let next = tenures.partition_point(|tenure| tenure.since <= *after);
            for tenure in tenures[next..].iter().take(NEXT) {
                note_victim(&mut victims, &tenure.token, *after);
            }
        }
    }
    victims
}

fn note_victim<'a>(victims: &mut Victims<'a>, token: &'a str, since: Duration) {
    let earliest = victims.entry(token).or_insert(since);
    *earliest = since.min(*earliest);
}

/// The tenures of linklock, whose nonces begin with a letter.
pub(crate) fn ours(checker: &ExclusionChecker) -> impl Iterator<Item = &Tenure> {
    let is_ours = |tenure: &&Tenure| {
        tenure.token.rsplit('|').next().is_some_and(|nonce| nonce.starts_with('x'))
    };
    checker.tenures.iter().filter(is_ours)
}

/// What happened, in figures.
pub(crate) fn summary(checker: &ExclusionChecker, killed: usize) -> String {
    let (ours, all, breaks) = (ours(checker).count(), checker.tenures.len(), checker.breaks());
    let removals = checker.removals.len();
    let mistakes = checker.removals.iter().filter(|removal| removal.is_mistake()).count();
    format!(
        "{all} tenures, {ours} of them ours; {breaks} locks left behind, {killed} of our processes killed; \
         {removals} locks removed by flufl.lock, {mistakes} of them by mistake"
    )
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { by_mistake, in_the_wake, unexplained, unnoticed } = self;
        write!(f, "by such mistakes {by_mistake}; in the wake of its breaks {in_the_wake}; ")?;
        write!(f, "{} faults unexplained, {} unnoticed", unexplained.len(), unnoticed.len())
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} overlaps and {} lost locks", self.overlaps, self.losses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::history::{Outcome, Record};

    const NONE: Faults = Faults { overlaps: 0, losses: 0 };
    const ONE_OVERLAP: Faults = Faults { overlaps: 1, losses: 0 };

    fn at(nanos: u64) -> Duration {
        Duration::from_nanos(nanos)
    }

    fn tenure(token: &str, since: u64, ending: u64) -> [Record; 2] {
        let (lock, since, lease_ends) = (0, at(since), Duration::MAX);
        let held = Record::Held { lock, token: token.into(), since, lease_ends, waited: at(0) };
        [held, Record::Ending { token: token.into(), at: at(ending) }]
    }

    fn removed(meant: &str, removed: &str, after: u64) -> [Record; 2] {
        let (meant, removed) = (meant.into(), removed.into());
        let (after, before) = (at(after), at(after + 1));
        // In pairs, like the others.
        [Record::Removed(Removal { meant, removed, after, before }), Record::Wedged]
    }

    fn lost(token: &str) -> [Record; 2] {
        [Record::Ended { token: token.into(), outcome: Outcome::Lost }, Record::Wedged]
    }

    fn clash(found: &str, by: &str, when: u64) -> [Record; 2] {
        let (found, by) = (found.into(), by.into());
        [Record::Clash { lock: 0, at: at(when), found, by }, Record::Wedged]
    }

    fn verdict(history: &[[Record; 2]]) -> Verdict {
        let mut checker = ExclusionChecker::new(Rule::LeaseOrLife);
        history.concat().into_iter().for_each(|record| checker.enter(0, record));
        Verdict::on(&checker)
    }

    #[test]
    fn an_overlap_fails_if_nothing_explains_it() {
        let history = [tenure("a", 10, 20), tenure("b", 30, 40)];
        assert_eq!(verdict(&history), Verdict::default());
        let history = [tenure("a", 10, 30), tenure("b", 20, 40)];
        assert!(matches!(verdict(&history).unexplained[..], [Fault::Overlap(..)]));
    }

    #[test]
    fn an_overlap_is_blamed_on_a_break_that_removed_another_lock() {
        let removed = removed("x", "a", 14);
        let history = [tenure("a", 10, 30), removed, tenure("b", 20, 40), lost("a")];
        let by_mistake = Faults { overlaps: 1, losses: 1 };
        assert_eq!(verdict(&history), Verdict { by_mistake, ..Verdict::default() });
    }

    #[test]
    fn a_victim_may_be_late_to_write_down_that_it_has_begun() {
        let (removed, clash) = (removed("x", "a", 14), clash("a", "b", 22));
        let history = [removed, tenure("b", 20, 40), tenure("a", 21, 30), clash];
        assert_eq!(verdict(&history), Verdict { by_mistake: ONE_OVERLAP, ..Verdict::default() });
    }

    #[test]
    fn a_victim_may_outlive_the_moment_before_its_death() {
        let killed = [Record::Killed { at: at(12), seated: false }, Record::Wedged];
        let [held, _] = tenure("a", 13, 30);
        let (robbed, clash) = (removed("x", "a", 14), clash("a", "b", 21));
        let history = [[held, Record::Wedged], killed, tenure("b", 20, 40), clash];
        assert!(matches!(verdict(&history).unexplained[..], [Fault::Clash { .. }]));
        let history = [&history[..], &[robbed]].concat();
        assert_eq!(verdict(&history), Verdict { by_mistake: ONE_OVERLAP, ..Verdict::default() });
    }

    #[test]
    fn a_break_explains_nothing_that_was_there_before() {
        let history = [tenure("a", 10, 30), tenure("b", 20, 40), removed("x", "a", 25)];
        assert!(matches!(verdict(&history).unexplained[..], [Fault::Overlap(..)]));
    }

    #[test]
    fn a_right_break_explains_only_what_comes_right_after_it() {
        let mut history = vec![tenure("x", 1, 2), removed("x", "x", 3)];
        let overlap = [tenure("a", 50, 60), tenure("b", 51, 61)];
        let in_the_wake = ONE_OVERLAP;
        let at_once = verdict(&[&history[..], &overlap].concat());
        assert_eq!(at_once, Verdict { in_the_wake, ..Verdict::default() });

        history.extend((10..13).map(|since| tenure(&since.to_string(), since, since)));
        let later = verdict(&[&history[..], &overlap].concat());
        assert!(matches!(later.unexplained[..], [Fault::Overlap(..)]));
        assert_eq!(later.in_the_wake, NONE);
    }

    #[test]
    fn a_witness_is_believed_even_against_the_times() {
        let history = [tenure("a", 10, 20), tenure("b", 30, 40), clash("b", "a", 31)];
        assert!(matches!(verdict(&history).unexplained[..], [Fault::Clash { .. }]));
    }

    #[test]
    fn a_holder_that_was_robbed_must_learn_of_it() {
        let released = |token: &str| {
            let outcome = Outcome::Released;
            [Record::Ended { token: token.into(), outcome }, Record::Wedged]
        };
        let token = "lock|host|1|xa";
        let unnoticed = |robbed_at, ended| {
            verdict(&[tenure(token, 10, 30), removed("x", token, robbed_at), ended]).unnoticed.len()
        };
        assert_eq!(unnoticed(20, released(token)), 1);
        assert_eq!(unnoticed(20, lost(token)), 0);
        assert_eq!(unnoticed(30, released(token)), 0, "it may have begun to unlock before");
    }

    #[test]
    fn a_loss_that_nothing_explains_fails() {
        assert!(matches!(
            verdict(&[tenure("a", 10, 20), lost("a")]).unexplained[..],
            [Fault::Lost(_)]
        ));
    }
}
