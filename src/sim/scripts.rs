//! What processes do, and who does it in which scenario.

use super::actor::Actor;
use super::flufl;
use super::scenario::{Act, Caching, Faults, Part, Scenario};
use crate::holder::{Owner, StalePolicy};

/// Nothing goes wrong.
pub(super) const NOTHING: Faults = Faults {
    crashes: 0,
    stalls: 0,
    reboots: 0,
    repeats: 0,
    restarts: 0,
    errors: 0,
    clock_steps: 0,
};
/// What goes wrong on machines, whatever they share.
pub(super) const ACCIDENTS: Faults = Faults { crashes: 2, stalls: 1, clock_steps: 1, ..NOTHING };

/// Takes the lock, works under it, refreshes it, works, and gives it back.
pub(super) fn tenure(actor: &Actor) {
    let Some(guard) = actor.lock() else { return };
    actor.sleep(2);
    if actor.refresh(&guard) {
        actor.sleep(2);
    }
    actor.unlock(guard);
}

/// Takes the lock and gives it back.
pub(super) fn brief_tenure(actor: &Actor) {
    if let Some(guard) = actor.lock() {
        actor.unlock(guard);
    }
}

pub(super) fn two_tenures(actor: &Actor) {
    brief_tenure(actor);
    tenure(actor);
}

/// Looks before each piece of its work whether the lock is still held, and stops if not.
fn careful_tenure(actor: &Actor) {
    let Some(guard) = actor.lock() else { return };
    for _ in 0..3 {
        actor.sleep(3);
        if !actor.verify(&guard) {
            break;
        }
    }
    actor.unlock(guard);
}

/// Takes the lock and keeps it for longer than its lifetime and the slop together.
fn long_tenure(actor: &Actor) {
    let Some(guard) = actor.lock() else { return };
    for _ in 0..6 {
        actor.sleep(9);
        if !actor.refresh(&guard) {
            break;
        }
    }
    actor.unlock(guard);
}

/// Takes the lock again and again: soon, and after its claim has expired.
fn three_tenures(actor: &Actor) {
    tenure(actor);
    actor.sleep(1);
    brief_tenure(actor);
    actor.sleep(27);
    tenure(actor);
}

/// Takes the lock and dies.
fn last_tenure(actor: &Actor) {
    if let Some(_guard) = actor.lock() {
        actor.die();
    }
}

/// Takes the lock and leaves it to its lease, or to whoever knows of it.
fn leave_to_the_lease(actor: &Actor) {
    let Some(guard) = actor.lock() else { return };
    actor.sleep(1);
    actor.hand_over(guard, Owner::Lease);
}

/// Takes the lock and leaves it to the first process of its machine.
fn leave_to_the_first(actor: &Actor) {
    let Some(guard) = actor.lock() else { return };
    actor.hand_over(guard, Owner::Process(100));
}

/// Takes charge of a lock that is handed over.
fn adopt(actor: &Actor) {
    let Some(guard) = actor.adopt() else { return };
    if actor.refresh(&guard) {
        actor.sleep(2);
    }
    actor.unlock(guard);
}

/// Sweeps, over and over.
fn janitor(actor: &Actor) {
    for _ in 0..4 {
        actor.sweep();
        actor.sleep(9);
    }
}

fn sweep_once(actor: &Actor) {
    actor.sweep();
}

/// The processes and their machines, on a network file system.
pub(super) fn scenario(parts: &[Part]) -> Scenario {
    Scenario {
        parts: parts.to_vec(),
        after_boot: Vec::new(),
        // One has run for days and is an hour fast, one was just started and is an hour slow.
        clients: vec![(500_000, 3600), (5, -3600), (70, 0)],
        one_name: false,
        policy: StalePolicy::ExpiredOrDead,
        keep_claim: false,
        fencing: false,
        local: false,
        faults: NOTHING,
        caching: Caching::Nothing,
        beginning: Vec::new(),
    }
}

pub(super) fn two() -> Scenario {
    scenario(&[("alice", 0, tenure), ("bob", 1, tenure)])
}

pub(super) fn two_twice() -> Scenario {
    scenario(&[("alice", 0, two_tenures), ("bob", 1, two_tenures)])
}

pub(super) fn two_on_one_machine() -> Scenario {
    Scenario { local: true, ..scenario(&[("alice", 0, tenure), ("bob", 0, tenure)]) }
}

/// Two who number their tenures.
pub(super) fn two_with_tokens() -> Scenario {
    Scenario { fencing: true, ..two_twice() }
}

/// Five who do, on three machines.
pub(super) fn five_with_tokens() -> Scenario {
    Scenario { fencing: true, ..five() }
}

pub(super) fn three_briefly() -> Scenario {
    scenario(&[("alice", 0, brief_tenure), ("bob", 1, brief_tenure), ("carol", 1, brief_tenure)])
}

pub(super) fn three() -> Scenario {
    scenario(&[("alice", 0, two_tenures), ("bob", 1, two_tenures), ("carol", 1, careful_tenure)])
}

