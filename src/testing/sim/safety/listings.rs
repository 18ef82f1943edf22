//! Directory listings that are partial or out of date.

use super::NAMES;
use crate::testing::sim::explore::sample;
use crate::testing::sim::faults::{Faults, NOTHING};
use crate::testing::sim::scenario::Scenario;
use crate::testing::sim::scenarios::*;

#[track_caller]
fn assert_safe(scenario: Scenario) {
    let faults = Faults { listings: 2, crashes: 2, stalls: 1, ..NOTHING };
    sample(&Scenario { faults, caching: NAMES, ..scenario.clone() }).assert_safe();
    let faults = Faults { listings: 0, ..faults };
    sample(&Scenario { faults, caching: NAMES, stale_lists: true, ..scenario }).assert_safe();
}

#[test]
fn sweeping_by_partial_lists() {
    assert_safe(sweeping());
}

#[test]
fn kept_claims_and_partial_lists() {
    assert_safe(kept_claims());
}

#[test]
fn tokens_and_partial_lists() {
    assert_safe(five_with_tokens());
}

#[test]
fn names_that_are_lost_and_partial_lists() {
    let faults = Faults { power_cuts: 1, listings: 2, crashes: 1, ..NOTHING };
    sample(&Scenario { faults, stale_lists: true, ..sweeping() }).assert_safe();
}
