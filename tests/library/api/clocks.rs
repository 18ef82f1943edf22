//! A clock that does not go as the server's does: what is known of the server's time is asked for
//! again before it matters. The clock here takes an hour's wait for an hour, which the disk does not.

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
    // Its own claim needs no touch before the holder's lease is over, by its clock.
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

/// On this machine's own disk its date is the server's: a step forward must not cost a live process its
/// lock. It counts as over only once it was observed for as long as its lease was to run.
#[test]
fn a_holder_that_is_provably_alive_keeps_a_lease_that_only_looks_over() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let guard = Lock::options(&path).lifetime(MINUTE).build().unwrap().lock().unwrap();
    // As if the date had been set forward by an hour.
    set_lease_end(&path, SystemTime::now() - HOUR);
    let clock = ManualClock::new();
    let waiter = Lock::options(&path).lifetime(MINUTE).clock(clock.clone()).build().unwrap();
    assert!(matches!(waiter.try_lock(), Err(Error::Held { .. })), "nobody has observed it yet");
    assert!(matches!(waiter.try_lock_for(MINUTE), Err(Error::TimedOut { .. })));
    guard.refresh().unwrap();
    guard.verify().unwrap();
    // One that is refreshed no more is over when it was observed for a lease and the slop.
    set_lease_end(&path, SystemTime::now() - HOUR);
    drop(waiter.try_lock_for(3 * MINUTE).unwrap());
}

/// As a clock that was set back leaves it, or a machine without a battery clock after a power cut.
#[test]
fn a_lease_that_is_dated_ahead_is_judged_by_its_length() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    // Touched just now for ten minutes: what its date is does not matter to one who has watched it.
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
