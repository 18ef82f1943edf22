//! Locks whose owner is not who keeps them alive.

use super::NAMES;
use crate::testing::sim::explore::{explore, sample};
use crate::testing::sim::faults::{ACCIDENTS, Faults, NOTHING};
use crate::testing::sim::scenario::Scenario;
use crate::testing::sim::scenarios::*;

#[test]
fn an_owner_that_dies_before_its_adopter() {
    explore(&dying_owner(), 1).assert_safe();
    sample(&Scenario { faults: ACCIDENTS, ..dying_owner() }).assert_safe();
    sample(&Scenario { faults: ACCIDENTS, local: true, ..dying_owner() }).assert_safe();
}

#[test]
fn two_adopters_in_every_order() {
    explore(&two_adopters(), 2).assert_safe();
}

#[test]
fn two_adopters_and_accidents() {
    sample(&Scenario { faults: ACCIDENTS, caching: NAMES, ..two_adopters() }).assert_safe();
    let faults = Faults { errors: 2, stalls: 1, ..NOTHING };
    sample(&Scenario { faults, caching: NAMES, ..two_adopters() }).assert_safe();
}

/// A forked child holds nothing, and what it does with its parent's guard does nothing.
#[test]
fn forked_children() {
    explore(&forks(), 1).assert_safe();
    sample(&Scenario { faults: ACCIDENTS, caching: NAMES, ..forks() }).assert_safe();
}
