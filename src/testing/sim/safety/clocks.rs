//! The server's clock: set back, set forward, or with time stamps of whole seconds.

use std::time::Duration;

use super::NAMES;
use crate::testing::sim::explore::{explore, explore_pairs, sample};
use crate::testing::sim::faults::{Faults, NOTHING};
use crate::testing::sim::scenario::Scenario;
use crate::testing::sim::scenarios::*;
use crate::testing::sim::situations::*;

const SET: Faults = Faults { server_steps: 1, crashes: 1, stalls: 1, clock_steps: 1, ..NOTHING };
const ACCIDENTS: Faults = Faults { server_steps: 0, ..SET };

/// The share of the slop that is left for a request: D + 2 E < S.
const fn delay(error: u64) -> Duration {
    Duration::from_secs(9 - 2 * error)
}

#[track_caller]
fn assert_safe_when_set(scenario: Scenario) {
    sample(&Scenario { faults: SET, caching: NAMES, delay: delay(2), ..scenario }).assert_safe();
}

#[track_caller]
fn assert_safe_when_coarse(scenario: &Scenario) {
    for seconds in [1, 2] {
        let (resolution, delay) = (Duration::from_secs(seconds), delay(seconds));
        let scenario =
            Scenario { faults: ACCIDENTS, caching: NAMES, resolution, delay, ..scenario.clone() };
        sample(&scenario).assert_safe();
    }
}

#[test]
fn five_and_a_clock_that_is_set() {
    assert_safe_when_set(five());
}

#[test]
fn two_on_one_machine_whose_clock_is_set() {
    let faults = Faults { server_steps: 1, crashes: 1, stalls: 1, ..NOTHING };
    sample(&Scenario { faults, delay: delay(2), ..two_on_one_machine() }).assert_safe();
    sample(&Scenario { faults, delay: delay(2), ..takeovers() }).assert_safe();
}

#[test]
fn long_tenures_and_a_clock_that_is_set() {
    assert_safe_when_set(long_tenures());
}

#[test]
fn kept_claims_and_a_clock_that_is_set() {
    assert_safe_when_set(kept_claims());
}

#[test]
fn sweeping_and_a_clock_that_is_set() {
    assert_safe_when_set(sweeping());
}

#[test]
fn handing_over_and_a_clock_that_is_set() {
    assert_safe_when_set(hand_over());
    assert_safe_when_set(hand_over_to_a_process());
}

#[test]
fn heirs_and_a_clock_that_is_set() {
    assert_safe_when_set(takeovers_by_lease());
}

#[test]
fn reboots_and_a_clock_that_is_set() {
    assert_safe_when_set(reboots());
}

#[test]
fn tokens_and_a_clock_that_is_set() {
    assert_safe_when_set(five_with_tokens());
}

#[test]
fn five_and_coarse_time_stamps() {
    assert_safe_when_coarse(&five());
}

#[test]
fn kept_claims_and_coarse_time_stamps() {
    assert_safe_when_coarse(&kept_claims());
}

#[test]
fn long_tenures_and_coarse_time_stamps() {
    assert_safe_when_coarse(&long_tenures());
}

#[test]
fn handing_over_and_coarse_time_stamps() {
    assert_safe_when_coarse(&hand_over());
}

/// Coarse dates do not show that a lock file is the one that was seen last.
#[test]
fn a_lock_file_like_the_last_one() {
    explore(&like_a_dead_holders(), 1).assert_safe();
}

/// What one coarse stamp hides of a step and another shows adds up.
#[test]
fn five_and_a_coarse_clock_that_is_set() {
    for (seconds, scenario) in [(1, five()), (2, takeovers_by_lease())] {
        let (resolution, delay) = (Duration::from_secs(seconds), delay(2 + seconds));
        sample(&Scenario { faults: SET, caching: NAMES, resolution, delay, ..scenario })
            .assert_safe();
    }
}

#[test]
fn waiters_that_see_a_coarse_clock_jump() {
    for seconds in [1, 2] {
        let (resolution, delay) = (Duration::from_secs(seconds), delay(seconds));
        explore(&Scenario { delay, resolution, ..watchers_of_a_jump() }, 1).assert_safe();
    }
}

#[test]
fn waiters_and_a_clock_that_jumps() {
    let faults = Faults { server_jumps: 1, crashes: 1, ..NOTHING };
    sample(&Scenario { faults, caching: NAMES, ..watchers() }).assert_safe();
}

#[test]
fn waiters_that_see_the_clock_jump() {
    explore(&watchers_of_a_jump(), 1).assert_safe();
}

#[test]
fn locks_that_are_dated_ahead() {
    explore(&dated_ahead(), 1).assert_safe();
}

#[test]
fn a_holder_that_is_alive_after_a_jump() {
    explore_pairs(&alive_after_a_jump()).assert_safe();
}
