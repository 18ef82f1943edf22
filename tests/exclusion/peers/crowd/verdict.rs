//! Who held the lock at once, and whether flufl.lock is to blame.

use std::collections::HashMap;
use std::fmt;

use super::journal::{Clash, Journal, Removal, Tenure};

/// What a journal comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// What came of flufl.lock's taking away a lock file that it had not judged.
    pub(crate) by_mistake: Faults,
    /// What came of its taking away one while somebody with linklock was just about to.
    pub(crate) in_the_wake: Faults,
    /// What nothing explains, and must not be.
    pub(crate) unexplained: Vec<Fault>,
}

/// How many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    pub(crate) overlaps: usize,
    pub(crate) losses: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Overlap(Tenure, Tenure),
    /// A holder was told at the end that the lock was not its own.
    Loss(String),
    /// The witness says that there was an overlap, the clocks that there was none.
    Contradiction(Clash),
}

impl Verdict {
    pub(crate) fn on(journal: &Journal) -> Verdict {
        let mut verdict = Verdict::default();
        let (robbed, in_the_wake) = (robbed(journal), in_the_wake(journal));
        let overlaps = overlaps(&journal.tenures);
        for (one, other) in &overlaps {
            if is_excused(&robbed, one, other) {
                verdict.by_mistake.overlaps += 1;
            } else if is_excused(&in_the_wake, one, other) {
                verdict.in_the_wake.overlaps += 1;
            } else {
                verdict.unexplained.push(Fault::Overlap((*one).clone(), (*other).clone()));
            }
        }
        for claim in &journal.lost {
            if robbed.contains_key(claim.as_str()) {
                verdict.by_mistake.losses += 1;
            } else if in_the_wake.contains_key(claim.as_str()) {
                verdict.in_the_wake.losses += 1;
            } else {
                verdict.unexplained.push(Fault::Loss(claim.clone()));
            }
        }
        let contradictions = journal.clashes.iter().filter(|clash| !is_among(clash, &overlaps));
        verdict.unexplained.extend(contradictions.cloned().map(Fault::Contradiction));
        verdict
    }
}

/// Whether one of them was a victim by the time that the other began. The victim need not have
/// begun first: it may have lost the lock before it could note that it had begun.
fn is_excused(victims: &HashMap<&str, u64>, one: &Tenure, other: &Tenure) -> bool {
    let excuses = |victim: &Tenure, other: &Tenure| {
        victims.get(victim.claim.as_str()).is_some_and(|since| *since < other.from)
    };
    excuses(one, other) || excuses(other, one)
}

fn is_among(clash: &Clash, overlaps: &[(&Tenure, &Tenure)]) -> bool {
    let (found, by) = (&clash.found, &clash.by);
    overlaps.iter().any(|(one, other)| {
        (&one.claim, &other.claim) == (found, by) || (&other.claim, &one.claim) == (found, by)
    })
}

/// Everybody who began while somebody else was at it, in the order in which they began.
fn overlaps(tenures: &[Tenure]) -> Vec<(&Tenure, &Tenure)> {
    let mut overlaps = Vec::new();
    for (index, one) in tenures.iter().enumerate() {
        let others = tenures[index + 1..].iter().take_while(|other| other.from < one.until);
        overlaps.extend(others.map(|other| (one, other)));
    }
    overlaps
}

/// Those whose lock file flufl.lock took away by mistake, and since when.
fn robbed(journal: &Journal) -> HashMap<&str, u64> {
    let mut robbed = HashMap::new();
    for removal in journal.removals.iter().filter(|removal| removal.is_mistake()) {
        note_victim(&mut robbed, &removal.removed, removal.after);
    }
    robbed
}

/// Those who came right after flufl.lock had removed a lock file whose holder had ended or died.
///
/// Somebody with linklock may have looked at that file just before, in its seat or in order to
/// unlock it, and take it away just after: it takes away the successor's, for flufl.lock leaves it
/// no way to know. A breaker sees what it has caught and puts it back, but for a moment it was gone.
fn in_the_wake(journal: &Journal) -> HashMap<&str, u64> {
    // The victim, the one that came in its place, and one more who was quicker than they to note it.
    const NEXT: usize = 3;
    let mut victims = HashMap::new();
    let tenures: HashMap<_, _> =
        journal.tenures.iter().map(|tenure| (tenure.claim.as_str(), tenure)).collect();
    for Removal { removed, after, before, .. } in &journal.removals {
        if tenures.get(removed.as_str()).is_none_or(|tenure| tenure.until < *before) {
            let next = journal.tenures.partition_point(|tenure| tenure.from <= *after);
            for tenure in journal.tenures[next..].iter().take(NEXT) {
                note_victim(&mut victims, &tenure.claim, *after);
            }
        }
    }
    victims
}

