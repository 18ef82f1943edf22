//! Sets of slots.

use super::assert_safe;
use crate::testing::sim::several::{dead_slots, slots, slots_and_a_lock};

#[test]
fn more_contenders_than_slots() {
    assert_safe(slots());
}

#[test]
fn a_lock_by_itself_in_a_slot() {
    assert_safe(slots_and_a_lock());
}

#[test]
fn a_dead_holder_of_a_slot() {
    assert_safe(dead_slots());
}
