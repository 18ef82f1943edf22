//! What must be found when a safeguard is missing: a checker that cannot fail proves nothing.
//!
//! Each scenario here is safe with all safeguards: see [`safety`](super::safety).

use super::explore::{explore, sample, search};
use super::faults::{ACCIDENTS, Caching, Faults, NOTHING};
use super::scenario::{Act, Scenario};
use super::scenarios::*;
use super::several::reader_and_writer;
use super::situations::*;
use crate::model::safeguard::Safeguard::{self, *};

/// Two processes hold the lock, one wrongly believes that it still does, or a live lock is taken
/// away.
const UNSAFE: &[&str] =
    &["while the lease of", "did not learn that it lost", "takes the lock away"];

#[track_caller]
fn assert_needed(removed: &'static [Safeguard], scenario: &Scenario, kinds: &[&str]) {
    Safeguard::without(removed, || search(scenario)).assert_found(kinds);
}

/// It judges a lock, and then removes the file that has its name by then.
#[test]
fn flufl_locks_break() {
    assert_needed(&[Seat, Recheck, CatchIsChecked], &takeovers(), UNSAFE);
}

/// It touches its claim before it waits and after it has linked it, but not in between. Our own
/// waiters make up for that: a process whose claim expired before it was linked is late from the
/// start, and follows the rule for late holders.
#[test]
fn flufl_locks_late_touch() {
    assert_needed(&[RenewedWhileWaiting, LateHolderTakesSeat], &long_tenures(), UNSAFE);
}

/// It takes EEXIST to mean that another process holds the lock, and then finds that it holds it
/// itself.
#[test]
fn flufl_locks_trust_in_eexist() {
    let faults = Faults { repeats: 1, ..NOTHING };
    assert_needed(&[TruthIsInode], &Scenario { faults, ..two() }, &["gets a wrong answer"]);
}

#[test]
fn the_seat() {
    assert_needed(&[Seat], &takeovers(), UNSAFE);
}

#[test]
fn the_second_look() {
    assert_needed(&[Recheck], &takeovers(), UNSAFE);
}

/// The touch reads the server's clock, which may have been set back since.
#[test]
fn the_touch_before_the_seat() {
    let faults = Faults { server_steps: 1, ..ACCIDENTS };
    assert_needed(&[TouchBeforeSeat], &Scenario { faults, ..five() }, UNSAFE);
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
    assert_needed(&[CatchIsChecked], &Scenario { faults, ..two_twice() }, UNSAFE);
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
    assert_needed(&[SweptClaim], &scenario, &["learned of a loss, but holds the lock"]);
}

/// A sweeper that has found a claim expired may remove it once it is linked. Its owner notices only
/// if it checks what became of a swept claim.
#[test]
fn kept_claims_that_have_expired() {
    let scenario = kept_claim_that_has_expired();
    Safeguard::without(&[UnexpiredFromCache], || sample(&scenario)).assert_safe();
    assert_needed(
        &[UnexpiredFromCache, SweptClaim],
        &scenario,
        &["learned of a loss, but holds the lock"],
    );
}

/// A process that stalls between its link and its rename would get a higher token than the next
/// holder's.
#[test]
fn the_look_after_the_rename() {
    let faults = Faults { stalls: 1, ..NOTHING };
    let scenario = Scenario { faults, ..two_with_tokens() };
    assert_needed(&[TokenIsVerified], &scenario, &["against the order of acquisition"]);
}

/// No lock is taken away here, but each NFS client trusts its cache.
#[test]
fn forced_attributes() {
    let scenario = Scenario { faults: ACCIDENTS, caching: Caching::Everything, ..five() };
    search(&scenario).assert_found(UNSAFE);
}

/// The limit that `guide::safety` describes: a RENAME that is executed twice takes the next
/// holder's lock file away for a moment, in which a third process acquires the lock.
#[test]
fn a_rename_executed_twice_lets_a_third_in() {
    let faults = Faults { restarts: 2, ..NOTHING };
    search(&Scenario { faults, ..three() }).assert_found(UNSAFE);
}

/// No lock is taken away here either: a reader that comes between the removal of the claim and that
/// of the lock file is given a delegation, and dies with it.
#[test]
fn a_reader_in_the_last_moment() {
    let faults = Faults { delegations: 1, ..NOTHING };
    search(&Scenario { faults, delegates_late: true, ..three() }).assert_found(UNSAFE);
}

