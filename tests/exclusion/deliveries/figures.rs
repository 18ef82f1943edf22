//! What the test prints.

use std::collections::BTreeMap;
use std::fmt;

/// Counts for one mailbox, or for all.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) rounds: usize,
    /// All of them are there, once and whole.
    pub(crate) acknowledged: usize,
    /// None of them is there.
    pub(crate) refused: usize,
    /// Not acknowledged by a writer that was killed.
    pub(crate) killed: usize,
    pub(crate) whole_though_killed: usize,
    pub(crate) partial: usize,
    /// The stale dotlocks that were taken over, by kind.
    pub(crate) broken: BTreeMap<String, usize>,
    /// How often dotlockfile was kept from removing a live one.
    pub(crate) kept_from_breaking: u64,
}

impl Figures {
    pub(crate) fn plus(mut self, other: Figures) -> Figures {
        for (kind, count) in other.broken {
            *self.broken.entry(kind).or_insert(0) += count;
        }
        Figures {
            rounds: self.rounds + other.rounds,
            acknowledged: self.acknowledged + other.acknowledged,
            refused: self.refused + other.refused,
            killed: self.killed + other.killed,
            whole_though_killed: self.whole_though_killed + other.whole_though_killed,
            partial: self.partial + other.partial,
            broken: self.broken,
            kept_from_breaking: self.kept_from_breaking + other.kept_from_breaking,
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} messages were delivered in {} rounds: all are there once and whole. {} were refused, \
             and are not there. Of {} whose writers were killed before they reported anything about them, \
             {} are there and {} in part.",
            self.acknowledged,
            self.rounds,
            self.refused,
            self.killed,
            self.whole_though_killed,
            self.partial,
        )?;
        writeln!(f, "Stale dotlocks that were taken over: {:?}.", self.broken)?;
        let count = self.kept_from_breaking;
        writeln!(f, "dotlockfile was kept from removing a live dotlock {count} times.")
    }
}
