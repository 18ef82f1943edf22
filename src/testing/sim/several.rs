//! Scenarios with more than one holder at a time: sets of slots, and readers beside writers.

use super::readers::{
    impatient_reading, impatient_writing, last_reading, reading, two_readings, two_writings,
    writing, writing_and_reading,
};
use super::scenario::{Participant, Scenario};
use super::scenarios::scenario;
use super::slots::{
    impatient_slot_tenure, last_tenure_of_the_other, slot_tenure, two_slot_tenures,
};
use super::workloads::{last_tenure, long_tenure, two_tenures};

/// Three contenders for two slots.
pub(super) fn slots() -> Scenario {
    let parts: [Participant; 4] = [
        ("alice", 0, two_slot_tenures),
        ("bob", 1, two_slot_tenures),
        ("carol", 1, slot_tenure),
        ("dave", 2, impatient_slot_tenure),
    ];
    Scenario { slots: true, ..scenario(&parts) }
}

/// Contenders for two slots, and for one of them as a lock by itself.
pub(super) fn slots_and_a_lock() -> Scenario {
    let parts: [Participant; 4] = [
        ("alice", 0, two_tenures),
        ("bob", 1, two_slot_tenures),
        ("carol", 1, slot_tenure),
        ("dave", 2, long_tenure),
    ];
    Scenario { slots: true, ..scenario(&parts) }
}

/// A dead holder of one slot, and contenders for both.
pub(super) fn dead_slots() -> Scenario {
    let parts: [Participant; 4] = [
        ("alice", 0, last_tenure_of_the_other),
        ("amy", 0, last_tenure),
        ("bob", 0, two_slot_tenures),
        ("carol", 1, slot_tenure),
    ];
    Scenario { slots: true, ..scenario(&parts) }
}

pub(super) fn reader_and_writer() -> Scenario {
    let parts: [Participant; 2] = [("alice", 0, two_readings), ("bob", 1, two_writings)];
    Scenario { readers: true, ..scenario(&parts) }
}

/// Readers on all machines, and a writer among them.
pub(super) fn crowd_of_readers() -> Scenario {
    let parts: [Participant; 5] = [
        ("alice", 0, two_readings),
        ("bob", 1, reading),
        ("carol", 1, writing),
        ("dave", 2, impatient_reading),
        ("eve", 2, impatient_writing),
    ];
    Scenario { readers: true, ..scenario(&parts) }
}

/// Readers that die, and writers after them, one of which can see one reader's death.
pub(super) fn dead_readers() -> Scenario {
    let parts: [Participant; 4] = [
        ("alice", 0, last_reading),
        ("amy", 1, last_reading),
        ("bob", 0, two_writings),
        ("carol", 2, reading),
    ];
    Scenario { readers: true, ..scenario(&parts) }
}

/// Writers that become readers.
pub(super) fn writers_that_read() -> Scenario {
    let parts: [Participant; 3] = [
        ("alice", 0, writing_and_reading),
        ("bob", 1, writing_and_reading),
        ("carol", 1, two_readings),
    ];
    Scenario { readers: true, ..scenario(&parts) }
}
