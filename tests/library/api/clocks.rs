//! A clock that runs at another rate than the server's: a contender asks for the server's time
//! again before it matters. The clock here counts an hour's wait as an hour; for the disk it takes
//! no time.

use std::fs;
use std::time::{Duration, SystemTime};

use linklock::{Error, Lock};
use tempfile::tempdir;

use crate::kit::clock::ManualClock;
use crate::kit::{HOUR, beside, lock_like_flufl, set_lease_end};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_live_lock_is_safe_from_a_waiter_whose_clock_is_fast() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let guard = Lock::options(&path).lifetime(HOUR).build().unwrap().lock().unwrap();
    // By the waiter's clock, its claim needs no touch before the holder's lease is over.
    let clock = ManualClock::new();
    let waiter = Lock::options(&path).lifetime(HOUR * 3).clock(clock.clone());
    let refused = waiter.build().unwrap().lock_while(|_| {
        guard.refresh().unwrap();
        linklock::Clock::now(&*clock) < HOUR + HOUR / 2
    });
    assert!(matches!(refused, Err(Error::TimedOut { .. })), "{refused:?}");
    guard.verify().unwrap();
}

#[test]
fn a_waiters_claim_goes_by_the_servers_time_however_long_the_wait() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let guard = Lock::options(&path).lifetime(HOUR * 24).build().unwrap().lock().unwrap();
    let clock = ManualClock::new();
    let waiter = Lock::options(&path).lifetime(MINUTE * 10).clock(clock.clone()).build().unwrap();
    let mut ahead = Duration::ZERO;
    let refused = waiter.lock_while(|_| {
        clock.advance(MINUTE);
        let claims = beside(&path).into_iter().filter(|claim| claim != guard.claim_path());
        for claim in claims {
            let ends = fs::metadata(claim).unwrap().modified().unwrap();
            ahead = ends.duration_since(SystemTime::now()).unwrap();
        }
        linklock::Clock::now(&*clock) < HOUR * 10
    });
    assert!(refused.unwrap_err().is_contention());
    assert!(ahead > Duration::ZERO && ahead < MINUTE * 30, "{ahead:?}");
}

#[test]
fn a_kept_claim_goes_by_the_servers_time_too() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let clock = ManualClock::new();
    let options = Lock::options(&path).lifetime(HOUR).keep_claim(true).clock(clock.clone());
    let lock = options.build().unwrap();
    for _ in 0..20 {
        let guard = lock.lock().unwrap();
        let ahead = guard.expires_at().duration_since(SystemTime::now()).unwrap();
        assert!(ahead < HOUR * 2, "{ahead:?}"); // off by one round, but not by all of them
        guard.unlock().unwrap();
        clock.advance(MINUTE * 30);
    }
}

/// On a local disk the machine's date is the server's: when it is set forward, a live process must
/// not lose its lock. The lock counts as expired only once it has been observed unchanged for the
/// length of its lease.
#[test]
fn a_holder_that_is_provably_alive_keeps_a_lease_that_only_looks_over() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let guard = Lock::options(&path).lifetime(MINUTE).build().unwrap().lock().unwrap();
    // As if the date had been set forward by an hour.
    set_lease_end(&path, SystemTime::now() - HOUR);
    let clock = ManualClock::new();
    let waiter = Lock::options(&path).lifetime(MINUTE).clock(clock.clone()).build().unwrap();
    assert!(matches!(waiter.try_lock(), Err(Error::Held { .. })), "it has not been observed yet");
    assert!(matches!(waiter.try_lock_for(MINUTE), Err(Error::TimedOut { .. })));
    guard.refresh().unwrap();
    guard.verify().unwrap();
    // A lock that is no longer refreshed is stale once it has been observed for a lease and the
    // slop.
    set_lease_end(&path, SystemTime::now() - HOUR);
    drop(waiter.try_lock_for(3 * MINUTE).unwrap());
}

/// As after a clock was set back, or after a power cut on a machine without a battery clock.
#[test]
fn a_lease_that_is_dated_ahead_is_judged_by_its_length() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    // Touched just now for ten minutes: to a waiter that has watched it, its date does not matter.
    lock_like_flufl(&path, SystemTime::now() + MINUTE * 10);
    let clock = ManualClock::new();
    let waiter = Lock::options(&path).lifetime(MINUTE).clock(clock.clone()).build().unwrap();
    let mut looked = 0;
    let guard = waiter.lock_while(|_| {
        // The server's clock is set back again and again: no date is ever reached.
        looked += 1;
        linklock::Clock::now(&*clock) < HOUR
    });
    assert!(guard.is_ok() && looked > 0, "{guard:?}");
    let waited = linklock::Clock::now(&*clock);
    assert!(waited >= MINUTE * 10 && waited < MINUTE * 12, "{waited:?}");
}
