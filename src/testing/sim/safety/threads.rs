//! Several threads of one process that share a guard or a handle.

use super::NAMES;
use crate::testing::sim::explore::{explore, sample};
use crate::testing::sim::faults::{ACCIDENTS, Faults, NOTHING};
use crate::testing::sim::scenario::Scenario;
use crate::testing::sim::scenarios::*;

#[track_caller]
fn assert_safe(scenario: Scenario) {
    explore(&scenario, 1).assert_safe();
    sample(&Scenario { faults: ACCIDENTS, caching: NAMES, ..scenario.clone() }).assert_safe();
    sample(&Scenario { faults: ACCIDENTS, local: true, ..scenario.clone() }).assert_safe();
    let faults = Faults { errors: 2, crashes: 1, stalls: 2, ..NOTHING };
    sample(&Scenario { faults, caching: NAMES, ..scenario.clone() }).assert_safe();
    let faults = Faults { delegations: 2, stalls: 1, ..NOTHING };
    sample(&Scenario { faults, caching: NAMES, ..scenario }).assert_safe();
}

#[test]
fn threads_that_share_a_guard() {
    assert_safe(threads());
}

#[test]
fn threads_that_share_a_handle() {
    assert_safe(shared_handles());
    assert_safe(Scenario { keep_claim: true, ..shared_handles() });
}

#[test]
fn a_thread_that_keeps_a_lock_alive() {
    assert_safe(kept_alive());
}