#[test]
fn the_claim_that_goes_first() {
    let faults = Faults { delegations: 2, crashes: 1, stalls: 1, ..NOTHING };
    let scenario = Scenario { faults, caching: Caching::Names, ..three() };
    assert_needed(&[ClaimFirst], &scenario, UNSAFE);
}

#[test]
fn the_lease_of_a_seat() {
    assert_needed(&[SeatLease], &slow_in_its_seat(), UNSAFE);
}

#[test]
fn kept_claims_that_were_late() {
    assert_needed(&[NeverLateAgain], &kept_claim_that_was_late(), UNSAFE);
}

#[test]
fn the_lesser_lease() {
    let faults = Faults { errors: 1, ..NOTHING };
    let scenario = Scenario { faults, ..shortened_lease() };
    Safeguard::without(&[LesserLease], || explore(&scenario, 1)).assert_found(UNSAFE);
}

/// A lock file without content then has no owner, and stays for ever.
#[test]
fn the_claim_beside_the_lock_file() {
    let faults = Faults { power_cuts: 1, ..NOTHING };
    let scenario = Scenario { faults, ..power_cuts() };
    assert_needed(&[DirectoryDecides], &scenario, &["never come to an end"]);
}

#[test]
fn a_holder_that_is_seen_alive() {
    let scenario = alive_after_a_jump();
    Safeguard::without(&[ObservedAlive], || explore(&scenario, 1)).assert_found(UNSAFE);
}

#[test]
fn what_was_observed_before_a_jump() {
    let scenario = watchers_of_a_jump();
    Safeguard::without(&[ObservedAfterJump], || explore(&scenario, 1)).assert_found(UNSAFE);
}

#[test]
fn what_was_observed_unchanged() {
    let scenario = dated_ahead();
    Safeguard::without(&[ObservedUnchanged], || explore(&scenario, 1))
        .assert_found(&["waited for"]);
}

#[test]
fn the_adopters_seat() {
    Safeguard::without(&[AdoptionTakesSeat], || explore(&two_adopters(), 2)).assert_found(UNSAFE);
}

/// A client's cache contains a seat that its owner has left.
#[test]
fn the_seats_before() {
    let mut scenario = seat_in_a_cache();
    scenario.prefix.extend([
        Act::Before("bob", "renames", "L to"),
        Act::After("alice", "removes", "|break|"), // renewed once more
        Act::Park("alice"),
    ]);
    Safeguard::without(&[SeatsBefore], || explore(&scenario, 1)).assert_found(UNSAFE);
}

/// Each request must be executed within the *shortest* slop of all contenders.
#[test]
fn a_slop_that_is_too_short_for_others_requests() {
    explore(&release_that_is_slow(), 1).assert_found(UNSAFE);
}

#[test]
fn the_claim_that_another_removed() {
    let scenario = broken_on_purpose();
    let faults = Faults { stalls: 1, ..NOTHING };
    assert_needed(&[ClaimGoneTakesSeat], &Scenario { faults, ..scenario }, UNSAFE);
}

/// A limit: an administrator breaks a live lock while its holder is about to take the lock file
/// away.
#[test]
fn a_live_lock_that_is_broken_in_its_release() {
    explore(&broken_in_its_release(), 2).assert_found(UNSAFE);
}

/// A limit of attached guards: a process that stalls in the middle of a refresh writes an old date
/// when it resumes, over a later one that another process has written.
#[test]
fn an_old_refresh_of_another_process() {
    let faults = Faults { late_copies: 2, crashes: 1, stalls: 1, ..NOTHING };
    let delay = std::time::Duration::from_secs(8);
    let caching = Caching::Names;
    search(&Scenario { faults, caching, delay, ..attached_twice() }).assert_found(UNSAFE);
}

/// A limit: a copy of the claim's WRITE that is executed after the touch sets the claim's date
/// back, so that its lease seems to be over.
#[test]
fn a_write_that_is_executed_once_more() {
    let faults = Faults { late_writes: 1, ..NOTHING };
    explore(&Scenario { faults, ..one_lease() }, 1).assert_found(UNSAFE);
}

/// A reader that stalls on its way in, until a writer has listed the directory.
#[test]
fn the_entrance_that_is_still_held() {
    let scenario = Scenario { faults: ACCIDENTS, ..reader_and_writer() };
    assert_needed(&[EntranceIsHeld], &scenario, UNSAFE);
}

#[test]
fn the_wait_for_readers() {
    assert_needed(&[WriterWaits], &reader_and_writer(), UNSAFE);
}
