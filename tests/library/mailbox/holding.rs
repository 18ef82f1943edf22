//! A mailbox that is held: refreshed, kept alive, lost and late.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use linklock::mailbox::{DotlockKind, LEASE, MailboxLock};
use linklock::{Error, Lock, Successor};

use super::scene::Scene;
use crate::kit::{set_lease_end, wait_until};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_lease_lasts_as_long_as_the_least_patient_program_waits() {
    let scene = Scene::new();
    let guard = scene.lock().lock().unwrap();
    assert_eq!(guard.remaining(), LEASE);
    scene.clock.advance(LEASE.saturating_sub(SECOND));
    guard.verify().unwrap();
    guard.refresh().unwrap();
    assert_eq!(guard.remaining(), LEASE);
    scene.clock.advance(LEASE);
    assert!(matches!(guard.verify(), Err(Error::Expired { .. })));
    guard.refresh().unwrap();
    guard.verify().unwrap();
    scene.clock.advance(LEASE * 2);
    guard.unlock().unwrap();
    assert!(scene.beside().is_empty(), "{:?}", scene.beside());
}

#[test]
fn a_dotlock_that_another_has_taken_is_neither_touched_nor_removed() {
    for late in [false, true] {
        let scene = Scene::new();
        let guard = scene.lock().lock().unwrap();
        let ours = fs::metadata(&scene.dotlock).unwrap().ino();
        fs::remove_file(&scene.dotlock).unwrap();
        scene.dotlock_of("4711:elsewhere", 0o600);
        let theirs = fs::metadata(&scene.dotlock).unwrap();
        assert_ne!(theirs.ino(), ours, "the guard keeps its inode from being used again");
        if late {
            scene.clock.advance(LEASE * 2);
        }
        for lost in [guard.verify(), guard.refresh(), guard.unlock()] {
            match lost {
                Err(Error::Lost { now: Successor::Dotlock(dotlock), .. }) => {
                    assert_eq!(*dotlock.kind(), DotlockKind::Dovecot(4711, "elsewhere".into()));
                }
                other => panic!("{other:?}"),
            }
        }
        let after = fs::metadata(&scene.dotlock).unwrap();
        assert_eq!((after.ino(), after.ctime_nsec()), (theirs.ino(), theirs.ctime_nsec()));
        assert_eq!(scene.beside(), ["joe.lock"]);
    }
}

#[test]
fn a_dotlock_that_is_gone_is_lost() {
    let scene = Scene::new();
    let guard = scene.lock().lock().unwrap();
    fs::remove_file(&scene.dotlock).unwrap();
    let lost = guard.refresh().unwrap_err();
    assert!(matches!(lost, Error::Lost { now: Successor::Nobody, .. }), "{lost:?}");
    assert_eq!(guard.remaining(), Duration::ZERO);
    assert!(guard.unlock().is_err());
    // The mailbox itself is unlocked nevertheless.
    scene.lock().try_lock().unwrap().unlock().unwrap();
}

#[test]
fn a_holder_that_is_late_acts_in_turn_with_breakers() {
    let scene = Scene::new();
    let guard = scene.lock().lock().unwrap();
    let breaker = Lock::options(scene.dir.path().join(".joe.break")).lifetime(LEASE * 100);
    let breaker = breaker.build().unwrap().lock().unwrap();
    guard.refresh().unwrap(); // in time it would not need the right
    scene.clock.advance(LEASE);
    let error = guard.refresh().unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    breaker.unlock().unwrap();
    guard.refresh().unwrap();
    guard.unlock().unwrap();
}

#[test]
fn a_guard_that_is_dropped_unlocks() {
    let scene = Scene::new();
    drop(scene.lock().lock().unwrap());
    assert!(scene.beside().is_empty());
    scene.lock().try_lock().unwrap().unlock().unwrap();
}

/// Takes twice the time between two touches.
#[test]
fn a_guard_that_is_kept_alive_is_touched_in_time_and_reports_its_loss() {
    let scene = Scene::new();
    let guard = MailboxLock::new(&scene.mbox).unwrap().lock().unwrap();
    let kept = guard.kept_alive().unwrap();
    let then = SystemTime::now() - Duration::from_secs(3600);
    set_lease_end(&scene.dotlock, then);
    wait_until("it is touched", || {
        fs::metadata(&scene.dotlock).unwrap().modified().unwrap() > then
    });
    assert!(guard.remaining() > LEASE / 2, "15 s at most after the last touch");
    fs::remove_file(&scene.dotlock).unwrap();
    let why = kept.lost_within(LEASE).unwrap();
    assert!(why.is_lost(), "{why}");
}
