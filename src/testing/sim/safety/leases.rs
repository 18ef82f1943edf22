//! Leases of several lengths, and causes that end one too early or too late.

use super::NAMES;
use crate::policy::StalePolicy;
use crate::testing::sim::constants::LONG_LIFETIME;
use crate::testing::sim::explore::{explore, sample};
use crate::testing::sim::faults::{Faults, NOTHING};
use crate::testing::sim::scenario::Scenario;
use crate::testing::sim::scenarios::*;
use crate::testing::sim::situations::*;

const ACCIDENTS: Faults = Faults { crashes: 2, stalls: 1, clock_steps: 1, ..NOTHING };

/// A refresh that shortens the lease and fails must not leave its holder believing in the longer
/// one.
#[test]
fn a_lease_that_is_shortened_by_a_refresh_that_fails() {
    let faults = Faults { errors: 1, ..NOTHING };
    explore(&Scenario { faults, ..shortened_lease() }, 1).assert_safe();
}

#[test]
fn leases_of_many_lengths() {
    let faults = Faults { errors: 2, ..ACCIDENTS };
    sample(&Scenario { faults, caching: NAMES, ..many_lengths() }).assert_safe();
    sample(&Scenario { faults, local: true, ..many_lengths() }).assert_safe();
}

#[test]
fn different_lifetimes() {
    sample(&Scenario { faults: ACCIDENTS, caching: NAMES, ..lifetimes() }).assert_safe();
}

#[test]
fn different_policies() {
    let policies = vec![(1, StalePolicy::Expired)];
    sample(&Scenario { faults: ACCIDENTS, policies, caching: NAMES, ..five() }).assert_safe();
}

#[test]
fn a_seat_that_was_forfeited_and_an_error() {
    explore(&forfeited_seat_and_an_error(), 1).assert_safe();
    sample(&forfeited_seat_and_an_error()).assert_safe();
}

#[test]
fn a_breaker_that_is_slow_in_its_seat() {
    explore(&slow_in_its_seat(), 1).assert_safe();
}

/// A seat's lease is shorter than its breaker's lifetime.
#[test]
fn a_breaker_with_a_long_lifetime_that_stands_still() {
    let scenario = slow_breaker();
    assert!(scenario.lifetime == LONG_LIFETIME);
    explore(&scenario, 0).assert_safe();
}

#[test]
fn a_kept_claim_that_was_late() {
    sample(&kept_claim_that_was_late()).assert_safe();
}

#[test]
fn a_seat_that_is_only_in_a_cache() {
    explore(&seat_in_a_cache(), 1).assert_safe();
    sample(&seat_in_a_cache()).assert_safe();
}
