//! Slots: more processes than there are slots, some of which are killed or stall. Never do two hold
//! one slot.
//!
//! `LINKLOCK_BREAKS=10000 cargo test --test exclusion slots::` breaks that many, half of them by each
//! policy; the measurements go to stderr.

use crate::kit::say::{say, scale};
use crate::races::stale::{DEAD, EXPIRED};
use crate::support::exclusion_checker::ExclusionChecker;
use crate::support::remains::assert_nothing_is_left;
use crate::support::setup::{Mishaps, Setup};
use crate::support::workdir::{self, Workdir};
use crate::support::workers;

const SLOTS: u32 = 3;
/// How many slots are taken over from holders that died or stalled, if nothing else is asked for.
const BREAKS: usize = 150;

/// Holders are proven dead at once.
pub(crate) const DEAD_HOLDERS: Setup = Setup {
    name: "dead holders of slots",
    processes: 12,
    locks: 1,
    slots: Some(SLOTS),
    mishaps: Mishaps { killed_breaking: 0.0, ..DEAD.mishaps },
    ..DEAD
};

/// No process can be proven dead.
pub(crate) const LATE_HOLDERS: Setup = Setup {
    name: "late holders of slots",
    processes: 12,
    locks: 1,
    slots: Some(SLOTS),
    mishaps: Mishaps { killed_breaking: 0.0, ..EXPIRED.mishaps },
    ..EXPIRED
};

#[test]
fn a_slot_whose_holder_died_is_never_shared() {
    race_soundly(&DEAD_HOLDERS);
}

#[test]
fn a_slot_whose_lease_is_over_is_never_shared() {
    race_soundly(&LATE_HOLDERS);
}

fn race_soundly(setup: &Setup) {
    let dir = workdir::temporary();
    let workdir = Workdir::at(dir.path());
    let breaks = scale("LINKLOCK_BREAKS", BREAKS).div_ceil(2);
    let done = |so_far: &ExclusionChecker| so_far.breaks() >= breaks || !so_far.failures.is_empty();
    let figures = workers::contend(setup, &workdir, done);
    say(&format!("slots, {}: {figures}", setup.name));
    assert!(figures.faults.is_empty(), "{:#?}", figures.faults);
    assert!(figures.breaks >= breaks, "only {} breaks", figures.breaks);
    assert_nothing_is_left(setup, &workdir);
}
