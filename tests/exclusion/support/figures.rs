//! What a run of workers has shown, in figures; and which faults a stall explains.

use std::fmt;
use std::time::Duration;

use crate::support::exclusion_checker::{ExclusionChecker, Fault};
use crate::support::setup::Setup;

/// What was counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) tenures: usize,
    /// Tenures that others have ended: each was left by its holder, and the lock was held again.
    pub(crate) breaks: usize,
    pub(crate) overlaps: usize,
    pub(crate) clashes: usize,
    pub(crate) lost: usize,
    /// Steps that took longer than the clock slop, and faults that came of them.
    stalls: usize,
    excused: usize,
    /// Processes killed, and those among them that were seen in a seat.
    killed: usize,
    seated: usize,
    pub(crate) longest_wait: Duration,
    /// All faults that nothing excuses, in words.
    pub(crate) faults: Vec<String>,
}

impl Figures {
    /// Counts, once all workers have ended.
    pub(crate) fn of(setup: &Setup, checker: ExclusionChecker, killed: usize) -> Figures {
        let mut figures = Figures {
            tenures: checker.tenures.len(),
            breaks: checker.breaks(),
            stalls: checker.stalls.len(),
            killed,
            seated: checker.seated,
            longest_wait: checker.longest_wait(),
            ..Figures::default()
        };
        for fault in checker.faults() {
            if is_excused(&checker.stalls, &fault, setup.lifetime + setup.slop) {
                figures.excused += 1;
                continue;
            }
            match fault {
                Fault::Overlap(..) => figures.overlaps += 1,
                Fault::Clash { .. } => figures.clashes += 1,
                Fault::Lost(_) => figures.lost += 1,
            }
            figures.faults.push(fault.to_string());
        }
        figures.faults.extend(checker.failures);
        figures
    }
}

/// Whether a contender for this lock was kept from a step for longer than the clock slop, just before or
/// during this moment. No lease can make up for that, and no harness prevent it.
fn is_excused(stalls: &[(usize, Duration, Duration)], fault: &Fault, grace: Duration) -> bool {
    let (lock, at) = fault.place();
    stalls.iter().any(|(stalled, from, to)| *stalled == lock && *from <= at && at <= *to + grace)
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { tenures, breaks, overlaps, clashes, lost, .. } = self;
        let Figures { stalls, excused, killed, seated, longest_wait, .. } = self;
        write!(f, "{overlaps} overlaps in {breaks} breaks and {tenures} tenures")?;
        if *breaks > 0 {
            write!(f, ", {:.1} per 1,000 breaks", count(*overlaps) * 1000.0 / count(*breaks))?;
        }
        write!(f, "; {clashes} seen by witnesses, {lost} locks lost; {killed} processes killed, ")?;
        write!(f, "{seated} of them seen in a seat; longest wait {longest_wait:.1?}; ")?;
        write!(f, "{stalls} stalls beyond the slop excuse {excused} faults")
    }
}

fn count(number: usize) -> f64 {
    u32::try_from(number).expect("fewer than four billion").into()
}
