//! Sets of slots.

use super::NAMES;
use crate::policy::StalePolicy;
use crate::testing::sim::explore::{explore, sample};
use crate::testing::sim::faults::{ACCIDENTS, Faults, NOTHING};
use crate::testing::sim::scenario::Scenario;
use crate::testing::sim::several::{dead_slots, slots, slots_and_a_lock};

#[track_caller]
fn assert_safe(scenario: Scenario) {
    explore(&scenario, 1).assert_safe();
    sample(&Scenario { faults: ACCIDENTS, caching: NAMES, ..scenario.clone() }).assert_safe();
    sample(&Scenario { faults: ACCIDENTS, local: true, ..scenario.clone() }).assert_safe();
    let policy = StalePolicy::Expired;
    sample(&Scenario { faults: ACCIDENTS, policy, ..scenario.clone() }).assert_safe();
    let faults = Faults { errors: 2, crashes: 1, stalls: 2, ..NOTHING };
    sample(&Scenario { faults, caching: NAMES, ..scenario.clone() }).assert_safe();
    let faults = Faults { crashes: 1, delegations: 1, ..NOTHING };
    sample(&Scenario { faults, stale_lists: true, ..scenario }).assert_safe();
}

#[test]
fn more_contenders_than_slots() {
    assert_safe(slots());
}

#[test]
fn a_lock_by_itself_in_a_slot() {
    assert_safe(slots_and_a_lock());
}

#[test]
fn a_dead_holder_of_a_slot() {
    assert_safe(dead_slots());
}
