//! What the processes of one run have written down: a line an event, in one file that all append to.
//!
//! Times are nanoseconds of `CLOCK_MONOTONIC`, which all processes of a machine share. A tenure goes
//! by the name of its claim, which no two have in common.

use std::collections::HashMap;
use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Everything that happened.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    /// In the order in which they began.
    pub(crate) tenures: Vec<Tenure>,
    /// How many locks were left behind on purpose.
    pub(crate) abandoned: usize,
    /// Those who were told at the end that the lock was not theirs.
    pub(crate) lost: Vec<String>,
    /// Witnesses of others that new holders have found.
    pub(crate) clashes: Vec<Clash>,
    /// The lock files that flufl.lock took away, but for its own.
    pub(crate) removals: Vec<Removal>,
    /// How many waiters with flufl.lock found their claims gone.
    pub(crate) wedged: usize,
    /// When which process was killed.
    killed: HashMap<u32, u64>,
}

/// A time during which somebody surely held the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tenure {
    pub(crate) claim: String,
    pub(crate) from: u64,
    pub(crate) until: u64,
}

/// A witness that was there when the next holder came to make its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clash {
    pub(crate) found: String,
    pub(crate) by: String,
}

/// Somebody with flufl.lock took away `removed` where it should have been `meant`: the lock that it
/// has judged to be expired or, when it unlocks, its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Removal {
    pub(crate) meant: String,
    pub(crate) removed: String,
    /// It was done after this moment ...
    pub(crate) after: u64,
    /// ... and before this.
    pub(crate) before: u64,
}

impl Removal {
    pub(crate) fn is_mistake(&self) -> bool {
        self.meant != self.removed
    }
}

/// Writes a line: at once, so that it is there even if the process dies in the next moment.
pub(crate) fn note(journal: &Path, event: &str, what: &str) {
    let line = format!("{} {event} {what}\n", now());
    let mut file = OpenOptions::new().append(true).open(journal).unwrap();
    file.write_all(line.as_bytes()).unwrap();
}

fn now() -> u64 {
    let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap());
    u64::try_from(now.as_nanos()).unwrap()
}

impl Journal {
    pub(crate) fn parse(text: &str) -> Journal {
        let mut journal = Journal::default();
        let (mut begun, mut clashes) = (HashMap::new(), Vec::new());
        for line in text.lines() {
            let fields: Vec<_> = line.split(' ').collect();
            let [at, event, what, more @ ..] = &fields[..] else { panic!("{line}") };
            let at = at.parse().unwrap();
            let what = (*what).to_owned();
            match (*event, more) {
                ("in", []) => assert!(begun.insert(what, at).is_none(), "{line}"),
                ("out", []) => {
                    let from = begun.remove(&what).expect("it began");
                    journal.tenures.push(Tenure { claim: what, from, until: at });
                }
                ("abandoned", []) => journal.abandoned += 1,
                ("lost", []) => journal.lost.push(what),
                ("wedged", []) => journal.wedged += 1,
                ("killed", []) => {
                    journal.killed.insert(what.parse().unwrap(), at);
                }
                ("clash", [found]) => {
                    clashes.push((at, Clash { found: (*found).to_owned(), by: what }));
                }
                ("removed", [removed, after]) => journal.removals.push(Removal {
                    meant: what,
                    removed: (*removed).to_owned(),
                    after: after.parse().unwrap(),
                    before: at,
                }),
                _ => panic!("{line}"),
            }
        }
        // A process that was killed held the lock until then, and left its witness behind.
        for (claim, from) in begun {
            let until = *journal.killed.get(&pid(&claim)).expect("who does not end was killed");
            journal.tenures.push(Tenure { claim, from, until });
        }
        journal.tenures.sort_by_key(|tenure| tenure.from);
        journal.clashes = journal.without_witnesses_of_the_dead(clashes);
        journal
    }

    fn without_witnesses_of_the_dead(&self, clashes: Vec<(u64, Clash)>) -> Vec<Clash> {
        let alive = |at: u64, claim: &str| self.killed.get(&pid(claim)).is_none_or(|end| at < *end);
        let clashes = clashes.into_iter().filter(|(at, clash)| alive(*at, &clash.found));
        clashes.map(|(_, clash)| clash).collect()
    }

    /// How many tenures were those of linklock, whose nonces begin with a letter.
    pub(crate) fn ours(&self) -> usize {
        let claims = self.tenures.iter().map(|tenure| &tenure.claim);
        claims.filter(|claim| claim.rsplit('|').next().is_some_and(|n| n.starts_with('x'))).count()
    }
}

/// The process that a claim names.
fn pid(claim: &str) -> u32 {
    claim.rsplit('|').nth(1).and_then(|pid| pid.parse().ok()).expect("a claim has a pid")
}

impl fmt::Display for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ours, all) = (self.ours(), self.tenures.len());
        write!(f, "{all} tenures, {ours} of them ours; {} locks abandoned, ", self.abandoned)?;
        write!(f, "{} of our processes killed; ", self.killed.len())?;
        let mistakes = self.removals.iter().filter(|removal| removal.is_mistake()).count();
        write!(f, "{} locks removed by flufl.lock, ", self.removals.len())?;
        write!(f, "{mistakes} of them by mistake")
    }
}
