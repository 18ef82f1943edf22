//! A contender whose clock is an hour off breaks no live lock, and takes over a dead holder's lock
//! on time: leases are judged by the file server's clock, and counted on a clock that is never set.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use linklock::{Error, Lock, LockOptions, StalePolicy};

use crate::kit::HOUR;
use crate::kit::clock::{OtherClock, Wrong, now};
use crate::kit::wait::LIMIT;

/// A keep-alive may be this late: a busy machine must not lose the lock.
const LIFETIME: Duration = Duration::from_millis(1500);
const SLOP: Duration = Duration::from_millis(1500);
/// The greatest inaccuracy of a kernel's file times, by which a lease may seem to end early. (A
/// tick; many if a virtual machine's processors stand still.)
const TICK: Duration = Duration::from_millis(500);

const RIGHT: OtherClock = OtherClock { wrong: Wrong::Right, count: Duration::ZERO };

/// Every wrong clock with a right one, as the holder's and as the contender's.
fn pairs() -> impl Iterator<Item = (OtherClock, OtherClock)> {
    [Wrong::Fast(HOUR), Wrong::Slow(HOUR)].into_iter().flat_map(|wrong| {
        [Duration::ZERO, Duration::from_nanos(987_654_321_987_654_321)].into_iter().flat_map(
            move |count| {
                let other = OtherClock { wrong, count };
                [(RIGHT, other), (other, RIGHT)]
            },
        )
    })
}

/// Options for two hosts, of which neither can prove the other's processes dead.
fn on(host: &str, lock: &std::path::Path, clock: OtherClock) -> LockOptions {
    Lock::options(lock)
        .host_name(host)
        .stale(StalePolicy::ExpiredOrDead)
        .lifetime(LIFETIME)
        .clock_slop(SLOP)
        .polling(Duration::from_millis(1), Duration::from_millis(5))
        .clock(Arc::new(clock))
}

#[test]
fn a_live_lock_is_not_broken_by_a_wrong_clock() {
    at_once(|lock, holders, contenders| {
        let guard = on("holder", lock, holders).build().unwrap().lock().unwrap();
        guard.keep_alive(|why| panic!("{why}")).unwrap();
        let contender = on("contender", lock, contenders).build().unwrap();
        assert!(matches!(contender.try_lock(), Err(Error::Held { .. })));
        let waited = contender.try_lock_for(2 * (LIFETIME + SLOP));
        assert!(matches!(waited, Err(Error::TimedOut { .. })), "{waited:?}");
        guard.unlock().unwrap();
    });
}

#[test]
fn a_dead_holders_lock_is_taken_over_on_time_by_any_clock() {
    at_once(|lock, holders, contenders| {
        let guard = on("holder", lock, holders).build().unwrap().lock().unwrap();
        let asked = now();
        let lease_ends = asked + guard.remaining();
        std::mem::forget(guard); // dead, as far as another host can know
        let contender = on("contender", lock, contenders).build().unwrap();
        let taken = contender.try_lock_for(LIMIT).unwrap();
        let late = (now() + TICK).checked_sub(lease_ends + SLOP);
        // Not before the slop has passed; and at most a minute later, far less than an hour.
        assert!(late.is_some_and(|late| late < LIMIT), "{late:?}");
        taken.unlock().unwrap();
    });
}

/// Runs a test for every pair of clocks, each with a lock of its own, all at the same time.
fn at_once(test: fn(&std::path::Path, OtherClock, OtherClock)) {
    let dir = tempfile::tempdir().unwrap();
    thread::scope(|scope| {
        for (number, (holders, contenders)) in pairs().enumerate() {
            let lock = dir.path().join(format!("{number}.lock"));
            scope.spawn(move || test(&lock, holders, contenders));
        }
    });
}
