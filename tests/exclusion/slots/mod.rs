//! Slots: more processes than there are slots, some of which are killed or stall. Never do two hold
//! one slot.
//!
//! `LINKLOCK_BREAKS=10000 cargo test --test exclusion slots::` breaks that many, half of them by each
//! policy; the measurements go to stderr.

use crate::races::stale::{DEAD_AMONG_SEVERAL, EXPIRED_AMONG_SEVERAL, race_soundly};
use crate::support::setup::{Setup, Shape};

const SLOTS: u32 = 3;
/// How many slots are taken over from holders that died or stalled, if nothing else is asked for.
const BREAKS: usize = 150;

/// Holders are proven dead at once.
pub(crate) const DEAD_HOLDERS: Setup = Setup {
    name: "dead holders of slots",
    locks: 1,
    shape: Shape::Slots(SLOTS),
    ..DEAD_AMONG_SEVERAL
};

/// No process can be proven dead.
pub(crate) const LATE_HOLDERS: Setup = Setup {
    name: "late holders of slots",
    locks: 1,
    shape: Shape::Slots(SLOTS),
    ..EXPIRED_AMONG_SEVERAL
};

#[test]
fn a_slot_whose_holder_died_is_never_shared() {
    race_soundly("slots", &DEAD_HOLDERS, BREAKS);
}

#[test]
fn a_slot_whose_lease_is_over_is_never_shared() {
    race_soundly("slots", &LATE_HOLDERS, BREAKS);
}
