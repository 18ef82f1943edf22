//! Readers and writers of one lock.

use super::NAMES;
use crate::policy::StalePolicy;
use crate::testing::sim::explore::{explore, sample};
use crate::testing::sim::faults::{ACCIDENTS, Faults, NOTHING};
use crate::testing::sim::scenario::Scenario;
use crate::testing::sim::several::{
    crowd_of_readers, dead_readers, reader_and_writer, writers_that_read,
};

#[track_caller]
fn assert_safe(scenario: Scenario) {
    explore(&scenario, 1).assert_safe();
    sample(&Scenario { faults: ACCIDENTS, caching: NAMES, ..scenario.clone() }).assert_safe();
    sample(&Scenario { faults: ACCIDENTS, local: true, ..scenario.clone() }).assert_safe();
    let policy = StalePolicy::Expired;
    sample(&Scenario { faults: ACCIDENTS, policy, ..scenario.clone() }).assert_safe();
    let faults = Faults { errors: 2, crashes: 1, stalls: 2, ..NOTHING };
    sample(&Scenario { faults, caching: NAMES, ..scenario.clone() }).assert_safe();
    let faults = Faults { crashes: 1, delegations: 1, ..NOTHING };
    sample(&Scenario { faults, stale_lists: true, ..scenario.clone() }).assert_safe();
    let faults = Faults { listings: 2, crashes: 1, stalls: 1, ..NOTHING };
    sample(&Scenario { faults, caching: NAMES, ..scenario }).assert_safe();
}

#[test]
fn a_reader_and_a_writer() {
    assert_safe(reader_and_writer());
}

#[test]
fn many_readers() {
    assert_safe(crowd_of_readers());
}

#[test]
fn readers_that_died() {
    assert_safe(dead_readers());
}

#[test]
fn writers_that_become_readers() {
    assert_safe(writers_that_read());
}
