//! All faults of machines, and requests that fail, in the same run.

use super::NAMES;
use crate::testing::sim::explore::sample;
use crate::testing::sim::faults::{Faults, NOTHING};
use crate::testing::sim::scenario::Scenario;
use crate::testing::sim::scenarios::*;

const ALL: Faults = Faults { crashes: 2, stalls: 2, errors: 3, clock_steps: 1, ..NOTHING };

#[track_caller]
fn assert_safe(scenario: Scenario) {
    let caching = if scenario.local { scenario.caching } else { NAMES };
    sample(&Scenario { faults: ALL, caching, ..scenario }).assert_safe();
}

#[test]
fn five_tenures() {
    assert_safe(five());
    assert_safe(Scenario { local: true, ..five() });
}

#[test]
fn heirs() {
    assert_safe(takeovers());
    assert_safe(takeovers_by_lease());
}

#[test]
fn kept() {
    assert_safe(kept_claims());
    assert_safe(Scenario { local: true, ..kept_claims() });
}

#[test]
fn swept() {
    assert_safe(sweeping());
}

#[test]
fn long() {
    assert_safe(long_tenures());
}

#[test]
fn handed_over() {
    assert_safe(hand_over());
    assert_safe(hand_over_to_a_process());
}

#[test]
fn numbered() {
    assert_safe(five_with_tokens());
}

#[test]
fn rebooted() {
    let faults = Faults { reboots: 2, ..ALL };
    sample(&Scenario { faults, caching: NAMES, ..reboots() }).assert_safe();
}

#[test]
fn executed_twice() {
    let faults = Faults { repeats: 1, crashes: 1, stalls: 1, errors: 1, ..NOTHING };
    sample(&Scenario { faults, caching: NAMES, ..two_twice() }).assert_safe();
}
