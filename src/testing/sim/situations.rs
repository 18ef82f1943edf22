//! Scenarios that begin in the middle: each has a prefix that leads up to a rare situation, from
//! which the schedule takes over.

use std::time::Duration;

use super::constants::{LONG_LIFETIME, SLOP};
use super::faults::{Caching, Faults, NOTHING};
use super::scenario::{Act, Scenario};
use super::scenarios::scenario;
use super::workloads::*;

/// A dead holder. Bob won the seat to take over from it and stalled there until bob's claim
/// expired, so carol has passed bob over and is about to act in the next seat. Bob has just
/// resumed, and dave is about to take a seat.
pub(super) fn forfeited_seat() -> Scenario {
    Scenario {
        prefix: vec![
            Act::Ends("alice"),
            Act::Seconds(26),
            Act::After("carol", "lists", ""), // there are no leftovers yet
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

/// A handle whose kept claim has expired, and a sweeper that has found it expired and is about to
/// remove it.
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

/// [`forfeited_seat`], but bob's recheck of the seat that it won fails after it stalled.
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

/// Claims are kept. Alice is late; dave has won a seat against her tenure and stalled there; alice
/// renews her lease by the next seat, unlocks in time, and links the same claim again while dave's
/// seat is still there. Eve, which sweeps, found that seat between the two tenures.
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
            Act::After("eve", "looks up", "L"),        // the lock is free
            Act::After("alice", "links", "to L"),
            Act::Park("alice"),
            Act::Seconds(26),
            Act::Before("carol", "renames", "L to"), // past dave's seat, by the next
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

/// A dead holder with a short lease, and a breaker with a long one that stalls in its seat.
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

/// A dead holder whose lock file has lost its content and its claim, and two contenders.
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

/// A holder that works for long, and waiters that have all observed it already.
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

/// Alice is late and renews its lease by seat 0, which it then leaves; bob's client has seen alice
/// there and has that seat in its cache. Alice is late again, and bob proceeds to seat 1.
pub(super) fn seat_in_a_cache() -> Scenario {
    Scenario {
        caching: Caching::Names,
        prefix: vec![
            Act::After("alice", "links", "to L"),
            Act::Park("alice"),
            Act::Seconds(18), // the lease is over for alice, but not yet for others
            Act::After("alice", "links", "|break|"),
            Act::After("bob", "looks up", "|break|"), // as a sweeper does
            Act::After("alice", "removes", "|break|"),
            Act::Park("alice"),
            Act::Park("bob"),
        ],
        ..scenario(&[("alice", 0, long_tenure), ("bob", 1, tenure)])
    }
}

/// A dead holder whose claim is already gone: its removal can no longer recall a delegation.
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

/// A dead holder whose lease ends in minutes, because the server's clock was set back.
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

/// A lock file with the inode number and, to the second, the dates of a dead holder's, which dave has
/// read and is about to take over.
pub(super) fn like_a_dead_holders() -> Scenario {
    Scenario {
        local: true,
        resolution: Duration::from_secs(1),
        prefix: vec![
            Act::Ends("alice"),
            Act::After("dave", "reads", ""),
            Act::Ends("bob"),
            Act::After("carol", "links", "to L"),
        ],
        ..scenario(&[
            ("alice", 0, last_tenure),
            ("bob", 0, brief_tenure),
            ("carol", 0, tenure),
            ("dave", 0, tenure),
        ])
    }
}

/// [`watchers`] that see the server's clock jump by an hour.
pub(super) fn watchers_of_a_jump() -> Scenario {
    let mut scenario = watchers();
    scenario.parts[0].2 = long_work;
    scenario.prefix.push(Act::SetsServer(3600));
    Scenario { lifetime: LONG_LIFETIME, ..scenario }
}

/// A holder, and a process on its machine that first observes it after the clock has jumped.
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

/// [`forfeited_seat`], before bob resumes.
pub(super) fn slow_in_its_seat() -> Scenario {
    let mut scenario = forfeited_seat();
    scenario.prefix.truncate(7);
    scenario
}

/// Alice has read the clock, and her last request has been under way for longer than bob's slop.
pub(super) fn release_that_is_slow() -> Scenario {
    Scenario {
        slops: vec![(1, SLOP / 2)],
        prefix: vec![
            Act::After("alice", "links", "to L"),
            Act::Park("alice"),
            Act::Park("bob"),
            Act::Seconds(13),
            Act::Before("alice", "renames", "L to"),
            Act::Seconds(9),
        ],
        ..scenario(&[("alice", 0, tenure_without_refresh), ("bob", 1, tenure_without_refresh)])
    }
}

/// Alice is about to take her lock file away, and an administrator is about to remove her claim.
pub(super) fn broken_in_its_release() -> Scenario {
    Scenario {
        prefix: vec![
            Act::After("alice", "links", "to L"),
            Act::Park("alice"),
            Act::Before("root", "removes", "|host0|"),
            Act::Before("alice", "renames", "L to"),
        ],
        ..scenario(&[
            ("alice", 0, tenure_without_refresh),
            ("root", 2, administrator),
            ("bob", 1, tenure_without_refresh),
        ])
    }
}

/// As alice releases her lock, administrators break it.
pub(super) fn ended_by_several() -> Scenario {
    scenario(&[
        ("alice", 0, tenure_that_others_may_end),
        ("root", 2, administrator),
        ("toor", 0, administrator),
        ("bob", 1, tenure_that_others_may_end),
    ])
}

/// Both want her seat, and one of them is about to remove her claim.
pub(super) fn ended_by_two_at_once() -> Scenario {
    Scenario {
        prefix: vec![
            Act::After("alice", "links", "to L"),
            Act::Park("alice"),
            Act::Before("root", "removes", "|host0|"),
        ],
        ..ended_by_several()
    }
}
