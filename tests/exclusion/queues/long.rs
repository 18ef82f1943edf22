//! Waits well past lifetime and slop, in which no process dies and no lease ends: none may lose the
//! lock, or share it.
//!
//! flufl.lock's claim is touched only before the wait and after the link. A waiter that has waited
//! for longer than lifetime and slop publishes a lock that has already expired, and may be broken
//! in that instant.

use std::time::Duration;

use linklock::StalePolicy;

use crate::kit::say::{say, scale};
use crate::support::exclusion_checker::ExclusionChecker;
use crate::support::figures::Figures;
use crate::support::setup::{Mishaps, Protocol, Setup, Shape};
use crate::support::workdir::{self, Workdir};
use crate::support::workers;

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// 24 processes, for 2 locks that are held for 20 ms at a time: if polling were fair, a turn would
/// come after half a second.
pub(crate) const LINKLOCK: Setup = Setup {
    name: "queue",
    protocol: Protocol::Linklock(StalePolicy::ExpiredOrDead),
    processes: 24,
    locks: 2,
    shape: Shape::Locks,
    hosts_of_their_own: true,
    keep_claim: false,
    fencing: false,
    lifetime: ms(200),
    slop: ms(100),
    polling: (ms(1), ms(5)),
    hold: (ms(15), ms(25)),
    rest: ms(20),
    mishaps: Mishaps { killed_holding: 0.0, stalled: 0.0, killed_breaking: 0.0, life: None },
};

pub(crate) const FLUFL: Setup =
    Setup { name: "queue by flufl.lock", protocol: Protocol::Flufl, ..LINKLOCK };

#[test]
fn no_long_waiter_loses_the_lock() {
    let turns = scale("LINKLOCK_TURNS", 500);
    let figures =
        queue(&LINKLOCK, |so_far| so_far.tenures.len() >= turns || !so_far.failures.is_empty());
    assert!(figures.faults.is_empty(), "{:#?}", figures.faults);
    let long = 2 * (LINKLOCK.lifetime + LINKLOCK.slop);
    assert!(figures.longest_wait > long, "no process waited for long: {:?}", figures.longest_wait);
}

/// The control: a harness that never finds anything proves nothing.
#[test]
fn under_flufl_locks_protocol_long_waiters_lose_the_lock() {
    let turns = scale("LINKLOCK_TURNS", 500);
    let limit = 40 * turns; // it is seldom more than a few hundred
    let figures = queue(&FLUFL, |so_far| {
        let tenures = so_far.tenures.len();
        tenures >= turns && so_far.lost() > 0 || tenures > limit
    });
    assert!(figures.overlaps + figures.lost > 0, "{figures}");
}

fn queue(setup: &Setup, done: impl Fn(&ExclusionChecker) -> bool) -> Figures {
    let dir = workdir::temporary();
    let figures = workers::contend(setup, &Workdir::at(dir.path()), done);
    say(&format!("queues, {}: {figures}", setup.name));
    figures
}
