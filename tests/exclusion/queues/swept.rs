//! A waiter whose claim is removed makes another one, and is not wedged.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use linklock::Lock;

use crate::kit::clock::now;
use crate::kit::wait::{LIMIT, wait_until};
use crate::support::flufl::{FluflError, FluflLock};
use crate::support::workdir::Workdir;

const POLLING: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(5));

/// The waiter notices while it waits, each time when it touches its claim.
#[test]
fn a_claim_that_is_removed_during_the_wait_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let workdir = Workdir::at(dir.path());
    let lifetime = Duration::from_millis(200); // a claim is touched once in every half of it
    let holder =
        Lock::options(workdir.lock(0)).lifetime(10 * LIMIT).build().unwrap().lock().unwrap();
    let waiter = polling(&workdir.lock(0)).lifetime(lifetime).build().unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| waiter.try_lock_for(LIMIT));
        let mut removed = Vec::new();
        for _ in 0..3 {
            let claim = await_claim(&workdir, holder.claim_path(), &removed);
            fs::remove_file(&claim).unwrap();
            removed.push(claim);
        }
        await_claim(&workdir, holder.claim_path(), &removed);
        holder.unlock().unwrap();
        waiting.join().unwrap().unwrap().unlock().unwrap();
    });
    assert!(workdir.files_of(0).is_empty());
}

/// The waiter notices at the last moment, when its link fails.
#[test]
fn a_claim_that_is_removed_just_before_the_release_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let workdir = Workdir::at(dir.path());
    let holder =
        Lock::options(workdir.lock(0)).lifetime(10 * LIMIT).build().unwrap().lock().unwrap();
    let waiter = polling(&workdir.lock(0)).lifetime(10 * LIMIT).build().unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| waiter.try_lock_for(LIMIT));
        fs::remove_file(await_claim(&workdir, holder.claim_path(), &[])).unwrap();
        let released = now();
        holder.unlock().unwrap();
        waiting.join().unwrap().unwrap().unlock().unwrap();
        assert!(now() < released + waiter.lifetime() / 2, "it was too late for a touch to notice");
    });
    assert!(workdir.files_of(0).is_empty());
}

/// flufl.lock expects the link to work some day.
#[test]
fn under_flufl_locks_protocol_the_waiter_is_wedged() {
    let dir = tempfile::tempdir().unwrap();
    let workdir = Workdir::at(dir.path());
    let (lifetime, slop) = (Duration::from_secs(15), Duration::from_secs(10));
    let flufl_lock = || FluflLock::new(&workdir.lock(0), lifetime, slop, POLLING);
    let mut holder = flufl_lock();
    holder.lock(LIMIT).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| flufl_lock().lock(Duration::from_secs(3)));
        let held_by = PathBuf::from(fs::read_to_string(workdir.lock(0)).unwrap());
        fs::remove_file(await_claim(&workdir, &held_by, &[])).unwrap();
        holder.unlock().unwrap();
        let outcome = waiting.join().unwrap();
        assert!(matches!(outcome, Err(FluflError::TimedOut)), "{outcome:?}");
    });
    assert!(workdir.files_of(0).is_empty(), "the lock was free all the time");
}

fn polling(lock: &Path) -> linklock::LockOptions {
    Lock::options(lock).polling(POLLING.0, POLLING.1)
}

/// Waits for a claim that is neither the holder's nor one of these.
fn await_claim(workdir: &Workdir, holders: &Path, others: &[PathBuf]) -> PathBuf {
    let mut found = None;
    wait_until("there is a claim", || {
        let files = workdir.files_of(0).into_iter();
        let mut claims = files.filter(|file| *file != workdir.lock(0) && file != holders);
        found = claims.find(|claim| !others.contains(claim) && is_whole(claim));
        found.is_some()
    });
    found.unwrap()
}

/// Whether its maker has written it and set its time.
fn is_whole(claim: &Path) -> bool {
    fs::metadata(claim)
        .and_then(|claim| claim.modified())
        .is_ok_and(|lease_ends| lease_ends > std::time::SystemTime::now())
}
