//! Eight processes with linklock and eight with flufl.lock on one lock, many of which die while they
//! hold it: how many hold it at once, and whose fault is it?
//!
//! Stock flufl.lock can't be kept from removing a live lock: it breaks a lock by name, however long
//! ago it judged it. So its own removals are written down in such a way that each overlap can be
//! told to be their doing; one overlap that is not fails the test. And where flufl.lock breaks
//! nothing, there must be none at all.

mod journal;
mod run;
mod verdict;
pub(crate) mod worker;

use std::io::{self, Write};

use journal::Journal;
use run::{Breaking, Run};
use verdict::Verdict;

use crate::kit::python::python;

/// How many locks are left behind by their holders in one test.
const ABANDONED: usize = 300;

#[test]
fn nobody_overlaps_but_by_the_doing_of_flufl() {
    let Some(python) = python() else { return };
    let run = Run::new();
    let journal = run.until_abandoned(ABANDONED, python, Breaking::Stock);
    let verdict = Verdict::on(&journal);
    report("flufl.lock as it is", &journal, &verdict);
    assert!(verdict.unexplained.is_empty(), "{:#?}, see {}", verdict.unexplained, run.keep());
    assert!(!journal.removals.is_empty(), "flufl.lock has never had to break a lock");
    // There is no telling for sure what was in the wake, but that it should be rare.
    let in_the_wake = verdict.in_the_wake.overlaps + verdict.in_the_wake.losses;
    assert!(in_the_wake <= journal.removals.len() / 10, "see {}", run.keep());
}

#[test]
fn nobody_overlaps_where_flufl_breaks_nothing() {
    let Some(python) = python() else { return };
    let run = Run::new();
    let journal = run.until_abandoned(ABANDONED, python, Breaking::Never);
    let verdict = Verdict::on(&journal);
    report("flufl.lock that breaks nothing", &journal, &verdict);
    assert_eq!(journal.removals, [], "flufl.lock took away a lock that was not its own");
    assert_eq!(journal.wedged, 0, "claims were taken from those who waited");
    assert_eq!(verdict, Verdict::default(), "see {}", run.keep());
    let ours = journal.ours();
    assert!((1..journal.tenures.len()).contains(&ours), "{ours}: one of the two never held it");
    run.assert_nothing_is_left();
}

/// Past the test harness, which shows nothing of a test that passes.
fn report(what: &str, journal: &Journal, verdict: &Verdict) {
    let _ = writeln!(io::stderr(), "crowd, {what}: {journal}; {verdict}");
}
