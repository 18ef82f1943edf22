//! The events of a lock that is held: refreshes, its end, and its loss.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::mpsc;
use std::time::Duration;

use linklock::{Error, Lock, LockGuard, Owner};

use crate::capture::Value;
use crate::kit::wait::LIMIT;
use crate::kit::{beside, wait_until};
use crate::stage::{ActingClock, Stage};

#[test]
fn refreshes_and_the_time_held_are_reported() {
    let stage = Stage::new();
    let clock = ActingClock::idle();
    let guard = stage.options(&clock).build().unwrap().lock().unwrap();
    clock.advance(Duration::from_secs(5));
    guard.refresh().unwrap();
    clock.advance(Duration::from_secs(7));
    guard.verify().unwrap();
    guard.unlock().unwrap();
    stage.assert_told(&["DEBUG acquired", "TRACE refreshed", "DEBUG released"]);
    assert_eq!(stage.one("refreshed").fields["lease_secs"], Value::Number(15.0));
    assert_eq!(stage.one("released").fields["held_secs"], Value::Number(12.0));
}

#[test]
fn late_refreshes_and_releases_are_reported() {
    let stage = Stage::new();
    let clock = ActingClock::idle();
    let guard = stage.options(&clock).build().unwrap().lock().unwrap();
    clock.advance(Duration::from_secs(18));
    guard.refresh().unwrap();
    clock.advance(Duration::from_secs(17));
    guard.unlock().unwrap();
    stage.assert_told(&["DEBUG acquired", "WARN refreshed_late", "WARN released_late"]);
    let refreshed = stage.one("refreshed_late");
    assert_eq!(refreshed.fields["overdue_secs"], Value::Number(3.0));
    assert_eq!(refreshed.fields["lease_secs"], Value::Number(15.0));
    let released = stage.one("released_late");
    assert_eq!(released.fields["overdue_secs"], Value::Number(2.0));
    assert_eq!(released.fields["held_secs"], Value::Number(35.0));
}

#[test]
fn a_loss_is_reported_once() {
    let stage = Stage::new();
    let guard = stage.lock().lock().unwrap();
    stage.lock().break_if(|_| true).unwrap().unwrap();
    for error in [guard.refresh(), guard.verify(), guard.refresh()].map(Result::unwrap_err) {
        assert!(error.is_lost(), "{error:?}");
    }
    guard.unlock().unwrap_err();
    stage.assert_told(&["DEBUG acquired", "WARN broken", "ERROR lost"]);
    let lost = stage.one("lost");
    assert_eq!(lost.string("holder.kind"), "nobody");
    assert!(!lost.has("holder.pid"));
}

#[test]
fn a_loss_is_reported_with_the_new_holder() {
    let ways: [fn(LockGuard); 4] = [
        |guard| drop(guard.verify().unwrap_err()),
        |guard| drop(guard.refresh().unwrap_err()),
        |guard| drop(guard.unlock().unwrap_err()),
        drop, // for which there is no event
    ];
    for finds_out in ways {
        let stage = Stage::new();
        let guard = stage.lock().lock().unwrap();
        stage.lock().break_if(|_| true).unwrap().unwrap();
        let successor = stage.lock().lock().unwrap();
        finds_out(guard);
        let lost = stage.one("lost");
        assert_eq!(lost.level, tracing::Level::ERROR);
        assert_eq!(lost.string("holder.kind"), "lock");
        assert_eq!(lost.string("holder.claim"), successor.claim_path().to_str().unwrap());
        assert_eq!(lost.fields["holder.pid"], Value::Number(std::process::id().into()));
        assert_eq!(stage.all("not_released").len(), 0, "that is enough");
    }
}

#[test]
fn a_loss_under_keep_alive_is_reported() {
    let stage = Stage::new();
    let lifetime = Duration::from_millis(600);
    let guard = Lock::options(&stage.path).lifetime(lifetime).build().unwrap().lock().unwrap();
    let (tell, told) = mpsc::channel();
    guard.keep_alive(move |why| tell.send(why).unwrap()).unwrap();
    wait_until("it was kept alive", || !stage.all("refreshed").is_empty());
    stage.lock().break_if(|_| true).unwrap().unwrap();
    assert!(told.recv_timeout(LIMIT).unwrap().is_lost());
    stage.one("lost");
    drop(guard);
    stage.one("lost");
}

#[test]
fn a_failed_refresh_and_the_end_of_the_lease_are_reported() {
    let stage = Stage::new();
    let (dir, away) = (stage.dir().join("moved"), stage.dir().join("away"));
    fs::create_dir(&dir).unwrap();
    let options = Lock::options(dir.join("lock")).lifetime(Duration::from_millis(1500));
    let guard = options.build().unwrap().lock().unwrap();
    let (tell, told) = mpsc::channel();
    guard.keep_alive(move |why| tell.send(why).unwrap()).unwrap();
    // The path leads round in circles.
    fs::rename(&dir, &away).unwrap();
    symlink(&dir, &dir).unwrap();
    let why = told.recv_timeout(LIMIT).unwrap();
    assert!(matches!(why, Error::Expired { .. }), "{why:?}");
    fs::remove_file(&dir).unwrap();
    fs::rename(&away, &dir).unwrap();

    let failed = stage.all("refresh_failed");
    assert!(!failed.is_empty(), "{:?}", stage.events());
    for event in &failed {
        assert_eq!(event.level, tracing::Level::WARN);
        assert!((0.0..1.5).contains(&event.number("lease_secs")), "{event:?}");
        assert!(event.string("error").contains("symbolic links"), "{event:?}");
    }
    let expired = stage.one("expired");
    assert_eq!(expired.level, tracing::Level::ERROR);
    assert!(expired.string("error").contains("symbolic links"), "{expired:?}");
    assert_eq!(stage.all("lost").len(), 0, "nobody was seen to have it");
    guard.unlock().unwrap();
    stage.one("released_late");
}

#[test]
fn a_transfer_is_reported() {
    let stage = Stage::new();
    let pid = std::process::id();
    let claim = stage.lock().lock().unwrap().detach(Owner::Process(pid)).unwrap();
    let guard = stage.lock().adopt(&claim).unwrap();
    guard.unlock().unwrap();
    let claim = claim.to_str().unwrap();
    stage.assert_told(&[
        "DEBUG acquired",
        "TRACE refreshed",
        "DEBUG detached",
        "DEBUG adopted",
        "DEBUG released",
    ]);
    let detached = stage.one("detached");
    assert_eq!(detached.fields["owner.pid"], Value::Number(pid.into()));
    assert_eq!((detached.string("claim"), stage.one("adopted").string("claim")), (claim, claim));

    let claim = stage.lock().lock().unwrap().detach(Owner::Lease).unwrap();
    assert_eq!(beside(&stage.path), [claim]);
    assert!(!stage.all("detached")[1].has("owner.pid"));
}
