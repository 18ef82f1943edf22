//! Who does what in which scenario.

use std::time::Duration;

use super::constants::{LIFETIME, LONG_LIFETIME, SLOP};
use super::faults::{ACCIDENTS, Caching, Faults, NOTHING};
use super::flufl;
use super::scenario::{Act, Participant, Scenario};
use super::workloads::*;
use crate::holder::StalePolicy;

/// The processes and their machines, on a network file system.
pub(super) fn scenario(parts: &[Participant]) -> Scenario {
    Scenario {
        parts: parts.to_vec(),
        after_boot: Vec::new(),
        // One has run for days and is an hour fast, one was just started and is an hour slow.
        clients: vec![(500_000, 3600), (5, -3600), (70, 0)],
        one_name: false,
        policy: StalePolicy::ExpiredOrDead,
        policies: Vec::new(),
        lifetime: LIFETIME,
        keep_claim: false,
        fencing: false,
        local: false,
        faults: NOTHING,
        caching: Caching::Nothing,
        stale_lists: false,
        delay: SLOP,
        resolution: Duration::ZERO,
        delegates_late: false,
        mailbox: None,
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
    let parts: [Participant; 4] =
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

/// Locks that change hands: to their adopters, or to their lease.
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
        prefix: vec![
            Act::Ends("alice"),
            Act::Seconds(26),
            Act::After("carol", "lists", ""), // what nobody has left yet
            Act::After("dave", "lists", ""),
            Act::After("bob", "links", "|break|"),
            Act::Seconds(26),
            Act::Before("carol", "renames", "L to"),
            Act::Park("bob"),
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
        prefix: vec![
            Act::After("alice", "removes", "|aside|"),
            Act::Seconds(26),
            Act::Before("eve", "removes", "|host0|"),
        ],
        ..scenario(&[("alice", 0, two_tenures), ("bob", 1, tenure), ("eve", 2, sweep_once)])
    }
}

/// [`forfeited_seat`], but bob's look at the seat that he has won fails after he stood still.
pub(super) fn forfeited_seat_and_an_error() -> Scenario {
    Scenario {
        faults: Faults { errors: 1, ..NOTHING },
        prefix: vec![
            Act::Ends("alice"),
            Act::Seconds(26),
            Act::After("carol", "lists", ""),
            Act::After("dave", "lists", ""),
            Act::After("bob", "links", "|break|"),
            Act::Seconds(26),
            Act::Before("carol", "renames", "L to"),
            Act::Before("bob", "asks", ""),
            Act::Fails("bob"),
            Act::Park("bob"),
            Act::Before("dave", "links", "|break|"),
        ],
        ..forfeited_seat()
    }
}

/// Claims are kept. Alice is late; dave has won a seat in the succession of her tenure and stood
/// still in it; she renews her lease by the next seat, unlocks in time, and links the same claim
/// again, with dave's seat still there. Eve, who sweeps, found it between the two tenures.
pub(super) fn kept_claim_that_was_late() -> Scenario {
    Scenario {
        keep_claim: true,
        prefix: vec![
            Act::After("bob", "lists", ""),
            Act::After("carol", "lists", ""),
            Act::After("dave", "lists", ""),
            Act::After("frank", "lists", ""),
            Act::After("alice", "links", "to L"),
            Act::Park("alice"),
            Act::Seconds(26),
            Act::After("dave", "links", "|break|"),
            Act::Seconds(26),
            Act::After("alice", "removes", "|aside|"), // late, renewed, and released in time
            Act::After("eve", "looks up", "|break|"),  // dave's seat, which has expired
            Act::After("eve", "looks up", "L"),        // nobody has the lock
            Act::After("alice", "links", "to L"),
            Act::Park("alice"),
            Act::Seconds(26),
            Act::Before("carol", "renames", "L to"), // past dave's seat, in the next
            Act::After("eve", "removes", "|break|"),
            Act::Before("frank", "links", "|break|"),
        ],
        ..scenario(&[
            ("alice", 0, late_and_again),
            ("bob", 1, brief_tenure),
            ("carol", 1, brief_tenure),
            ("dave", 2, brief_tenure),
            ("eve", 2, sweep_once),
            ("frank", 2, tenure),
        ])
    }
}

/// A lease that is made shorter, and one who waits for the lock.
pub(super) fn shortened_lease() -> Scenario {
    Scenario {
        lifetime: LONG_LIFETIME,
        ..scenario(&[("alice", 0, shortened_tenure), ("bob", 1, brief_tenure)])
    }
}

/// Leases that are made shorter and longer.
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

/// Processes that expect to work for so long, or so long.
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

/// A dead holder with a short lease, and a breaker with a long one who stands still in its seat.
pub(super) fn slow_breaker() -> Scenario {
    Scenario {
        lifetime: LONG_LIFETIME,
        prefix: vec![
            Act::Ends("alice"),
            Act::Seconds(26),
            Act::After("bob", "links", "|break|"),
            Act::Ends("carol"),
        ],
        ..scenario(&[
            ("alice", 0, last_tenure),
            ("bob", 1, long_lifetime),
            ("carol", 2, impatient_tenure),
        ])
    }
}

/// Alice leaves the lock to frank, who soon dies; bob has adopted it by then and keeps it alive.
pub(super) fn dying_owner() -> Scenario {
    scenario(&[
        ("frank", 0, short_life),
        ("alice", 0, leave_to_the_first),
        ("bob", 0, adopt_too),
        ("carol", 0, tenure),
        ("dave", 1, brief_tenure),
    ])
}

/// Two who know of the same lock that was handed over.
pub(super) fn two_adopters() -> Scenario {
    scenario(&[
        ("alice", 0, leave_to_the_lease),
        ("bob", 0, adopt_too),
        ("carol", 1, adopt_too),
        ("dave", 2, brief_tenure),
    ])
}

/// A machine that loses power, and who comes when it is back.
pub(super) fn power_cuts() -> Scenario {
    Scenario {
        local: true,
        clients: vec![(500_000, 0)],
        after_boot: vec![("alice II", 0, tenure), ("bob II", 0, brief_tenure)],
        ..scenario(&[("alice", 0, two_tenures), ("amy", 0, tenure), ("bob", 0, last_tenure)])
    }
}

/// A dead holder whose lock file has lost its content and its claim, and two who come by.
pub(super) fn nameless() -> Scenario {
    Scenario {
        faults: Faults { crashes: 1, stalls: 1, ..NOTHING },
        prefix: vec![Act::Ends("alice"), Act::LosesContents, Act::Ends("mallory")],
        ..scenario(&[
            ("alice", 0, last_tenure),
            ("mallory", 1, remove_claims),
            ("bob", 1, tenure),
            ("carol", 2, tenure),
        ])
    }
}

/// A holder that works for long, and waiters that have seen it: nobody comes for the first time.
pub(super) fn watchers() -> Scenario {
    Scenario {
        prefix: vec![
            Act::After("alice", "links", "to L"),
            Act::Park("alice"),
            Act::Park("bob"),
            Act::Park("carol"),
            Act::Park("dave"),
        ],
        ..scenario(&[
            ("alice", 0, long_tenure),
            ("bob", 1, brief_tenure),
            ("carol", 1, brief_tenure),
            ("dave", 2, brief_tenure),
        ])
    }
}

/// A holder with a child, and others who wait.
pub(super) fn forks() -> Scenario {
    scenario(&[("alice", 0, fork), ("child", 0, child), ("bob", 0, tenure), ("carol", 1, tenure)])
}

/// Alice is late and renews her lease by seat 0, which she leaves; bob's client has seen her in it
/// and believes that it is there still. She is late again, and bob goes on to seat 1.
pub(super) fn seat_in_a_cache() -> Scenario {
    Scenario {
        caching: Caching::Names,
        prefix: vec![
            Act::After("alice", "links", "to L"),
            Act::Park("alice"),
            Act::Seconds(18), // her lease is over, and not yet for others
            Act::After("alice", "links", "|break|"),
            Act::After("bob", "looks up", "|break|"), // as one who sweeps
            Act::After("alice", "removes", "|break|"),
            Act::Park("alice"),
            Act::Park("bob"),
        ],
        ..scenario(&[("alice", 0, long_tenure), ("bob", 1, tenure)])
    }
}

/// A dead holder whose claim is gone already: its removal can recall no delegation any more.
pub(super) fn claim_that_is_gone() -> Scenario {
    Scenario {
        faults: Faults { delegations: 1, ..NOTHING },
        prefix: vec![Act::Ends("alice"), Act::Ends("mallory"), Act::Seconds(26)],
        ..scenario(&[
            ("alice", 0, last_tenure),
            ("mallory", 1, remove_claims),
            ("bob", 1, tenure),
            ("carol", 2, tenure),
        ])
    }
}

/// A dead holder whose lease ends in minutes, since the server's clock was set back.
pub(super) fn dated_ahead() -> Scenario {
    Scenario {
        prefix: vec![Act::Ends("alice"), Act::SetsServer(-120)],
        ..scenario(&[
            ("alice", 0, last_tenure),
            ("bob", 1, impatient_tenure),
            ("carol", 2, impatient_tenure),
        ])
    }
}

/// [`watchers`] who see the server's clock jump by an hour.
pub(super) fn watchers_of_a_jump() -> Scenario {
    let mut scenario = watchers();
    scenario.parts[0].2 = long_work;
    scenario.prefix.push(Act::SetsServer(3600));
    Scenario { lifetime: LONG_LIFETIME, ..scenario }
}

/// A holder, and one on its machine who comes for the first time after the clock has jumped.
pub(super) fn alive_after_a_jump() -> Scenario {
    Scenario {
        local: true,
        prefix: vec![
            Act::After("alice", "links", "to L"),
            Act::Park("alice"),
            Act::SetsServer(3600),
        ],
        ..scenario(&[("alice", 0, long_tenure), ("bob", 0, tenure)])
    }
}

/// [`forfeited_seat`], before bob comes to.
pub(super) fn slow_in_its_seat() -> Scenario {
    let mut scenario = forfeited_seat();
    scenario.prefix.truncate(7);
    scenario
}
