//! Contenders with different clock slops: the shortest one bounds a request.

use super::NAMES;
use crate::testing::sim::explore::sample;
use crate::testing::sim::faults::{ACCIDENTS, Faults, NOTHING};
use crate::testing::sim::scenario::Scenario;
use crate::testing::sim::scenarios::*;

#[track_caller]
fn assert_safe(scenario: Scenario) {
    let scenario = unequal_slops(scenario);
    sample(&Scenario { faults: ACCIDENTS, caching: NAMES, ..scenario.clone() }).assert_safe();
    let faults = Faults { errors: 2, crashes: 1, stalls: 2, ..NOTHING };
    sample(&Scenario { faults, caching: NAMES, ..scenario }).assert_safe();
}

#[test]
fn five_slops() {
    assert_safe(five());
}

#[test]
fn long_tenures_and_different_slops() {
    assert_safe(long_tenures());
}

#[test]
fn heirs_with_different_slops() {
    assert_safe(takeovers_by_lease());
}

#[test]
fn handing_over_between_different_slops() {
    assert_safe(hand_over());
}
