//! Requests of which the server executes a copy after its reply.

use std::time::Duration;

use super::NAMES;
use crate::testing::sim::explore::sample;
use crate::testing::sim::faults::{Faults, NOTHING};
use crate::testing::sim::scenario::Scenario;
use crate::testing::sim::scenarios::*;

const COPIES: Faults = Faults { late_copies: 2, crashes: 1, stalls: 1, ..NOTHING };

#[track_caller]
fn assert_safe(scenario: Scenario) {
    let delay = Duration::from_secs(8);
    sample(&Scenario { faults: COPIES, caching: NAMES, delay, ..scenario }).assert_safe();
}

#[test]
fn three_and_late_copies() {
    assert_safe(three());
}

#[test]
fn five_and_late_copies() {
    assert_safe(five());
}

#[test]
fn kept_claims_and_late_copies() {
    assert_safe(kept_claims());
}

#[test]
fn long_tenures_and_late_copies() {
    assert_safe(long_tenures());
}

#[test]
fn heirs_and_late_copies() {
    assert_safe(takeovers_by_lease());
}

#[test]
fn handing_over_and_late_copies() {
    assert_safe(hand_over());
}

/// With two processes only, as for a request that is executed twice at once: see
/// `two_and_requests_executed_twice`.
#[test]
fn two_and_late_removals() {
    let faults = Faults { late_removals: 1, ..NOTHING };
    sample(&Scenario { faults, ..two() }).assert_safe();
}

#[test]
fn leases_of_many_lengths_and_late_copies() {
    assert_safe(many_lengths());
}
