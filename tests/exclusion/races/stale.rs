//! Many processes race for locks whose holders were killed or stall: never do two of them hold one.

use std::time::Duration;

use linklock::StalePolicy;

use crate::kit::say::{say, scale};
use crate::support::exclusion_checker::{ExclusionChecker, Fault};
use crate::support::remains::assert_nothing_is_left;
use crate::support::setup::{Mishaps, Protocol, Setup, Shape};
use crate::support::workdir::{self, Workdir};
use crate::support::workers;

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// How many locks are broken if nothing else is asked for: CI breaks ten thousand.
const BREAKS: usize = 200;

/// Pauses between polls, for all: 1 to 5 ms.
const POLLING: (Duration, Duration) = (ms(1), ms(5));

/// Holders are proven dead at once. No lease ever ends.
pub(crate) const DEAD: Setup = Setup {
    name: "dead",
    protocol: Protocol::Linklock(StalePolicy::ExpiredOrDead),
    processes: 16,
    locks: 6,
    shape: Shape::Locks,
    hosts_of_their_own: false,
    keep_claim: false,
    fencing: false,
    lifetime: Duration::from_secs(600),
    slop: Duration::from_secs(10),
    polling: POLLING,
    hold: (ms(0), ms(4)),
    rest: ms(5),
    mishaps: Mishaps {
        killed_holding: 0.15,
        stalled: 0.0,
        killed_breaking: 0.006,
        life: Some(Duration::from_secs(5)),
    },
};

/// [`DEAD`] for locks that may have several holders.
pub(crate) const DEAD_AMONG_SEVERAL: Setup =
    Setup { processes: 12, mishaps: Mishaps { killed_breaking: 0.0, ..DEAD.mishaps }, ..DEAD };

/// No process can be proven dead. Waiting for the end of a lease takes a while, so there are more
/// locks.
pub(crate) const EXPIRED: Setup = Setup {
    name: "expired",
    protocol: Protocol::Linklock(StalePolicy::Expired),
    locks: 12,
    hosts_of_their_own: true,
    lifetime: ms(60),
    slop: ms(150),
    mishaps: Mishaps {
        killed_holding: 0.25,
        stalled: 0.6,
        killed_breaking: 0.006,
        life: Some(Duration::from_secs(5)),
    },
    ..DEAD
};

/// The same by flufl.lock's protocol, with no slop: no lease comes near its end except by a mishap.
pub(crate) const FLUFL: Setup =
    Setup { name: "flufl", protocol: Protocol::Flufl, locks: 6, slop: ms(0), ..EXPIRED };

/// [`EXPIRED`] for locks that may have several holders.
pub(crate) const EXPIRED_AMONG_SEVERAL: Setup = Setup {
    processes: 12,
    mishaps: Mishaps { killed_breaking: 0.0, ..EXPIRED.mishaps },
    ..EXPIRED
};

#[test]
fn a_lock_whose_holder_died_is_never_shared() {
    race_soundly("races", &DEAD, BREAKS);
}

#[test]
fn an_expired_lock_is_never_shared() {
    race_soundly("races", &EXPIRED, BREAKS);
}

/// The control: a harness that never finds anything proves nothing.
#[test]
fn under_flufl_locks_protocol_locks_are_shared() {
    let dir = workdir::temporary();
    let workdir = Workdir::at(dir.path());
    let is_found = |faults: &[Fault]| {
        faults.iter().any(|fault| matches!(fault, Fault::Overlap(..)))
            && faults.iter().any(|fault| matches!(fault, Fault::Clash { .. }))
    };
    let done = |so_far: &ExclusionChecker| so_far.breaks() >= 1000 || is_found(&so_far.faults());
    let figures = workers::contend(&FLUFL, &workdir, done);
    say(&format!("races, {}: {figures}", FLUFL.name));
    assert!(figures.overlaps > 0, "no overlaps in {} breaks", figures.breaks);
    assert!(figures.clashes > 0, "no witness met another in {} breaks", figures.breaks);
}

/// Has workers contend until so many locks were taken over, half of them by each policy, unless the
/// environment sets another number.
pub(crate) fn race_soundly(what: &str, setup: &Setup, breaks: usize) {
    let dir = workdir::temporary();
    let workdir = Workdir::at(dir.path());
    let breaks = scale("LINKLOCK_BREAKS", breaks).div_ceil(2);
    let done = |so_far: &ExclusionChecker| so_far.breaks() >= breaks || !so_far.failures.is_empty();
    let figures = workers::contend(setup, &workdir, done);
    say(&format!("{what}, {}: {figures}", setup.name));
    assert!(figures.faults.is_empty(), "{:#?}", figures.faults);
    assert!(figures.breaks >= breaks, "only {} breaks", figures.breaks);
    assert_nothing_is_left(setup, &workdir);
}
