//! `linklock run --shared`, and how readers are shown.

use std::fs;
use std::path::Path;

use crate::common::{CAT, Place, Running, linklock, outcome, until};

/// A command that shares the lock, and ends when its stdin is closed.
fn share(place: &Place) -> Running {
    let mut reader = Running::start(&mut place.run_sh(&["--shared"], CAT));
    assert_eq!(reader.line(), "ready");
    reader
}

fn shown(command: &str, path: &Path) -> String {
    let output = linklock().arg(command).arg(path).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn readers_run_together_and_a_writer_alone() {
    let place = Place::new();
    let readers = [share(&place), share(&place)];
    assert!(!place.lock.exists());
    // A writer need not know that there are readers.
    let (code, message) = outcome(&mut place.run(&["-n"], &["echo", "ran"]));
    assert_eq!(code, 75, "{message}");
    assert!(message.contains("the.lock is taken: held by process "), "{message}");
    let (code, message) = outcome(&mut place.run(&["-t", "50ms"], &["echo", "ran"]));
    assert_eq!(code, 75, "{message}");
    // One that waits keeps readers out that come later.
    let mut writer = Running::start(&mut place.run_sh(&["-q"], CAT));
    until("it waits for the readers", || place.lock.exists());
    assert_eq!(outcome(&mut place.run(&["-n", "--shared"], &["true"])).0, 75);
    for reader in readers {
        assert_eq!(reader.end().0, 0);
    }
    assert_eq!(writer.line(), "ready");
    assert_eq!(outcome(&mut place.run(&["-n", "--shared"], &["true"])).0, 75);
    assert_eq!(writer.end().0, 0);
    assert_eq!(outcome(&mut place.run(&["-n", "--shared"], &["true"])).0, 0);
    place.assert_nothing_left();
}

#[test]
fn a_script_that_acquires_the_lock_waits_for_readers() {
    let place = Place::new();
    let reader = share(&place);
    let mut acquire = linklock();
    acquire.args(["acquire", "-n", "--owner", "none"]).arg(&place.lock);
    assert_eq!(outcome(&mut acquire).0, 75);
    reader.end();
    assert_eq!(acquire.output().unwrap().status.code(), Some(0));
}

#[test]
fn readers_are_shown_in_one_line() {
    let place = Place::new();
    let readers = [share(&place), share(&place)];
    let list = shown("list", place.dir());
    let lines: Vec<_> = list.lines().collect();
    assert_eq!(lines.len(), 2, "{list}");
    assert!(lines[1].starts_with("shared  shared by 2 readers"), "{list}");
    assert!(lines[1].ends_with(&format!("  {}", place.lock.display())), "{list}");
    let status = shown("status", &place.lock);
    assert!(
        status.starts_with(&format!("{}: shared by 2 readers\n", place.lock.display())),
        "{status}"
    );
    assert_eq!(status.matches("the.lock.read.").count(), 4, "each, with its claim: {status}");
    for reader in readers {
        reader.end();
    }
    assert_eq!(shown("status", &place.lock), format!("{}: free\n", place.lock.display()));
}

#[test]
fn a_command_under_a_shared_lock_shares_it_and_does_not_wait_for_itself() {
    let place = Place::new();
    let command = env!("CARGO_BIN_EXE_linklock");
    let nested = |options: &str| {
        let script = format!("'{command}' run {options} '{}' -- true", place.lock.display());
        outcome(&mut place.run_sh(&["--shared"], &script))
    };
    assert_eq!(nested("--shared --reentrant").0, 0);
    for options in ["", "--shared", "--reentrant"] {
        let (code, message) = nested(options);
        assert_eq!(code, 75, "{options}: {message}");
        assert!(message.contains("waiting would never end"), "{options}: {message}");
    }
    assert!(nested("").1.contains("a reader can't become a writer"));
    // What is held alone is enough for one that would share it.
    let script = format!("'{command}' run --shared --reentrant '{}' -- true", place.lock.display());
    assert_eq!(outcome(&mut place.run_sh(&[], &script)).0, 0);
}

#[test]
fn what_a_reader_does_not_need_is_refused() {
    let place = Place::new();
    for option in ["--fence", "--slots=2", "--at-most-every=1h"] {
        assert_eq!(outcome(&mut place.run(&["--shared", option], &["true"])).0, 64, "{option}");
    }
    assert!(fs::read_dir(place.dir()).unwrap().next().is_none());
}

#[test]
fn a_lock_that_is_shared_is_waited_for() {
    let place = Place::new();
    let reader = share(&place);
    place.assert_waited_for(|| _ = reader.end());
}

#[test]
fn breaking_a_lock_breaks_its_readers() {
    let place = Place::new();
    let run = |arguments: &[&str]| place.by_path(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let readers = [share(&place), share(&place)];
    let refused = run(&["break"]);
    assert_eq!((refused.status.code(), text(&refused.stdout)), (Some(75), String::new()));
    assert!(text(&refused.stderr).contains("not broken"), "{refused:?}");
    let broken = run(&["break", "--force"]);
    let shown = text(&broken.stdout);
    assert_eq!(
        (broken.status.code(), shown.matches("\nremoved ").count()),
        (Some(0), 4),
        "{shown}"
    );
    assert!(shown.starts_with(&format!("broke lock {}: ", place.lock.display())), "{shown}");
    assert_eq!(outcome(&mut place.run(&["-n"], &["true"])).0, 0, "nobody has it");
    drop(readers);
    let free = run(&["break", "--force"]);
    assert_eq!(text(&free.stdout), format!("lock {} is free\n", place.lock.display()));
}

#[test]
fn a_dead_reader_is_broken_though_another_lives() {
    let place = Place::new();
    let [dead, live] = [share(&place), share(&place)];
    drop(dead); // killed
    let output = place.by_path(&["break"]).output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!(shown.matches("\nremoved ").count(), 2, "{shown}");
    assert_eq!(live.end().0, 0);
}
