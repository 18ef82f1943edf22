//! `linklock run --slots`, and how sets of slots are shown.

use std::fs;
use std::path::PathBuf;

use crate::common::{CAT, Place, Running, linklock, outcome};

/// A command in a slot, which ends when its stdin is closed; and its slot.
fn hold(place: &Place, options: &[&str]) -> (Running, u32) {
    let script = format!(r#"echo "slot $LINKLOCK_SLOT"; {CAT}"#);
    let mut holder = Running::start(&mut place.run_sh(options, &script));
    let line = holder.line();
    assert_eq!(holder.line(), "ready");
    (holder, line.strip_prefix("slot ").unwrap().parse().unwrap())
}

fn slot(place: &Place, number: u32) -> PathBuf {
    place.dir().join(format!("the.lock.{number}"))
}

fn shown(command: &str, path: &std::path::Path) -> String {
    let output = linklock().arg(command).arg(path).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn as_many_commands_run_as_there_are_slots() {
    let place = Place::new();
    let holders = [hold(&place, &["--slots", "2"]), hold(&place, &["--slots", "2"])];
    assert_eq!(holders[0].1 + holders[1].1, 1);
    assert!(slot(&place, 0).exists() && slot(&place, 1).exists() && !place.lock.exists());
    let (code, message) = outcome(&mut place.run(&["-n", "--slots", "2"], &["echo", "ran"]));
    assert_eq!(code, 75, "{message}");
    assert!(message.contains("the.lock is taken: held by process "), "{message}");
    let (code, message) =
        outcome(&mut place.run(&["-t", "50ms", "--slots", "2"], &["echo", "ran"]));
    assert_eq!(code, 75, "{message}");
    // A waiter gets the slot that is released.
    let [(one, number), (other, _)] = holders;
    let waiter = Running::start(&mut place.run_sh(&["-q", "--slots", "2"], "echo $LINKLOCK_SLOT"));
    let mut waiter = waiter;
    one.end();
    assert_eq!(waiter.line(), number.to_string());
    waiter.ended();
    other.end();
    place.assert_nothing_left();
}

#[test]
fn a_plain_lock_can_stand_in_a_slot() {
    let place = Place::new();
    let mut first = linklock();
    first.arg("run").arg(slot(&place, 0)).args(["--", "sh", "-c", CAT]);
    let mut first = Running::start(&mut first);
    assert_eq!(first.line(), "ready");
    let (second, number) = hold(&place, &["--slots", "2"]);
    assert_eq!(number, 1);
    // It has no slot of its own, and its commands are not to find that of a command around it.
    let mut nested = place.run_sh(&[], r#"echo "${LINKLOCK_SLOT-none}""#);
    let output = nested.env("LINKLOCK_SLOT", "3").output().unwrap();
    assert_eq!(output.stdout, b"none\n");
    first.end();
    second.end();
}

#[test]
fn another_number_of_slots_is_warned_of() {
    let place = Place::new();
    let (holder, _) = hold(&place, &["--slots", "6"]);
    let (code, message) = outcome(&mut place.run(&["--slots", "3"], &["true"]));
    assert_eq!(code, 0);
    let warning = " of 6, and this command asks for one of 3: up to 6 commands may run at once";
    assert!(message.contains(warning), "{message}");
    assert_eq!(outcome(&mut place.run(&["--slots", "6"], &["true"])), (0, String::new()));
    assert_eq!(outcome(&mut place.run(&["-q", "--slots", "3"], &["true"])), (0, String::new()));
    holder.end();
}

#[test]
fn a_set_is_shown_in_one_line() {
    let place = Place::new();
    let holders: Vec<_> = (0..3).map(|_| hold(&place, &["--slots", "4"])).collect();
    let free: u32 = (0..4).find(|slot| !holders.iter().any(|(_, held)| held == slot)).unwrap();
    let bar: String = (0..4).map(|slot| if slot == free { '.' } else { '#' }).collect();
    let list = shown("list", place.dir());
    let lines: Vec<_> = list.lines().collect();
    assert_eq!(lines.len(), 2, "{list}");
    assert!(lines[1].starts_with(&format!("3 of 4  [{bar}]")), "{list}");
    assert!(lines[1].ends_with(&format!("  {}", place.lock.display())), "{list}");
    let status = shown("status", &place.lock);
    let first = format!("{}: 3 of 4 slots are held  [{bar}]", place.lock.display());
    assert_eq!(status.lines().next(), Some(&*first), "{status}");
    for (holder, slot) in &holders {
        assert!(status.contains(&format!("the.lock.{slot}: held\n")), "{status}");
        assert!(status.contains(&format!("process {} on ", holder.pid())), "{status}");
    }
    let output = linklock().args(["status", "--json"]).arg(&place.lock).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["state"], "free", "as a lock by itself");
    assert_eq!(json["slots"].as_array().unwrap().len(), 3);
    assert_eq!(json["slots"][0]["holder"]["slots"], 4);
    for (holder, _) in holders {
        holder.end();
    }
    assert_eq!(shown("list", place.dir()), "");
}

#[test]
fn locks_with_numbers_in_their_names_are_no_set() {
    let place = Place::new();
    let locks = ["report.2025", "report.2026"].map(|name| place.dir().join(name));
    let guards = locks.each_ref().map(|lock| linklock::Lock::new(lock).unwrap().lock().unwrap());
    let list = shown("list", place.dir());
    assert_eq!(list.lines().count(), 3, "{list}");
    drop(guards);
    assert_eq!(fs::read_dir(place.dir()).unwrap().count(), 0);
}

#[test]
fn wrong_uses_are_refused() {
    let place = Place::new();
    for options in [
        &["--slots", "0"][..],
        &["--slots", "257"],
        &["--slots", "two"],
        &["--slots", "2", "--reentrant"],
        &["--slots", "2", "--at-most-every", "1h"],
        &["--slots", "2", "another.lock"],
    ] {
        let (code, message) = outcome(&mut place.run(options, &["echo", "ran"]));
        assert_eq!(code, 64, "{options:?}: {message}");
    }
    place.assert_nothing_left();
}

#[test]
fn a_set_is_waited_for_until_a_slot_is_free() {
    let place = Place::new();
    let [(one, _), (other, _)] = [(); 2].map(|()| hold(&place, &["--slots", "2"]));
    place.assert_waited_for(|| _ = one.end());
    assert_eq!(outcome(&mut place.by_path(&["wait", "-n"])).0, 0, "one of two is free");
    other.end();
}

#[test]
fn breaking_a_set_breaks_its_slots() {
    let place = Place::new();
    let run = |arguments: &[&str]| {
        let output = place.by_path(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let mut holders: Vec<_> = (0..3).map(|_| hold(&place, &["--slots", "4"])).collect();
    assert_eq!(run(&["break"]), (Some(75), String::new()));
    let (dead, number) = holders.pop().unwrap();
    drop(dead); // killed
    let (code, shown) = run(&["break"]);
    assert_eq!((code, shown.matches("\nremoved ").count()), (Some(75), 2), "{shown}");
    assert!(shown.starts_with(&format!("broke lock {}: ", place.lock.display())), "{shown}");
    assert!(!slot(&place, number).exists());
    let (code, shown) = run(&["break", "--force"]);
    assert_eq!((code, shown.matches("\nremoved ").count()), (Some(0), 4), "{shown}");
    assert!(holders.iter().all(|(_, number)| !slot(&place, *number).exists()));
    let free = format!("lock {} is free\n", place.lock.display());
    assert_eq!(run(&["break", "--force"]), (Some(0), free));
}
