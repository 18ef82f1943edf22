//! LINKLOCK_LOG: events of locks on stderr.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::common::{Place, linklock, outcome};

const LEVEL: &str = "LINKLOCK_LOG";

/// Locks like flufl.lock on another host, with a lease that ended an hour ago.
fn leave_behind(lock: &Path, host: &str) {
    let mut claim = lock.as_os_str().to_owned();
    claim.push(format!("|{host}|4711|815"));
    fs::write(&claim, claim.as_encoded_bytes()).unwrap();
    let expired = SystemTime::now() - Duration::from_secs(3600);
    File::open(&claim).unwrap().set_modified(expired).unwrap();
    fs::hard_link(&claim, lock).unwrap();
}

/// The lines that a run writes to stderr when it finds such a lock.
fn log_of(run: &mut Command, lock: &Path, host: &str) -> Vec<String> {
    leave_behind(lock, host);
    let (code, said) = outcome(run);
    assert_eq!(code, 0, "{said}");
    said.lines().map(str::to_owned).collect()
}

#[test]
fn a_takeover_is_logged_with_the_holder() {
    let place = Place::new();
    let lines = log_of(place.run(&[], &["true"]).env(LEVEL, "warn"), &place.lock, "elsewhere");
    let [line] = &lines[..] else { panic!("{lines:?}") };
    let lock = place.lock.display();
    for part in [
        "WARN linklock: a stale lock was broken",
        &format!("path=\"{lock}\""),
        "because=\"expired\"",
        "holder.host=\"elsewhere\"",
        "holder.pid=4711",
        &format!("holder.claim=\"{lock}|elsewhere|4711|815\""),
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    place.assert_nothing_left();
}

#[test]
fn debug_logs_each_step() {
    let place = Place::new();
    let lines = log_of(place.run(&[], &["true"]).env(LEVEL, "debug"), &place.lock, "elsewhere");
    let steps = ["a stale lock was broken", "acquired a lock", "released a lock"];
    assert_eq!(lines.len(), steps.len(), "{lines:?}");
    for (line, step) in lines.iter().zip(steps) {
        assert!(line.contains(&format!("linklock: {step} ")), "{line}");
    }
}

#[test]
fn nothing_is_logged_unless_asked_for() {
    let place = Place::new();
    for level in ["", "off"] {
        let mut run = place.run(&[], &["true"]);
        assert_eq!(log_of(run.env(LEVEL, level), &place.lock, "elsewhere"), [""; 0]);
    }
    let mut run = place.run(&[], &["true"]);
    assert_eq!(log_of(run.env_remove(LEVEL), &place.lock, "elsewhere"), [""; 0]);
}

#[test]
fn a_hostile_name_forges_no_line() {
    let place = Place::new();
    let host = "evil\n2026-11-26T00:00:00Z ERROR linklock: forged\u{1b}[2J";
    let lines = log_of(place.run(&[], &["true"]).env(LEVEL, "warn"), &place.lock, host);
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert!(!line.contains(char::is_control), "{line:?}");
}

#[test]
fn an_invalid_level_does_not_stop_the_command() {
    let place = Place::new();
    let lines = log_of(place.run(&[], &["true"]).env(LEVEL, "loud"), &place.lock, "elsewhere");
    assert_eq!(lines, ["linklock: LINKLOCK_LOG is none of error, warn, info, debug and trace"]);
}

#[test]
fn the_manual_documents_the_log() {
    let output = linklock().arg("man").output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains(LEVEL));
}
