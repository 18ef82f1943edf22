//! What must be found when a safeguard is missing: a checker that can't fail proves nothing.
//!
//! Each scenario here is one of those that are safe with all safeguards, see
//! [`safety`](super::safety).

use super::explore::{sample, search};
use super::scenario::{Caching, Faults, Scenario};
use super::scripts::{
    ACCIDENTS, NOTHING, five, forfeited_seat, kept_claim_that_has_expired, long_tenures,
    succession, sweeping, three, two, two_twice, two_with_tokens,
};
use crate::safeguard::Safeguard::{self, *};

/// Two hold the lock, or one is told that it still does, or a live one is taken away.
const UNSAFE: &[&str] =
    &["while the lease of", "was not told that it lost it", "takes the lock away"];

#[track_caller]
fn assert_needed(removed: &'static [Safeguard], scenario: &Scenario, kinds: &[&str]) {
    Safeguard::without(removed, || search(scenario)).assert_found(kinds);
}

/// It judges a lock, and then removes whatever has its name.
#[test]
fn flufl_locks_break() {
    assert_needed(&[Seat, SecondLook, LookAtCatch], &succession(), UNSAFE);
}

/// It touches its claim before it waits and after it has linked it, and not in between. Either of
/// ours makes up for it: whoever links a claim that has expired meanwhile is late from the first
/// moment on, and keeps to the rule for those.
#[test]
fn flufl_locks_late_touch() {
    assert_needed(&[FreshWhileWaiting, LateHolderTakesSeat], &long_tenures(), UNSAFE);
}

/// It takes EEXIST for another's lock, and then finds that it is its own.
#[test]
fn flufl_locks_trust_in_eexist() {
    let faults = Faults { repeats: 1, ..NOTHING };
    assert_needed(&[TruthIsInode], &Scenario { faults, ..two() }, &["is told a falsehood"]);
}

#[test]
fn the_seat() {
    assert_needed(&[Seat], &succession(), UNSAFE);
}

#[test]
fn the_second_look() {
    assert_needed(&[SecondLook], &succession(), UNSAFE);
}

/// A seat with an expired claim in it is no seat: nobody ever acts in one.
#[test]
fn the_touch_before_the_seat() {
    let scenario = Scenario { faults: ACCIDENTS, ..five() };
    assert_needed(
        &[TouchBeforeSeat],
        &scenario,
        &["never come to an end", "the next comer has waited"],
    );
}

#[test]
fn the_forfeited_seat() {
    assert_needed(&[ForfeitedSeat], &forfeited_seat(), UNSAFE);
}

#[test]
fn the_seats_of_the_dead() {
    assert_needed(&[SeatsOfTheDead], &forfeited_seat(), UNSAFE);
}

#[test]
fn the_late_holders_seat() {
    let scenario = Scenario { faults: ACCIDENTS, ..five() };
    assert_needed(&[LateHolderTakesSeat], &scenario, UNSAFE);
}

#[test]
fn the_look_at_the_catch() {
    let faults = Faults { restarts: 2, ..NOTHING };
    assert_needed(&[LookAtCatch], &Scenario { faults, ..two_twice() }, UNSAFE);
}

#[test]
fn the_servers_time() {
    assert_needed(&[ServersTime], &Scenario { faults: ACCIDENTS, ..three() }, UNSAFE);
}

#[test]
fn the_rest_for_the_dead() {
    assert_needed(&[RestForTheDead], &Scenario { faults: ACCIDENTS, ..three() }, UNSAFE);
}

#[test]
fn the_look_for_a_swept_claim() {
    let scenario = Scenario { faults: ACCIDENTS, caching: Caching::Names, ..sweeping() };
    assert_needed(&[SweptClaim], &scenario, &["was told that it lost what it has"]);
}

/// A sweeper that has found it expired may remove it once it is linked. Whoever looks what became of
/// a swept claim notices.
#[test]
fn kept_claims_that_have_expired() {
    let scenario = kept_claim_that_has_expired();
    Safeguard::without(&[SweptClaim], || sample(&scenario)).assert_safe();
    assert_needed(&[FreshFromShelf, SweptClaim], &scenario, &["was told that it lost what it has"]);
}

/// Whoever stalls between its link and its rename would have a token higher than its successor's.
#[test]
fn the_look_after_the_rename() {
    let faults = Faults { stalls: 1, ..NOTHING };
    let scenario = Scenario { faults, ..two_with_tokens() };
    assert_needed(&[TokenIsVerified], &scenario, &["against the order of acquisition"]);
}

/// Nothing of this library is taken away here, but what every client of NFS has cached is believed.
#[test]
fn forced_attributes() {
    let scenario = Scenario { faults: ACCIDENTS, caching: Caching::Everything, ..five() };
    search(&scenario).assert_found(UNSAFE);
}

/// The limit that `guide::safety` tells of: a RENAME that is executed twice takes the next holder's
/// lock file away for a moment, and in that moment a third gets in.
#[test]
fn a_rename_executed_twice_lets_a_third_in() {
    let faults = Faults { restarts: 2, ..NOTHING };
    search(&Scenario { faults, ..three() }).assert_found(UNSAFE);
}
