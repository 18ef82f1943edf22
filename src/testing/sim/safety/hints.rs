//! Wake-up hints: whatever becomes of a datagram, the lock is as safe and as live as without.

use super::{CRASH, NAMES};
use crate::testing::sim::explore::{explore, sample};
use crate::testing::sim::faults::{ACCIDENTS, Faults, NOTHING};
use crate::testing::sim::run::run;
use crate::testing::sim::scenario::Scenario;
use crate::testing::sim::scenarios::*;
use crate::testing::sim::schedule::Deviations;
use crate::testing::sim::several::{crowd_of_readers, dead_readers, dead_slots, slots};

const LOST_AND_FORGED: Faults = Faults { hints: 4, ..NOTHING };
const ALL: Faults = Faults { hints: 4, ..ACCIDENTS };

#[track_caller]
fn assert_safe(faults: Faults, scenario: Scenario) {
    sample(&Scenario { wake_hints: true, faults, caching: NAMES, ..scenario }).assert_safe();
}

/// When a run without faults first reports this, in seconds.
fn time_of(trace: &[String], what: &[&str]) -> f64 {
    let line = trace.iter().find(|line| what.iter().all(|word| line.contains(word)));
    let line = line.unwrap_or_else(|| panic!("no {what:?} in\n{}", trace.join("\n")));
    line.split_ascii_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn a_hint_ends_a_pause() {
    let holds = |wake_hints| {
        let scenario = Scenario { wake_hints, ..one_lease() };
        let trace = run(&scenario, &mut Deviations::parse("").unwrap(), true).trace;
        time_of(&trace, &["bob", "HOLDS"]) - time_of(&trace, &["alice", "begins to unlock"])
    };
    assert!(holds(true) < 0.1, "{}", holds(true));
    assert!(holds(false) > 0.1, "without hints it makes a difference, too: {}", holds(false));
}

#[test]
fn two_in_every_order() {
    let faults = Faults { hints: 1, ..CRASH };
    explore(&Scenario { wake_hints: true, faults, ..two() }, 1).assert_safe();
}

#[test]
fn hints_that_are_lost_repeated_and_forged() {
    assert_safe(LOST_AND_FORGED, three());
    assert_safe(LOST_AND_FORGED, five());
    assert_safe(LOST_AND_FORGED, long_tenures());
}

#[test]
fn hints_and_accidents() {
    assert_safe(ALL, five());
    assert_safe(ALL, takeovers_by_lease());
    assert_safe(ALL, sweeping());
    assert_safe(ALL, clones());
    assert_safe(Faults { reboots: 1, ..ALL }, reboots());
}

#[test]
fn hints_and_errors() {
    assert_safe(Faults { errors: 2, crashes: 1, ..LOST_AND_FORGED }, five());
    assert_safe(Faults { repeats: 1, stalls: 1, ..LOST_AND_FORGED }, two_twice());
}

#[test]
fn hints_beside_other_options() {
    assert_safe(ALL, kept_claims());
    assert_safe(ALL, kept_alive());
    assert_safe(ALL, threads());
    assert_safe(ALL, forks());
    assert_safe(ALL, hand_over());
    assert_safe(ALL, five_with_tokens());
    assert_safe(ALL, lifetimes());
    assert_safe(LOST_AND_FORGED, neighbour());
}

#[test]
fn hints_for_slots_and_readers() {
    assert_safe(LOST_AND_FORGED, slots());
    assert_safe(ALL, dead_slots());
    assert_safe(LOST_AND_FORGED, crowd_of_readers());
    assert_safe(ALL, dead_readers());
}
