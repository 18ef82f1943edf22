//! The scenarios that must be safe.

mod clocks;
mod copies;
mod delays;
mod durability;
mod hints;
mod leases;
mod listings;
mod mailboxes;
mod owners;
mod readers;
mod slops;
mod slots;
mod threads;
mod wide;

use super::explore::{explore, explore_pairs, sample};
use super::faults::{ACCIDENTS, Caching, Faults, NOTHING};
use super::scenario::Scenario;
use super::scenarios::{
    clones, five, five_with_tokens, hand_over, hand_over_to_a_process, kept_claims, long_tenures,
    neighbour, reboots, sweeping, takeovers, takeovers_by_lease, three, three_briefly, two,
    two_on_one_machine, two_twice, two_with_tokens,
};
use super::situations::{forfeited_seat, kept_claim_that_has_expired};
use crate::policy::StalePolicy;

const NAMES: Caching = Caching::Names;
const CRASH: Faults = Faults { crashes: 1, ..NOTHING };
const CRASH_OR_STALL: Faults = Faults { crashes: 1, stalls: 1, ..NOTHING };
const TROUBLE: Faults = Faults { crashes: 1, errors: 2, ..NOTHING };

/// Whatever goes wrong, on any file system, by any policy.
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
    sample(&Scenario { faults, stale_lists: true, ..scenario }).assert_safe();
}

#[test]
fn two_in_every_order() {
    explore_pairs(&Scenario { faults: CRASH_OR_STALL, ..two() }).assert_safe();
}

#[test]
fn two_in_every_order_on_a_local_file_system() {
    explore_pairs(&Scenario { faults: CRASH_OR_STALL, ..two_on_one_machine() }).assert_safe();
}

#[test]
fn two_with_errors_in_every_order() {
    explore_pairs(&Scenario { faults: TROUBLE, ..two() }).assert_safe();
}

#[test]
fn three_in_every_order() {
    explore_pairs(&Scenario { faults: CRASH, ..three_briefly() }).assert_safe();
}

#[test]
fn three_in_every_order_on_a_local_file_system() {
    explore_pairs(&Scenario { faults: CRASH, local: true, ..three_briefly() }).assert_safe();
}

#[test]
fn heirs_in_every_order() {
    explore_pairs(&takeovers()).assert_safe();
}

/// Two processes only: a third could acquire the lock while the second's lock file is put back,
/// which no lock can prevent on a server that executes a RENAME twice. See `guide::safety`, and
/// `mutants`.
#[test]
fn two_and_requests_executed_twice() {
    let faults = Faults { repeats: 1, ..NOTHING };
    explore_pairs(&Scenario { faults, ..two() }).assert_safe();
    sample(&Scenario { faults, ..two() }).assert_safe();
}

#[test]
fn two_and_a_server_that_restarts() {
    let faults = Faults { restarts: 2, ..NOTHING };
    explore_pairs(&Scenario { faults, ..two() }).assert_safe();
    sample(&Scenario { faults, ..two_twice() }).assert_safe();
}

#[test]
fn three_with_accidents() {
    sample(&Scenario { faults: ACCIDENTS, ..three() }).assert_safe();
}

#[test]
fn three_with_accidents_on_a_local_file_system() {
    sample(&Scenario { faults: ACCIDENTS, local: true, ..three() }).assert_safe();
}

#[test]
fn three_with_accidents_and_stale_names() {
    sample(&Scenario { faults: ACCIDENTS, caching: NAMES, ..three() }).assert_safe();
}

#[test]
fn three_with_errors() {
    sample(&Scenario { faults: TROUBLE, caching: NAMES, ..three() }).assert_safe();
}

#[test]
fn five_with_accidents() {
    sample(&Scenario { faults: ACCIDENTS, caching: NAMES, ..five() }).assert_safe();
}

#[test]
fn five_by_leases_alone() {
    let policy = StalePolicy::Expired;
    sample(&Scenario { faults: ACCIDENTS, policy, ..five() }).assert_safe();
}

/// However late a holder is, its lock is never taken over.
#[test]
fn five_who_never_break_a_lock() {
    let faults = Faults { stalls: 2, clock_steps: 1, ..NOTHING };
    sample(&Scenario { faults, policy: StalePolicy::Never, caching: NAMES, ..five() })
        .assert_safe();
}

#[test]
fn long_tenures_and_long_waits() {
    let faults = Faults { stalls: 1, ..NOTHING };
    sample(&Scenario { faults, caching: NAMES, ..long_tenures() }).assert_safe();
}

#[test]
fn machines_that_are_rebooted() {
    sample(&Scenario { caching: NAMES, ..reboots() }).assert_safe();
}

#[test]
fn machines_that_are_clones() {
    sample(&clones()).assert_safe();
}

#[test]
fn heirs_by_lease() {
    sample(&Scenario { faults: ACCIDENTS, ..takeovers_by_lease() }).assert_safe();
}

#[test]
fn locks_that_are_handed_over() {
    sample(&Scenario { faults: ACCIDENTS, ..hand_over() }).assert_safe();
    sample(&Scenario { faults: ACCIDENTS, ..hand_over_to_a_process() }).assert_safe();
}

#[test]
fn sweeping_beside_the_living() {
    sample(&Scenario { faults: ACCIDENTS, caching: NAMES, ..sweeping() }).assert_safe();
}

#[test]
fn flufl_lock_for_a_neighbour() {
    sample(&neighbour()).assert_safe();
    sample(&Scenario { faults: CRASH_OR_STALL, ..neighbour() }).assert_safe();
}

#[test]
fn a_seat_that_was_forfeited() {
    sample(&forfeited_seat()).assert_safe();
}

#[test]
fn tokens_in_every_order() {
    explore(&Scenario { faults: CRASH_OR_STALL, ..two_with_tokens() }, 1).assert_safe();
}

#[test]
fn tokens_with_accidents() {
    sample(&Scenario { faults: ACCIDENTS, ..five_with_tokens() }).assert_safe();
    sample(&Scenario { faults: ACCIDENTS, caching: NAMES, ..five_with_tokens() }).assert_safe();
    sample(&Scenario { faults: ACCIDENTS, local: true, ..five_with_tokens() }).assert_safe();
}

#[test]
fn tokens_with_errors_and_lost_replies() {
    sample(&Scenario { faults: TROUBLE, caching: NAMES, ..five_with_tokens() }).assert_safe();
    let faults = Faults { repeats: 1, stalls: 1, ..NOTHING };
    sample(&Scenario { faults, caching: NAMES, ..two_with_tokens() }).assert_safe();
}

#[test]
fn claims_that_are_kept() {
    sample(&Scenario { faults: ACCIDENTS, caching: NAMES, ..kept_claims() }).assert_safe();
    sample(&Scenario { faults: ACCIDENTS, local: true, ..kept_claims() }).assert_safe();
    sample(&kept_claim_that_has_expired()).assert_safe();
}
