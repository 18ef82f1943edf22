//! Readers and writers of a few locks, some of which are killed or stall. Never is a writer there with
//! anybody.
//!
//! `LINKLOCK_BREAKS=10000 cargo test --test exclusion readers::` breaks that many, half of them by each
//! policy; the measurements go to stderr.

use crate::races::stale::{DEAD_AMONG_SEVERAL, EXPIRED_AMONG_SEVERAL, race_soundly};
use crate::support::setup::{Setup, Shape};

/// How many locks are taken over from those that died or stalled, if nothing else is asked for.
const BREAKS: usize = 100;

/// Readers and writers are proven dead at once.
pub(crate) const DEAD_ONES: Setup = Setup {
    name: "dead readers and writers",
    locks: 3,
    shape: Shape::RwLocks,
    ..DEAD_AMONG_SEVERAL
};

/// No process can be proven dead.
pub(crate) const LATE_ONES: Setup = Setup {
    name: "late readers and writers",
    locks: 6,
    shape: Shape::RwLocks,
    ..EXPIRED_AMONG_SEVERAL
};

#[test]
fn no_writer_meets_a_reader_whose_like_have_died() {
    race_soundly("readers", &DEAD_ONES, BREAKS);
}

#[test]
fn no_writer_meets_a_reader_whose_lease_runs() {
    race_soundly("readers", &LATE_ONES, BREAKS);
}
