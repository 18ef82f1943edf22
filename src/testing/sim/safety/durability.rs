//! Contents that never reach the disk, and errors of write and close.

use super::NAMES;
use crate::testing::sim::explore::{explore, sample};
use crate::testing::sim::faults::{Faults, NOTHING};
use crate::testing::sim::scenario::Scenario;
use crate::testing::sim::scenarios::*;
use crate::testing::sim::situations::*;

const POWER_CUT: Faults = Faults { power_cuts: 1, ..NOTHING };

#[test]
fn a_machine_that_loses_power_in_every_order() {
    explore(&Scenario { faults: POWER_CUT, ..power_cuts() }, 1).assert_safe();
}

#[test]
fn a_machine_that_loses_power() {
    let faults = Faults { power_cuts: 2, crashes: 1, stalls: 1, ..NOTHING };
    sample(&Scenario { faults, ..power_cuts() }).assert_safe();
    sample(&Scenario { faults, keep_claim: true, ..power_cuts() }).assert_safe();
}

/// An async server that loses power undoes what it has answered, which breaks an assumption of the
/// guide's: this test checks only that no lock stays wedged.
#[test]
fn dead_holders_whose_names_are_lost() {
    explore(&Scenario { faults: POWER_CUT, ..takeovers_by_lease() }, 1).assert_safe();
    let faults = Faults { power_cuts: 1, crashes: 1, ..NOTHING };
    sample(&Scenario { faults, caching: NAMES, ..takeovers_by_lease() }).assert_safe();
}

/// Nothing identifies the holder of the lock file any more.
#[test]
fn lock_files_with_no_content_and_no_claim() {
    sample(&nameless()).assert_safe();
}
