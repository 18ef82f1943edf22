//! Locks that one process owns and another keeps alive.

use std::time::Duration;

use super::NAMES;
use crate::testing::sim::explore::{explore, explore_pairs, sample};
use crate::testing::sim::faults::{ACCIDENTS, Faults, NOTHING};
use crate::testing::sim::scenario::Scenario;
use crate::testing::sim::scenarios::*;
use crate::testing::sim::situations::*;

#[test]
fn an_owner_that_dies_before_its_adopter() {
    explore(&dying_owner(), 1).assert_safe();
    sample(&Scenario { faults: ACCIDENTS, ..dying_owner() }).assert_safe();
    sample(&Scenario { faults: ACCIDENTS, local: true, ..dying_owner() }).assert_safe();
}

#[test]
fn two_adopters_in_every_order() {
    explore_pairs(&two_adopters()).assert_safe();
}

#[test]
fn two_adopters_and_accidents() {
    sample(&Scenario { faults: ACCIDENTS, caching: NAMES, ..two_adopters() }).assert_safe();
    let faults = Faults { errors: 2, stalls: 1, ..NOTHING };
    sample(&Scenario { faults, caching: NAMES, ..two_adopters() }).assert_safe();
}

/// A forked child holds no lock, and its copy of the parent's guard has no effect.
#[test]
fn forked_children() {
    explore(&forks(), 1).assert_safe();
    sample(&Scenario { faults: ACCIDENTS, caching: NAMES, ..forks() }).assert_safe();
}

#[test]
fn locks_that_others_act_on() {
    explore(&attached(), 1).assert_safe();
    sample(&Scenario { faults: ACCIDENTS, caching: NAMES, ..attached() }).assert_safe();
    sample(&Scenario { faults: ACCIDENTS, local: true, ..attached() }).assert_safe();
    let faults = Faults { errors: 2, crashes: 1, stalls: 1, ..NOTHING };
    sample(&Scenario { faults, caching: NAMES, ..attached() }).assert_safe();
}

/// Without stalls: see `an_old_refresh_of_another_process`.
#[test]
fn locks_that_two_refresh() {
    let faults = Faults { late_copies: 2, errors: 1, crashes: 1, ..NOTHING };
    let delay = Duration::from_secs(8);
    sample(&Scenario { faults, caching: NAMES, delay, ..attached_twice() }).assert_safe();
}

#[test]
fn locks_that_others_act_on_and_delegations() {
    let faults = Faults { delegations: 2, crashes: 1, stalls: 1, ..NOTHING };
    sample(&Scenario { faults, caching: NAMES, ..attached() }).assert_safe();
}

#[test]
fn locks_that_others_act_on_and_late_copies() {
    let faults = Faults { late_copies: 2, crashes: 1, stalls: 1, ..NOTHING };
    let delay = Duration::from_secs(8);
    sample(&Scenario { faults, caching: NAMES, delay, ..attached() }).assert_safe();
}

/// Not so with a release that relies on being alone: see `a_live_lock_that_is_broken_in_its_release`.
#[test]
fn locks_that_several_end() {
    explore(&ended_by_two_at_once(), 2).assert_safe();
    let faults = Faults { stalls: 2, crashes: 1, ..NOTHING };
    for scenario in [ended_by_several(), ended_by_two_at_once()] {
        sample(&Scenario { faults, caching: NAMES, ..scenario.clone() }).assert_safe();
        sample(&Scenario { faults, local: true, ..scenario }).assert_safe();
    }
}