fn note_victim<'a>(victims: &mut HashMap<&'a str, u64>, claim: &'a str, since: u64) {
    let earliest = victims.entry(claim).or_insert(since);
    *earliest = since.min(*earliest);
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { by_mistake, in_the_wake, unexplained } = self;
        write!(f, "by such mistakes {by_mistake}; in the wake of its breaks {in_the_wake}; ")?;
        write!(f, "{} faults unexplained", unexplained.len())
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

    fn verdict(journal: &str) -> Verdict {
        Verdict::on(&Journal::parse(journal))
    }

    const NONE: Faults = Faults { overlaps: 0, losses: 0 };

    #[test]
    fn one_after_the_other_is_no_overlap() {
        let journal = "10 in L|h|1|a\n20 out L|h|1|a\n30 in L|h|2|b\n40 out L|h|2|b\n";
        assert_eq!(verdict(journal), Verdict::default());
    }

    #[test]
    fn an_overlap_fails_if_nothing_explains_it() {
        let journal = "10 in L|h|1|a\n20 in L|h|2|b\n30 out L|h|1|a\n40 out L|h|2|b\n";
        assert!(matches!(verdict(journal).unexplained[..], [Fault::Overlap(..)]));
    }

    #[test]
    fn an_overlap_is_blamed_on_a_break_that_removed_another_lock() {
        let journal = "10 in L|h|1|a\n15 removed L|h|0|x L|h|1|a 14\n\
                       20 in L|h|2|b\n30 out L|h|1|a\n31 lost L|h|1|a\n40 out L|h|2|b\n";
        let by_mistake = Faults { overlaps: 1, losses: 1 };
        assert_eq!(verdict(journal), Verdict { by_mistake, ..Verdict::default() });
    }

    #[test]
    fn who_is_robbed_at_once_may_be_late_to_note_that_it_has_begun() {
        let journal = "15 removed L|h|0|x L|h|1|a 14\n20 in L|h|2|b\n21 in L|h|1|a\n\
                       22 clash L|h|1|a L|h|2|b\n30 out L|h|1|a\n40 out L|h|2|b\n";
        let by_mistake = Faults { overlaps: 1, losses: 0 };
        assert_eq!(verdict(journal), Verdict { by_mistake, ..Verdict::default() });
    }

    #[test]
    fn a_break_explains_nothing_that_was_there_before() {
        let journal = "10 in L|h|1|a\n20 in L|h|2|b\n26 removed L|h|0|x L|h|1|a 25\n\
                       30 out L|h|1|a\n40 out L|h|2|b\n";
        assert!(matches!(verdict(journal).unexplained[..], [Fault::Overlap(..)]));
    }

    #[test]
    fn a_right_break_explains_only_what_comes_right_after_it() {
        let broken = "1 in L|h|0|x\n2 out L|h|0|x\n4 removed L|h|0|x L|h|0|x 3\n";
        let overlap = "50 in L|h|1|a\n51 in L|h|2|b\n60 out L|h|1|a\n61 out L|h|2|b\n";
        let in_the_wake = Faults { overlaps: 1, losses: 0 };
        let at_once = verdict(&format!("{broken}{overlap}"));
        assert_eq!(at_once, Verdict { in_the_wake, ..Verdict::default() });

        let others = (0..3).map(|n| format!("1{n} in L|h|7|{n}\n1{n} out L|h|7|{n}\n"));
        let later = verdict(&format!("{broken}{}{overlap}", others.collect::<String>()));
        assert!(matches!(later.unexplained[..], [Fault::Overlap(..)]));
        assert_eq!(later.in_the_wake, NONE);
    }

    #[test]
    fn who_was_killed_held_the_lock_until_then_and_left_a_witness() {
        let journal = "10 in L|h|1|a\n20 killed 1\n30 in L|h|2|b\n\
                       31 clash L|h|2|b L|h|1|a\n40 out L|h|2|b\n";
        assert_eq!(verdict(journal), Verdict::default());
    }

    #[test]
    fn a_witness_is_believed_even_against_the_clocks() {
        let journal = "10 in L|h|1|a\n20 out L|h|1|a\n30 in L|h|2|b\n\
                       31 clash L|h|2|b L|h|1|a\n40 out L|h|2|b\n";
        assert!(matches!(verdict(journal).unexplained[..], [Fault::Contradiction(_)]));
    }

    #[test]
    fn a_loss_that_nothing_explains_fails() {
        let journal = "10 in L|h|1|a\n20 out L|h|1|a\n21 lost L|h|1|a\n";
        assert_eq!(verdict(journal).unexplained, [Fault::Loss("L|h|1|a".into())]);
    }
}