pub(super) fn five() -> Scenario {
    scenario(&[
        ("alice", 0, two_tenures),
        ("bob", 1, two_tenures),
        ("carol", 1, careful_tenure),
        ("dave", 2, two_tenures),
        ("eve", 2, tenure),
    ])
}

/// One who keeps the lock for long, and two who wait on other machines.
pub(super) fn long_tenures() -> Scenario {
    scenario(&[("alice", 0, long_tenure), ("bob", 1, two_tenures), ("carol", 2, two_tenures)])
}

/// A dead holder, and three on its machine who would succeed it at once.
pub(super) fn succession() -> Scenario {
    let parts: [Part; 4] =
        [("alice", 0, last_tenure), ("bob", 0, tenure), ("carol", 0, tenure), ("dave", 0, tenure)];
    Scenario { local: true, ..scenario(&parts) }
}

/// A dead holder, and four on other machines who would succeed it once its lease is over.
pub(super) fn succession_by_lease() -> Scenario {
    scenario(&[
        ("alice", 0, last_tenure),
        ("bob", 1, brief_tenure),
        ("carol", 1, brief_tenure),
        ("dave", 2, brief_tenure),
        ("eve", 2, brief_tenure),
    ])
}

/// A machine that is booted while its processes use the lock, and those who come up again on it.
pub(super) fn reboots() -> Scenario {
    Scenario {
        after_boot: vec![("alice II", 0, tenure), ("bob II", 1, tenure)],
        faults: Faults { reboots: 1, crashes: 1, stalls: 1, clock_steps: 1, ..NOTHING },
        ..scenario(&[("alice", 0, two_tenures), ("amy", 0, tenure), ("bob", 1, two_tenures)])
    }
}

/// Two machines that are clones but for their boot, in which processes have the same numbers.
pub(super) fn clones() -> Scenario {
    Scenario { one_name: true, faults: ACCIDENTS, ..three() }
}

/// Locks that change hands: to whoever adopts them, or to their lease.
pub(super) fn hand_over() -> Scenario {
    scenario(&[
        ("alice", 0, leave_to_the_lease),
        ("bob", 1, adopt),
        ("carol", 1, tenure),
        ("dave", 2, brief_tenure),
    ])
}

/// A process that locks for another of its machine, which may die.
pub(super) fn hand_over_to_a_process() -> Scenario {
    scenario(&[
        ("bob", 0, adopt),
        ("alice", 0, leave_to_the_first),
        ("carol", 0, tenure),
        ("dave", 1, brief_tenure),
    ])
}

/// Processes that die, and one that sweeps behind them.
pub(super) fn sweeping() -> Scenario {
    scenario(&[
        ("alice", 0, long_tenure),
        ("bob", 1, two_tenures),
        ("carol", 2, two_tenures),
        ("janitor", 2, janitor),
    ])
}

/// Machines whose date is right, with flufl.lock on one of them.
pub(super) fn neighbour() -> Scenario {
    Scenario {
        clients: vec![(500_000, 0), (5, 0), (70, 0)],
        ..scenario(&[
            ("alice", 0, two_tenures),
            ("bob", 1, tenure),
            ("flufl", 2, flufl::two_tenures),
        ])
    }
}

/// A dead holder in whose succession bob has won the seat and stood still in it until his claim had
/// expired, so that carol has passed it over and is about to act in the next. Bob has just come to, and dave is about
/// to take a seat.
pub(super) fn forfeited_seat() -> Scenario {
    Scenario {
        beginning: vec![
            Act::Ends("alice"),
            Act::Seconds(26),
            Act::After("carol", "lists", ""), // what nobody has left yet
            Act::After("dave", "lists", ""),
            Act::After("bob", "links", "|break|"),
            Act::Seconds(26),
            Act::Before("carol", "renames", "L to"),
            Act::Pauses("bob"),
            Act::Before("dave", "links", "|break|"),
        ],
        ..scenario(&[
            ("alice", 0, last_tenure),
            ("bob", 1, brief_tenure),
            ("carol", 1, brief_tenure),
            ("dave", 2, brief_tenure),
            ("eve", 2, brief_tenure),
        ])
    }
}

/// Handles that keep their claims: the same inode and the same name come back.
pub(super) fn kept_claims() -> Scenario {
    Scenario {
        keep_claim: true,
        ..scenario(&[
            ("alice", 0, three_tenures),
            ("bob", 1, three_tenures),
            ("carol", 1, two_tenures),
            ("janitor", 2, janitor),
        ])
    }
}

/// A handle whose kept claim has expired, and one who has found it so and is about to remove it.
pub(super) fn kept_claim_that_has_expired() -> Scenario {
    Scenario {
        keep_claim: true,
        beginning: vec![
            Act::After("alice", "removes", "|aside|"),
            Act::Seconds(26),
            Act::Before("eve", "removes", "|host0|"),
        ],
        ..scenario(&[("alice", 0, two_tenures), ("bob", 1, tenure), ("eve", 2, sweep_once)])
    }
}
