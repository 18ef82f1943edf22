//! A user who may write to the directory chooses names and contents, but can't forge a line of a
//! log or send a command to a terminal. (`capture::events` checks all fields of all events.)

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::capture;
use crate::kit::{HOUR, claim_like_flufl, lock_like_flufl, long_ago};
use crate::stage::Stage;

const HOST: &str = "evil\n2026-11-26T00:00:00Z ERROR linklock: forged\u{1b}[2J\u{202e}\r\u{9b}1m";
const TOLD: &str = r"evil\n2026-11-26T00:00:00Z ERROR linklock: forged\u{1b}[2J\u{202e}\r\u{9b}1m";

fn hostile_lock(stage: &Stage, expires_at: SystemTime) -> PathBuf {
    let claim = claim_like_flufl(&stage.path, &format!("{HOST}|4711|815"), expires_at);
    fs::hard_link(&claim, &stage.path).unwrap();
    claim
}

#[test]
fn a_holders_name_is_escaped() {
    let stage = Stage::new();
    hostile_lock(&stage, SystemTime::now() + HOUR);
    stage.lock().try_lock().unwrap_err();
    let held = stage.one("held");
    assert_eq!(held.string("holder.host"), TOLD);
    assert!(held.string("holder.claim").ends_with(&format!("/lock|{TOLD}|4711|815")), "{held:?}");
}

#[test]
fn the_name_of_a_holder_whose_lock_is_broken_is_escaped() {
    let stage = Stage::new();
    hostile_lock(&stage, long_ago());
    drop(stage.lock().lock().unwrap());
    assert_eq!(stage.one("broken").string("holder.host"), TOLD);
}

#[test]
fn the_name_of_a_successor_is_escaped() {
    let stage = Stage::new();
    let guard = stage.lock().lock().unwrap();
    stage.lock().break_if(|_| true).unwrap().unwrap();
    hostile_lock(&stage, SystemTime::now() + HOUR);
    guard.unlock().unwrap_err();
    assert_eq!(stage.one("lost").string("holder.host"), TOLD);
}

#[test]
fn the_names_of_files_are_escaped() {
    let stage = Stage::new();
    claim_like_flufl(&stage.path, &format!("{HOST}|1|2"), long_ago());
    lock_like_flufl(&stage.path, SystemTime::now() + HOUR);
    assert_eq!(stage.lock().sweep().unwrap().len(), 1);
    assert!(stage.one("swept_file").string("file").ends_with(&format!("/lock|{TOLD}|1|2")));
}

#[test]
fn a_hostile_path_is_escaped_wherever_it_stands() {
    let stage = Stage::new();
    let dir = stage.dir().join("a\nb");
    let lock = linklock::Lock::new(dir.join("lock")).unwrap();
    lock.lock().unwrap_err(); // this directory does not exist
    let failed = stage.one("failed");
    assert!(failed.string("path").ends_with(r"a\nb/lock"), "{failed:?}");
    assert!(failed.string("error").contains(r"a\nb/lock"), "{failed:?}");
    assert_eq!(capture::spans(stage.dir()).len(), 1);
}
