//! The events of an acquisition.

use std::fs;
use std::time::{Duration, SystemTime};

use linklock::Lock;

use crate::capture::{self, Value};
use crate::kit::worker::Worker;
use crate::kit::{HOUR, beside, claim_like_flufl, lock_like_flufl};
use crate::stage::{ActingClock, Stage};

#[test]
fn an_uncontended_acquisition_reports_its_beginning_and_its_end() {
    let stage = Stage::new();
    let lock = Lock::options(&stage.path).fencing(true).build().unwrap();
    let guard = lock.lock().unwrap();
    let (claim, token) = (guard.claim_path().to_str().unwrap().to_owned(), guard.token().unwrap());
    guard.unlock().unwrap();

    stage.assert_told(&["DEBUG acquired", "DEBUG released"]);
    let acquired = stage.one("acquired");
    assert_eq!(acquired.string("path"), stage.path.to_str().unwrap());
    assert_eq!(acquired.string("claim"), claim);
    assert_eq!(acquired.fields["token"], Value::Number(1.0));
    assert_eq!(token, 1);
    assert!((0.0..1.0).contains(&acquired.number("waited_secs")), "{acquired:?}");
    let released = stage.one("released");
    assert!((0.0..60.0).contains(&released.number("held_secs")), "{released:?}");

    let [span] = &capture::spans(stage.dir())[..] else { panic!("one acquisition") };
    assert_eq!(span.string("path"), stage.path.to_str().unwrap());
    assert_eq!(span.fields["lifetime_secs"], Value::Number(15.0));
    assert_eq!((span.string("outcome"), span.string("claim")), ("acquired", &*claim));
    assert_eq!(span.fields["token"], Value::Number(1.0));
    assert!(span.has("waited_secs"));
    assert!(acquired.within.is_some() && released.within.is_none(), "the span ends with it");
}

#[test]
fn a_refused_acquisition_reports_the_holder() {
    let stage = Stage::new();
    let holder = Worker::holding(&stage.path);
    stage.lock().try_lock().unwrap_err();

    stage.assert_told(&["DEBUG held"]);
    let held = stage.one("held");
    assert_eq!(held.string("holder.kind"), "lock");
    assert_eq!(held.string("holder.host"), stage.lock().host_name().to_str().unwrap());
    assert_eq!(held.fields["holder.pid"], Value::Number(holder.pid().into()));
    let claim = stage.lock().holder().unwrap().unwrap().claim_path().to_owned();
    assert_eq!(held.string("holder.claim"), claim.to_str().unwrap());
    assert_eq!(held.string("holder.program"), "linklock");
    assert_eq!(held.string("holder.life"), "alive");
    assert!((1800.0..3601.0).contains(&held.number("holder.lease_secs")), "{held:?}");
    let [span] = &capture::spans(stage.dir())[..] else { panic!("one acquisition") };
    assert_eq!(span.string("outcome"), "held");
    assert!(!span.has("claim") && !span.has("token"));
    holder.finish();
}

/// It polls some four thousand times.
#[test]
fn a_long_wait_reports_its_beginning_and_its_end() {
    let stage = Stage::new();
    lock_like_flufl(&stage.path, SystemTime::now() + 3 * HOUR);
    let clock = ActingClock::idle();
    stage.options(&clock).build().unwrap().try_lock_for(HOUR).unwrap_err();
    assert!(clock.sleeps() > 3000, "{clock:?}");

    stage.assert_told(&["DEBUG waiting", "INFO still_waiting", "INFO timed_out"]);
    for event in stage.events() {
        assert_eq!(event.string("holder.kind"), "lock");
        assert_eq!(event.string("holder.host"), "elsewhere");
        assert_eq!(event.fields["holder.pid"], Value::Number(4711.0));
        assert_eq!(event.string("holder.program"), "flufl.lock");
        assert_eq!(event.string("holder.life"), "unknown");
        assert!(event.within.is_some());
    }
    let waited = stage.one("still_waiting").number("waited_secs");
    assert!((1.0..3.0).contains(&waited), "{waited}");
    let waited = stage.one("timed_out").number("waited_secs");
    assert!((3600.0..3602.0).contains(&waited), "{waited}");
    let [span] = &capture::spans(stage.dir())[..] else { panic!("one acquisition") };
    assert_eq!(span.string("outcome"), "timed_out");
}

#[test]
fn a_short_wait_asks_for_no_attention() {
    let stage = Stage::new();
    lock_like_flufl(&stage.path, SystemTime::now() + HOUR);
    let clock = ActingClock::idle();
    stage.options(&clock).build().unwrap().try_lock_for(Duration::from_millis(900)).unwrap_err();
    stage.assert_told(&["DEBUG waiting", "DEBUG timed_out"]);
}

#[test]
fn a_waiter_reports_each_new_holder() {
    let stage = Stage::new();
    let (path, lease) = (stage.path.clone(), SystemTime::now() + HOUR);
    let first = lock_like_flufl(&path, lease);
    let clock = ActingClock::new(move |sleeps| match sleeps {
        5 => {
            fs::remove_file(&path).unwrap();
            fs::remove_file(&first).unwrap();
            fs::hard_link(claim_like_flufl(&path, "there|815|1", lease), &path).unwrap();
        }
        60 => {
            fs::remove_file(&path).unwrap();
            fs::write(&path, "save me").unwrap(); // the file under that name is not a lock now
        }
        70 => fs::remove_file(&path).unwrap(),
        _ => {}
    });
    let guard = stage.options(&clock).build().unwrap().lock().unwrap();
    stage.assert_told(&[
        "DEBUG waiting",
        "DEBUG obstacle_changed",
        "INFO still_waiting",
        "DEBUG obstacle_changed",
        "INFO acquired",
    ]);
    let [waiting, changed, _, no_lock, acquired] = &stage.events()[..] else { unreachable!() };
    assert_eq!(waiting.fields["holder.pid"], Value::Number(4711.0));
    assert_eq!((changed.string("holder.host"), changed.number("holder.pid")), ("there", 815.0));
    assert!(changed.has("waited_secs"));
    assert_eq!(no_lock.string("holder.kind"), "no_lock");
    assert!(!no_lock.has("holder.pid") && !no_lock.has("holder.claim"));
    assert!(acquired.number("waited_secs") >= 1.0);
    drop(guard);
}

#[test]
fn the_loss_of_a_claim_is_reported() {
    let stage = Stage::new();
    let path = stage.path.clone();
    let theirs = lock_like_flufl(&path, SystemTime::now() + HOUR);
    let clock = ActingClock::new(move |sleeps| match sleeps {
        10 => {
            for claim in beside(&path).into_iter().filter(|claim| *claim != theirs) {
                fs::remove_file(claim).unwrap();
            }
        }
        30 => {
            fs::remove_file(&path).unwrap();
            fs::remove_file(&theirs).unwrap();
        }
        _ => {}
    });
    drop(stage.options(&clock).build().unwrap().lock().unwrap());
    let again = stage.one("restarted");
    assert_eq!(again.string("because"), "its claim was removed");
    assert_eq!(again.level, tracing::Level::WARN);
    assert_eq!(stage.all("waiting").len(), 1, "it is one wait nevertheless");
    assert_eq!(capture::spans(stage.dir()).len(), 1);
}

#[test]
fn a_returned_error_asks_for_no_attention() {
    let stage = Stage::new();
    let path = stage.dir().join("missing/lock");
    let error = Lock::new(&path).unwrap().lock().unwrap_err();
    stage.assert_told(&["DEBUG failed"]);
    assert_eq!(stage.one("failed").string("error"), error.to_string());
}
