//! Scenarios that begin with a free lock: which process does what, on which machine.

use std::time::Duration;

use super::constants::{LIFETIME, LONG_LIFETIME, SLOP};
use super::faults::{ACCIDENTS, Caching, Faults, NOTHING};
use super::flufl;
use super::handles::{second_user, shared_handle};
use super::scenario::{Participant, Scenario};
use super::workloads::*;
use crate::policy::StalePolicy;

/// The processes and their machines, on a network file system.
pub(super) fn scenario(parts: &[Participant]) -> Scenario {
    Scenario {
        parts: parts.to_vec(),
        after_boot: Vec::new(),
        // One machine has run for days and is an hour fast; one has just started and is an hour
        // slow.
        clients: vec![(500_000, 3600), (5, -3600), (70, 0)],
        one_name: false,
        policy: StalePolicy::ExpiredOrDead,
        policies: Vec::new(),
        slops: Vec::new(),
        threads: Vec::new(),
        lifetime: LIFETIME,
        keep_claim: false,
        fencing: false,
        wake_hints: false,
        local: false,
        faults: NOTHING,
        caching: Caching::Nothing,
        stale_lists: false,
        delay: SLOP,
        resolution: Duration::ZERO,
        delegates_late: false,
        mailbox: None,
        slots: false,
        readers: false,
        prefix: Vec::new(),
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

/// Two processes that get fencing tokens.
pub(super) fn two_with_tokens() -> Scenario {
    Scenario { fencing: true, ..two_twice() }
}

/// Five processes that get fencing tokens, on three machines.
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

/// One process that keeps the lock for long, and two waiters on other machines.
pub(super) fn long_tenures() -> Scenario {
    scenario(&[("alice", 0, long_tenure), ("bob", 1, two_tenures), ("carol", 2, two_tenures)])
}

/// A dead holder, and three contenders on its machine, which may take over at once.
pub(super) fn takeovers() -> Scenario {
    let parts: [Participant; 4] =
        [("alice", 0, last_tenure), ("bob", 0, tenure), ("carol", 0, tenure), ("dave", 0, tenure)];
    Scenario { local: true, ..scenario(&parts) }
}

/// A dead holder, and four contenders on other machines, which may take over once its lease is
/// over.
pub(super) fn takeovers_by_lease() -> Scenario {
    scenario(&[
        ("alice", 0, last_tenure),
        ("bob", 1, brief_tenure),
        ("carol", 1, brief_tenure),
        ("dave", 2, brief_tenure),
        ("eve", 2, brief_tenure),
    ])
}

/// A machine that reboots while its processes use the lock, and the processes that start after
/// that.
pub(super) fn reboots() -> Scenario {
    Scenario {
        after_boot: vec![("alice II", 0, tenure), ("bob II", 1, tenure)],
        faults: Faults { reboots: 1, crashes: 1, stalls: 1, clock_steps: 1, ..NOTHING },
        ..scenario(&[("alice", 0, two_tenures), ("amy", 0, tenure), ("bob", 1, two_tenures)])
    }
}

/// Two machines that differ only in their boot ID, with the same process IDs.
pub(super) fn clones() -> Scenario {
    Scenario { one_name: true, faults: ACCIDENTS, ..three() }
}

/// Locks that are handed over: to an adopter, or to their lease.
pub(super) fn hand_over() -> Scenario {
    scenario(&[
        ("alice", 0, leave_to_the_lease),
        ("bob", 1, adopt),
        ("carol", 1, tenure),
        ("dave", 2, brief_tenure),
    ])
}

/// A process that acquires the lock for another process of its machine, which may die.
pub(super) fn hand_over_to_a_process() -> Scenario {
    scenario(&[
        ("bob", 0, adopt),
        ("alice", 0, leave_to_the_first),
        ("carol", 0, tenure),
        ("dave", 1, brief_tenure),
    ])
}

/// Processes that die, and one that sweeps.
pub(super) fn sweeping() -> Scenario {
    scenario(&[
        ("alice", 0, long_tenure),
        ("bob", 1, two_tenures),
        ("carol", 2, two_tenures),
        ("janitor", 2, janitor),
    ])
}

/// Machines with correct dates, one of which runs flufl.lock.
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

/// Handles that keep their claims: an inode is linked again under the same name.
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

/// A lease that is shortened, and a waiter.
pub(super) fn shortened_lease() -> Scenario {
    Scenario {
        lifetime: LONG_LIFETIME,
        ..scenario(&[("alice", 0, shortened_tenure), ("bob", 1, brief_tenure)])
    }
}

/// Leases that are shortened and lengthened.
pub(super) fn many_lengths() -> Scenario {
    Scenario {
        lifetime: Duration::from_secs(120),
        ..scenario(&[
            ("alice", 0, tenure_of_many_lengths),
            ("bob", 1, tenure_of_many_lengths),
            ("carol", 1, two_tenures),
            ("dave", 2, tenure),
        ])
    }
}

/// Processes that ask for lifetimes of different lengths.
pub(super) fn lifetimes() -> Scenario {
    Scenario {
        lifetime: LONG_LIFETIME,
        ..scenario(&[
            ("alice", 0, long_lifetime),
            ("amy", 0, short_lifetime),
            ("bob", 1, short_lifetime),
            ("carol", 1, two_tenures),
            ("dave", 2, long_lifetime),
        ])
    }
}

/// Alice leaves the lock to frank, which soon dies; by then bob has adopted it and keeps it alive.
pub(super) fn dying_owner() -> Scenario {
    scenario(&[
        ("frank", 0, short_life),
        ("alice", 0, leave_to_the_first),
        ("bob", 0, adopt_too),
        ("carol", 0, tenure),
        ("dave", 1, brief_tenure),
    ])
}

/// Two processes that may adopt the same lock.
pub(super) fn two_adopters() -> Scenario {
    scenario(&[
        ("alice", 0, leave_to_the_lease),
        ("bob", 0, adopt_too),
        ("carol", 1, adopt_too),
        ("dave", 2, brief_tenure),
    ])
}

/// A machine that loses power, and the processes that start when it is back.
pub(super) fn power_cuts() -> Scenario {
    Scenario {
        local: true,
        clients: vec![(500_000, 0)],
        after_boot: vec![("alice II", 0, tenure), ("bob II", 0, brief_tenure)],
        ..scenario(&[("alice", 0, two_tenures), ("amy", 0, tenure), ("bob", 0, last_tenure)])
    }
}

/// A holder with a forked child, and waiters.
pub(super) fn forks() -> Scenario {
    scenario(&[("alice", 0, fork), ("child", 0, child), ("bob", 0, tenure), ("carol", 1, tenure)])
}

/// Processes with different clock slops: 10 s, 5 s and 20 s.
pub(super) fn unequal_slops(scenario: Scenario) -> Scenario {
    Scenario { slops: vec![(1, SLOP / 2), (2, SLOP * 2)], delay: SLOP / 2, ..scenario }
}

/// A process whose threads share a guard, and waiters.
pub(super) fn threads() -> Scenario {
    Scenario {
        threads: vec![("alice II", "alice"), ("alice III", "alice")],
        lifetime: Duration::from_secs(60),
        ..scenario(&[
            ("alice", 0, shared_guard),
            ("alice II", 0, second_thread),
            ("alice III", 0, second_thread),
            ("bob", 0, brief_tenure),
            ("carol", 1, tenure),
        ])
    }
}

/// A process whose threads share a handle, and waiters.
pub(super) fn shared_handles() -> Scenario {
    Scenario {
        threads: vec![("alice II", "alice"), ("alice III", "alice")],
        ..scenario(&[
            ("alice", 0, shared_handle),
            ("alice II", 0, second_user),
            ("alice III", 0, second_user),
            ("bob", 0, brief_tenure),
            ("carol", 1, tenure),
        ])
    }
}

/// A process in which one thread keeps the lock alive while another releases it, and waiters.
pub(super) fn kept_alive() -> Scenario {
    Scenario {
        threads: vec![("renewer", "alice")],
        ..scenario(&[
            ("alice", 0, kept_alive_tenure),
            ("renewer", 0, keep_alive),
            ("bob", 0, brief_tenure),
            ("carol", 1, tenure),
        ])
    }
}

/// A holder that does not refresh its lease, and a waiter.
pub(super) fn one_lease() -> Scenario {
    scenario(&[("alice", 0, tenure_without_refresh), ("bob", 1, brief_tenure)])
}

/// A lock that one process owns, and others act on.
pub(super) fn attached() -> Scenario {
    Scenario {
        lifetime: Duration::from_secs(60),
        ..scenario(&[
            ("frank", 0, long_life),
            ("alice", 0, leave_to_the_first),
            ("bob", 0, refresh_for_another),
            ("carol", 1, unlock_for_another),
            ("dave", 2, tenure),
            ("eve", 0, brief_tenure),
        ])
    }
}

/// The same, with two that refresh it.
pub(super) fn attached_twice() -> Scenario {
    let mut scenario = attached();
    scenario.parts[3].2 = refresh_and_unlock_for_another;
    scenario
}

/// Locks that an administrator breaks while their holders are alive.
pub(super) fn broken_on_purpose() -> Scenario {
    Scenario {
        lifetime: Duration::from_secs(120),
        ..scenario(&[
            ("alice", 0, two_tenures),
            ("bob", 1, tenure),
            ("carol", 1, tenure_of_many_lengths),
            ("root", 2, administrator),
            ("toor", 0, administrator),
        ])
    }
}
