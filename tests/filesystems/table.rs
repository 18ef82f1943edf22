//! What docs/filesystems.md says of each file system.

use std::time::Duration;

use linklock::DEFAULT_CLOCK_SLOP;

use crate::battery::Outcome;
use crate::{faults, mounts};

/// What a row may say of a dead holder's lock.
const AT_ONCE: &str = "at once";
const AFTER_THE_SLOP: &str = "after the slop";

const PAGE: &str = include_str!("../../docs/filesystems.md");

/// A row of one of its tables.
pub(crate) struct Row<'a> {
    cells: Vec<&'a str>,
}

impl Row<'_> {
    /// Fails unless this is what the page says.
    pub(crate) fn check(&self, outcome: &Outcome) {
        let (name, says) = (self.cells[0], self.verdict().unwrap_or_default());
        let is_so = match outcome {
            Outcome::Works { after_death, .. } => {
                says.starts_with("works") && self.is_of_a_death(*after_death)
            }
            Outcome::Refused(_) => says.starts_with("refused"),
        };
        assert!(is_so, "docs/filesystems.md says of {name:?}: {:?}, but: {outcome}", self.cells);
    }

    /// Whether this is what the row says of a dead holder's lock, if it says anything.
    fn is_of_a_death(&self, after: Duration) -> bool {
        let is_at_once = after < DEFAULT_CLOCK_SLOP;
        self.death().is_none_or(|says| says == if is_at_once { AT_ONCE } else { AFTER_THE_SLOP })
    }

    /// The cell that says when a dead holder's lock is taken over on its host.
    fn death(&self) -> Option<&str> {
        self.cells.iter().copied().find(|cell| [AT_ONCE, AFTER_THE_SLOP].contains(cell))
    }

    /// The cell that says whether locks work there.
    fn verdict(&self) -> Option<&str> {
        let is_verdict = |cell: &&str| cell.starts_with("works") || cell.starts_with("refused");
        self.cells.iter().copied().find(is_verdict)
    }
}

/// The row with a verdict whose first cell is this name.
pub(crate) fn row(name: &str) -> Row<'static> {
    let mut named = rows().filter(|row| row.cells[0] == name && row.verdict().is_some());
    let row = named.next().unwrap_or_else(|| panic!("docs/filesystems.md has no row {name:?}"));
    assert!(named.next().is_none(), "docs/filesystems.md has two rows {name:?}");
    row
}

fn rows() -> impl Iterator<Item = Row<'static>> {
    let lines = PAGE.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    lines.map(|line| Row { cells: line.split('|').map(str::trim).collect() })
}

#[test]
fn each_file_system_of_the_lane_has_a_row() {
    for name in mounts::NAMES.iter().chain(mounts::GUESTS).chain(mounts::QEMU_GUESTS) {
        let row = row(name);
        let works = row.verdict().is_some_and(|verdict| verdict.starts_with("works"));
        assert_eq!(row.death().is_some(), works, "{name}: {:?}", row.cells);
    }
    for name in faults::NAMES {
        row(name);
    }
}
