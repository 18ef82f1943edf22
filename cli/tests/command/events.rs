//! `run --events`: what happens to the locks, as JSON lines.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::tempdir;

use crate::common::schema::assert_is;
use crate::common::{Place, Running, outcome, until};

/// Where events are written, beside no lock.
struct Log(tempfile::TempDir);

impl Log {
    fn new() -> Log {
        Log(tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("events")
    }

    fn run(&self, place: &Place, options: &[&str], script: &str) -> Command {
        let path = self.path();
        let options = [options, &["--events", path.to_str().unwrap()]].concat();
        place.run_sh(&options, script)
    }

    /// All lines, each of which is as documented.
    fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path()).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.inspect(|line| assert_is("event", line)).collect()
    }

    fn events(&self) -> Vec<String> {
        self.lines().iter().map(|line| line["event"].as_str().unwrap().to_owned()).collect()
    }
}

fn path_of(value: &Value) -> &Path {
    Path::new(value.as_str().unwrap())
}

#[test]
fn a_run_that_waits_for_its_lock() {
    let (place, log) = (Place::new(), Log::new());
    let holder = place.hold(&[]);
    let waiter = Running::start(&mut log.run(&place, &["--fence"], "exit 3"));
    until("it waits", || log.events() == ["waiting"]);
    holder.end();
    let pid = waiter.pid();
    assert_eq!(waiter.ended().0, 3);

    let lines = log.lines();
    assert_eq!(log.events(), ["waiting", "acquired", "ended", "released"]);
    assert!(lines.iter().all(|line| line["pid"] == pid), "{lines:#?}");
    let [waiting, acquired, ended, released] = &lines[..] else { panic!("{lines:#?}") };
    for line in [waiting, acquired, released] {
        assert_eq!(path_of(&line["lock"]), place.lock);
    }
    assert!(waiting["reason"].as_str().unwrap().starts_with("held by"), "{waiting}");
    let claim = place.lock.to_str().unwrap().to_owned() + "|";
    assert!(acquired["claim"].as_str().unwrap().starts_with(&claim), "{acquired}");
    assert_eq!(acquired["token"], 1);
    assert_eq!(ended["exit_status"], 3);
}

#[test]
fn runs_append_to_what_is_there_and_say_why_they_gave_up() {
    let (place, log) = (Place::new(), Log::new());
    let holder = place.hold(&[]);
    assert_eq!(outcome(&mut log.run(&place, &["-n"], "true")).0, 75);
    assert_eq!(outcome(&mut log.run(&place, &["-nq", "-E", "9"], "true")).0, 9);
    holder.end();
    assert_eq!(outcome(&mut log.run(&place, &[], "true")).0, 0);

    let lines = log.lines();
    assert_eq!(log.events(), ["gave-up", "gave-up", "acquired", "ended", "released"]);
    assert_eq!((&lines[0]["exit_status"], &lines[1]["exit_status"]), (&75.into(), &9.into()));
    let reason = lines[0]["reason"].as_str().unwrap();
    assert!(reason.contains("is taken: held by"), "{reason}");
    assert!(lines[1]["reason"].is_null(), "-q");
}

#[test]
fn a_run_whose_lock_is_lost() {
    let (place, log) = (Place::new(), Log::new());
    let script = r#"rm "$LINKLOCK_PATH"; exec sleep 600"#;
    assert_eq!(outcome(&mut log.run(&place, &["--lifetime", "1s"], script)).0, 79);
    assert_eq!(log.events(), ["acquired", "lost", "ended"]);
    let reason = log.lines()[1]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("was lost: the lock file is gone"), "{reason}");
}

#[test]
fn a_run_that_learns_of_the_loss_in_the_end() {
    let (place, log) = (Place::new(), Log::new());
    assert_eq!(outcome(&mut log.run(&place, &[], r#"rm "$LINKLOCK_PATH""#)).0, 79);
    assert_eq!(log.events(), ["acquired", "ended", "lost"]);
}

#[test]
fn without_its_file_nothing_is_run() {
    let (place, log) = (Place::new(), Log::new());
    fs::create_dir(log.path()).unwrap();
    let (code, message) = outcome(&mut log.run(&place, &[], "echo run"));
    assert_eq!(code, 73, "{message}");
    assert!(message.contains(&format!("cannot write to {}", log.path().display())), "{message}");
    place.assert_nothing_left();
}
