//! The lock on a mailbox: only the holder has the mailbox while its dotlock must be respected.

use super::{CRASH_OR_STALL, NAMES};
use crate::testing::sim::explore::{explore, sample, search};
use crate::testing::sim::faults::{ACCIDENTS, Faults, NOTHING};
use crate::testing::sim::mail_programs::*;
use crate::testing::sim::safety_checker::MailboxUse;
use crate::testing::sim::scenario::{Participant, Scenario};
use crate::testing::sim::scenarios::scenario;

const BOTH: MailboxUse = MailboxUse { uses_fcntl: true, exists: true };
const DOTLOCK_ALONE: MailboxUse = MailboxUse { uses_fcntl: false, exists: true };
const NO_MAILBOX: MailboxUse = MailboxUse { uses_fcntl: true, exists: false };

fn programs(mailbox: MailboxUse, parts: &[Participant]) -> Scenario {
    Scenario { mailbox: Some(mailbox), ..scenario(parts) }
}

fn two() -> Scenario {
    programs(DOTLOCK_ALONE, &[("alice", 0, tenure), ("bob", 1, tenure)])
}

fn four() -> Scenario {
    programs(
        DOTLOCK_ALONE,
        &[
            ("alice", 0, two_tenures),
            ("bob", 1, long_tenure),
            ("carol", 1, careful_tenure),
            ("dave", 2, tenure),
        ],
    )
}

/// A dead holder, one that is late, and the programs that come after them.
fn heirs() -> Scenario {
    programs(
        DOTLOCK_ALONE,
        &[
            ("alice", 0, last_tenure),
            ("bob", 1, late_refresh),
            ("carol", 1, tenure),
            ("dave", 2, late_unlock),
        ],
    )
}

/// A program of another kind among ours.
fn neighbours() -> Scenario {
    programs(
        DOTLOCK_ALONE,
        &[("alice", 0, two_tenures), ("bob", 1, long_tenure), ("procmail", 2, two_foreign_tenures)],
    )
}

#[test]
fn two_in_every_order() {
    explore(&Scenario { faults: CRASH_OR_STALL, ..two() }, 1).assert_safe();
}

#[test]
fn by_both_locks_or_by_the_dotlock_alone() {
    for mailbox in [BOTH, DOTLOCK_ALONE, NO_MAILBOX] {
        let scenario = Scenario { mailbox: Some(mailbox), ..four() };
        sample(&Scenario { faults: ACCIDENTS, caching: NAMES, ..scenario }).assert_safe();
    }
}

#[test]
fn on_a_local_file_system() {
    sample(&Scenario { faults: ACCIDENTS, local: true, ..four() }).assert_safe();
    sample(&Scenario { faults: ACCIDENTS, local: true, ..heirs() }).assert_safe();
}

#[test]
fn the_dead_and_the_late() {
    sample(&Scenario { faults: ACCIDENTS, caching: NAMES, ..heirs() }).assert_safe();
    let both = Scenario { mailbox: Some(BOTH), ..heirs() };
    sample(&Scenario { faults: ACCIDENTS, ..both }).assert_safe();
}

/// Two programs only: a third could lock the mailbox while the second's dotlock is put back, see
/// `a_rename_executed_twice_lets_a_third_in` in `mutants`.
#[test]
fn lost_replies() {
    let faults = Faults { repeats: 2, restarts: 1, stalls: 1, ..NOTHING };
    sample(&Scenario { faults, caching: NAMES, ..two() }).assert_safe();
}

/// One fault only: if both attempts to give back the right to take over a dotlock fail, and the
/// process lives on, no other process of its host ever gets that right, since each attempt observes
/// it for the first time.
#[test]
fn requests_that_fail() {
    let faults = Faults { errors: 1, crashes: 1, stalls: 1, ..NOTHING };
    sample(&Scenario { faults, ..heirs() }).assert_safe();
}

#[test]
fn another_mail_program() {
    sample(&Scenario { faults: ACCIDENTS, ..neighbours() }).assert_safe();
    sample(&Scenario { faults: ACCIDENTS, local: true, ..neighbours() }).assert_safe();
}

/// A control for the checkers: a breaker that judges by name takes a live dotlock away.
#[test]
fn a_careless_breaker_is_found() {
    let parts: [Participant; 4] = [
        ("alice", 0, last_tenure),
        ("bob", 1, careless_tenure),
        ("carol", 1, careless_tenure),
        ("dave", 2, tenure),
    ];
    let found = ["takes the lock away", "while the lease of", "did not learn that it lost"];
    search(&programs(DOTLOCK_ALONE, &parts)).assert_found(&found);
}
