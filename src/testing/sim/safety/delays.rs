//! Requests that the server delays for far longer than the clock slop, because a dead client has a
//! delegation of their inode.

use super::NAMES;
use crate::testing::sim::explore::{explore_pairs, sample};
use crate::testing::sim::faults::{Faults, NOTHING};
use crate::testing::sim::scenario::Scenario;
use crate::testing::sim::scenarios::*;
use crate::testing::sim::situations::*;

const HELD_BACK: Faults = Faults { delegations: 2, crashes: 1, stalls: 1, ..NOTHING };

#[track_caller]
fn assert_safe(scenario: Scenario) {
    sample(&Scenario { faults: HELD_BACK, caching: NAMES, ..scenario }).assert_safe();
}

#[test]
fn two_in_every_order() {
    let faults = Faults { delegations: 1, ..NOTHING };
    explore_pairs(&Scenario { faults, ..two() }).assert_safe();
}

#[test]
fn three_in_every_order() {
    let faults = Faults { delegations: 1, ..NOTHING };
    explore_pairs(&Scenario { faults, ..three_briefly() }).assert_safe();
}

#[test]
fn two_and_delegations() {
    assert_safe(two_twice());
}

#[test]
fn three_and_delegations() {
    assert_safe(three());
}

#[test]
fn five_and_delegations() {
    assert_safe(five());
}

#[test]
fn long_tenures_and_delegations() {
    assert_safe(long_tenures());
}

#[test]
fn heirs_and_delegations() {
    assert_safe(takeovers_by_lease());
}

#[test]
fn kept_claims_and_delegations() {
    assert_safe(kept_claims());
}

#[test]
fn sweeping_and_delegations() {
    assert_safe(sweeping());
}

#[test]
fn handing_over_and_delegations() {
    assert_safe(hand_over());
    assert_safe(hand_over_to_a_process());
}

#[test]
fn tokens_and_delegations() {
    assert_safe(five_with_tokens());
}

#[test]
fn delegations_and_errors() {
    let faults = Faults { errors: 2, ..HELD_BACK };
    sample(&Scenario { faults, caching: NAMES, ..five() }).assert_safe();
    sample(&Scenario { faults, caching: NAMES, ..long_tenures() }).assert_safe();
}

/// A delayed request is then repeated, unless it is a RENAME or REMOVE.
#[test]
fn delegations_and_late_copies() {
    let faults = Faults { late_copies: 1, ..HELD_BACK };
    sample(&Scenario { faults, caching: NAMES, ..three() }).assert_safe();
}

#[test]
fn a_claim_that_is_gone_and_a_delegation() {
    explore_pairs(&claim_that_is_gone()).assert_safe();
    sample(&Scenario { caching: NAMES, ..claim_that_is_gone() }).assert_safe();
}
