//! The events of mailboxes: the same events with the same fields.

use std::fs;
use std::time::{Duration, SystemTime};

use linklock::mailbox::{MailboxLock, MailboxOptions};

use crate::capture::{self, Value};
use crate::kit::{HOUR, lock_like_flufl};
use crate::stage::{ActingClock, Stage};

fn mailbox(stage: &Stage, clock: &std::sync::Arc<ActingClock>) -> MailboxOptions {
    fs::write(stage.dir().join("joe"), "").unwrap();
    MailboxLock::options(stage.dir().join("joe")).clock(clock.clone()).host_name("here")
}

#[test]
fn an_uncontended_acquisition_is_reported() {
    let stage = Stage::new();
    let clock = ActingClock::idle();
    let guard = mailbox(&stage, &clock).build().unwrap().lock().unwrap();
    clock.advance(Duration::from_secs(9));
    guard.refresh().unwrap();
    guard.unlock().unwrap();
    stage.assert_told(&["DEBUG acquired", "TRACE refreshed", "DEBUG released"]);
    for event in stage.events() {
        assert_eq!(event.string("path"), stage.dir().join("joe").to_str().unwrap());
    }
    assert_eq!(stage.one("released").fields["held_secs"], Value::Number(9.0));
    let [span] = &capture::spans(stage.dir())[..] else { panic!("one acquisition") };
    assert_eq!(span.string("outcome"), "acquired");
    assert_eq!(span.fields["lifetime_secs"], Value::Number(30.0));
}

#[test]
fn a_dotlock_in_the_way_and_its_takeover_are_reported() {
    let stage = Stage::new();
    let clock = ActingClock::idle();
    fs::write(stage.dir().join("joe.lock"), "4711:elsewhere").unwrap();
    let lock = mailbox(&stage, &clock).build().unwrap();
    drop(lock.lock().unwrap()); // after 300 s in which nothing changes
    let events = stage.events();
    let own = |name: &str| {
        let own = events.iter().filter(|event| event.string("path").ends_with("/joe"));
        own.filter(|event| event.short() == name).cloned().collect::<Vec<_>>()
    };
    let [waiting] = &own("waiting")[..] else { panic!("{events:?}") };
    assert_eq!(waiting.string("holder.kind"), "dotlock");
    assert_eq!(waiting.string("holder.program"), "Dovecot, process 4711 on elsewhere");
    assert_eq!(
        (waiting.string("holder.host"), waiting.number("holder.pid")),
        ("elsewhere", 4711.0)
    );
    assert_eq!(waiting.string("holder.life"), "unknown");
    let [broken] = &own("broken")[..] else { panic!("{events:?}") };
    assert_eq!(broken.string("because"), "unchanged");
    assert!(broken.number("holder.unchanged_secs") >= 300.0);
    let [acquired] = &own("acquired")[..] else { panic!("{events:?}") };
    assert!(acquired.number("waited_secs") >= 300.0);
    assert_eq!(acquired.level, tracing::Level::INFO);
    assert_eq!((own("still_waiting").len(), own("obstacle_changed").len()), (1, 0));
    // The right to break it is a separate lock.
    let right: Vec<_> =
        events.iter().filter(|event| event.string("path").ends_with("/.joe.break")).collect();
    assert_eq!(right.len(), 2, "{right:?}");
    assert!(right.iter().all(|event| event.within.is_some()), "{right:?}");
}

#[test]
fn a_loss_is_reported() {
    let stage = Stage::new();
    let clock = ActingClock::idle();
    let guard = mailbox(&stage, &clock).build().unwrap().lock().unwrap();
    fs::remove_file(guard.dotlock_path()).unwrap();
    fs::write(guard.dotlock_path(), "0\n").unwrap();
    guard.verify().unwrap_err();
    stage.assert_told(&["DEBUG acquired", "ERROR lost"]);
    guard.refresh().unwrap_err();
    guard.unlock().unwrap_err();
    assert_eq!(stage.one("lost").string("holder.kind"), "dotlock");
    assert_eq!(stage.one("lost").string("holder.program"), "dotlockfile or one of its kind");
}

#[test]
fn a_lock_file_in_the_way_is_reported() {
    let stage = Stage::new();
    let clock = ActingClock::idle();
    lock_like_flufl(&stage.dir().join("joe.lock"), SystemTime::now() + 3 * HOUR);
    let lock = mailbox(&stage, &clock).build().unwrap();
    lock.try_lock_for(HOUR).unwrap_err();
    stage.assert_told(&["DEBUG waiting", "INFO still_waiting", "INFO timed_out"]);
    assert_eq!(stage.one("timed_out").string("holder.host"), "elsewhere");
}

#[test]
fn an_fcntl_lock_in_the_way_is_reported() {
    let stage = Stage::new();
    let clock = ActingClock::idle();
    let options = mailbox(&stage, &clock);
    let mbox = stage.dir().join("joe");
    let other = MailboxLock::options(&mbox).build().unwrap().lock().unwrap();
    fs::remove_file(stage.dir().join("joe.lock")).unwrap();
    options.build().unwrap().try_lock().unwrap_err();
    assert_eq!(stage.one("held").string("holder.kind"), "fcntl");
    drop(other);
}
