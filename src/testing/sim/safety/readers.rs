//! Readers and writers of one lock.

use super::{NAMES, assert_safe};
use crate::testing::sim::explore::sample;
use crate::testing::sim::faults::{Faults, NOTHING};
use crate::testing::sim::scenario::Scenario;
use crate::testing::sim::several::{
    crowd_of_readers, dead_readers, reader_and_writer, writers_that_read,
};

/// Also where a writer's listing may miss what comes and goes.
#[track_caller]
fn assert_safe_by_lists(scenario: Scenario) {
    assert_safe(scenario.clone());
    let faults = Faults { listings: 2, crashes: 1, stalls: 1, ..NOTHING };
    sample(&Scenario { faults, caching: NAMES, ..scenario }).assert_safe();
}

#[test]
fn a_reader_and_a_writer() {
    assert_safe_by_lists(reader_and_writer());
}

#[test]
fn many_readers() {
    assert_safe_by_lists(crowd_of_readers());
}

#[test]
fn readers_that_died() {
    assert_safe_by_lists(dead_readers());
}

#[test]
fn writers_that_become_readers() {
    assert_safe_by_lists(writers_that_read());
}
