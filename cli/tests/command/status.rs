//! `linklock status`: who holds a lock.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::common::{Place, Running, linklock, outcome, until};
use linklock::Lock;
use nix::unistd::User;
use serde_json::Value;

/// Its output for people.
fn text(place: &Place) -> String {
    let output = linklock().arg("status").arg(&place.lock).output().unwrap();
    assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
    String::from_utf8(output.stdout).unwrap()
}

/// Its output for programs.
fn json(place: &Place) -> Value {
    let output = linklock().args(["status", "--json"]).arg(&place.lock).output().unwrap();
    assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_lock_that_nobody_holds_is_free() {
    let place = Place::new();
    assert_eq!(text(&place), format!("{}: free\n", place.lock.display()));
    let mut json = json(&place);
    let offset = json["clock_offset_seconds"].take().as_f64().unwrap();
    assert!(offset.abs() < 5.0, "{offset}");
    let expected = serde_json::json!({
        "lock": place.lock.to_str(), "state": "free", "format": null, "holder": null, "error": null,
        "file": null,
        "clock_offset_seconds": null, "waiting": [], "breakers": [], "slots": [], "readers": [],
        "server": null,
    });
    assert_eq!(json, expected);
    place.assert_nothing_left();
}

#[test]
fn a_held_lock_is_shown_with_its_holder() {
    let place = Place::new();
    let holder = place.hold(&["--lifetime", "2h"]);
    let files = place.files();

    let text = text(&place);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], format!("{}: held", place.lock.display()));
    assert_eq!(lines[1], "  format:     linklock");
    assert!(lines[2].starts_with(&format!("  holder:     process {} on ", holder.pid())), "{text}");
    assert!(lines[2].ends_with(" (alive)"), "{text}");
    let user = User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
    assert_eq!(lines[3], format!("  user:       {user}"));
    let command =
        format!("  command:    {} run --lifetime 2h ", linklock().get_program().display());
    assert!(lines[4].starts_with(&command) && lines[4].ends_with("exec cat"), "{text}");
    assert!(lines[5].starts_with("  since:      2") && lines[5].ends_with("s ago"), "{text}");
    assert!(
        lines[6].starts_with("  lease ends: 2") && lines[6].contains("Z, in 1h 59m "),
        "{text}"
    );
    assert!(lines[7].starts_with("  refreshed:  ") && lines[7].ends_with("s ago"), "{text}");
    let claim = fs::read_to_string(&place.lock).unwrap();
    assert_eq!(lines[8], format!("  claim:      {claim}"));
    assert_eq!(lines.len(), 9, "{text}");

    // Few care which mail programs would break it.
    let output = linklock().args(["status", "--breakers"]).arg(&place.lock).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[9].starts_with("  breakers:   dovecot     in 1m "), "{text}");
    let rest = "dotlockfile postfix exim linklock flufl.lock".split(' ');
    for peer in rest {
        assert!(lines[10..].iter().any(|line| line.trim().starts_with(peer)), "{peer}: {text}");
    }

    let json = json(&place);
    assert_eq!(json["state"], "held");
    let told = &json["holder"];
    assert_eq!(told["pid"], holder.pid());
    assert_eq!(told["alive"], true);
    assert_eq!(told["claim"], claim);
    assert!(told["host"].is_string());
    assert!(told["held_seconds"].as_f64().unwrap() >= 0.0 && told["since"].is_string(), "{told}");
    assert!(told["command"].as_str().unwrap().contains(" run --lifetime 2h "), "{told}");
    let left = told["expires_in_seconds"].as_f64().unwrap();
    assert!(7000.0 < left && left <= 7200.0, "{left}");
    assert!(told["idle_seconds"].as_f64().unwrap() < 200.0);
    for date in ["expires_at", "refreshed_at"] {
        let date = told[date].as_str().unwrap();
        assert!(date.len() == 20 && date.ends_with('Z'), "{date}");
    }
    assert_eq!(place.files(), files, "only observed");
}

#[test]
fn a_lease_that_is_over_is_shown() {
    let place = Place::new();
    let lock = Lock::options(&place.lock).lifetime(Duration::from_millis(300)).build().unwrap();
    let _guard = lock.lock().unwrap();
    until("the lease's end", || text(&place).contains("the.lock: expired: "));
    let text = text(&place);
    assert!(text.contains("\n  lease ended: 2") && text.contains("s ago\n"), "{text}");
    let json = json(&place);
    assert_eq!(json["state"], "expired");
    assert_eq!(json["holder"]["pid"], std::process::id());
    assert!(json["holder"]["expires_in_seconds"].as_f64().unwrap() < 0.0);
}

#[test]
fn a_dead_holder_is_shown() {
    let place = Place::new();
    drop(place.hold(&[])); // by SIGKILL
    let text = text(&place);
    assert!(text.contains("the.lock: dead: ") && text.contains(" (dead)\n"), "{text}");
    let json = json(&place);
    assert_eq!((&json["state"], &json["holder"]["alive"]), (&"dead".into(), &false.into()));
}

#[test]
fn a_holder_elsewhere_may_be_alive_or_not() {
    let place = Place::new();
    let lock = Lock::options(&place.lock).host_name("elsewhere.example").build().unwrap();
    let _guard = lock.lock().unwrap();
    assert!(text(&place).contains(" on elsewhere.example\n"));
    assert_eq!(json(&place)["holder"]["alive"], Value::Null);
}

#[test]
fn a_file_that_is_not_a_lock_is_reported() {
    let place = Place::new();
    fs::write(&place.lock, "save me").unwrap();
    assert!(text(&place).contains("the.lock: not a lock: "));
    let json = json(&place);
    assert_eq!((&json["state"], &json["holder"]), (&"not-a-lock".into(), &Value::Null));
    assert_eq!((&json["format"], &json["breakers"]), (&Value::Null, &serde_json::json!([])));
    assert_eq!(fs::read(&place.lock).unwrap(), b"save me");
}

#[test]
fn another_programs_lock_is_known_by_its_content() {
    let place = Place::new();
    let known = [("0\n", "dotlockfile"), ("0", "procmail"), ("17:mars", "dovecot")];
    for (content, format) in known {
        fs::write(&place.lock, content).unwrap();
        let json = json(&place);
        assert_eq!((&json["state"], &json["format"]), (&"not-a-lock".into(), &format.into()));
        assert!(!json["breakers"].as_array().unwrap().is_empty());
    }
    fs::write(&place.lock, "17:mars").unwrap();
    let told = text(&place);
    assert!(told.contains("a dotlock, as Dovecot makes it\n  holder:     process 17 on mars\n"));
    assert!(told.contains("\n  breakers:   dovecot "), "{told}");
}

/// It may be a lock that lost its content in a power cut, or another program's lock.
#[test]
fn an_empty_file_without_a_claim_has_an_unknown_holder() {
    let place = Place::new();
    let file = fs::File::create(&place.lock).unwrap();
    file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(3600)).unwrap();
    for (mode, format) in [(0o644, "empty"), (0, "mutt_dotlock")] {
        fs::set_permissions(&place.lock, fs::Permissions::from_mode(mode)).unwrap();
        let json = json(&place);
        if json["state"] == "unreadable" {
            continue; // this is not root
        }
        assert_eq!((&json["state"], &json["format"]), (&"expired".into(), &format.into()));
        assert_eq!(
            (&json["holder"]["pid"], &json["holder"]["claim"]),
            (&Value::Null, &Value::Null)
        );
        let text = text(&place);
        assert!(text.contains("\n  holder:     unknown: its content is lost, and "), "{text}");
    }
}

/// The claim by which it was held is found beside it.
#[test]
fn a_lock_that_has_lost_its_content_is_shown_with_its_holder() {
    let place = Place::new();
    let holder = place.hold(&["--lifetime", "2h"]);
    let lease_end = place.lease_end();
    fs::write(&place.lock, "").unwrap();
    fs::File::options().write(true).open(&place.lock).unwrap().set_modified(lease_end).unwrap();
    let json = json(&place);
    assert_eq!((&json["state"], &json["holder"]["pid"]), (&"held".into(), &holder.pid().into()));
}

#[test]
fn flufl_locks_are_distinguished_from_ours() {
    let place = Place::new();
    let claim = place.dir().join("the.lock|mars|17|815");
    fs::write(&claim, claim.to_str().unwrap()).unwrap();
    fs::hard_link(&claim, &place.lock).unwrap();
    let json = json(&place);
    assert_eq!((&json["format"], &json["holder"]["host"]), (&"flufl.lock".into(), &"mars".into()));
}

#[test]
fn waiters_are_shown() {
    let place = Place::new();
    let _holder = place.hold(&[]);
    let waiter = Running::start(&mut place.run(&[], &["true"]));
    let waiting = || json(&place)["waiting"].as_array().unwrap().clone();
    until("the waiter's claim", || !waiting().is_empty());
    let told = waiting();
    assert_eq!((told.len(), &told[0]["pid"]), (1, &waiter.pid().into()));
    assert_eq!(told[0]["alive"], true);
    let line = format!("  waiting:    process {} on ", waiter.pid());
    let text = text(&place);
    let line = text.lines().find(|it| it.starts_with(&line)).expect("the waiter");
    assert!(line.ends_with("the.lock -- true"), "{text}");
}

/// Process 1, which its claim names, does not own it.
#[test]
fn a_lock_that_no_process_owns_has_no_owner() {
    let place = Place::new();
    let mut acquire = linklock();
    acquire.args(["acquire", "--owner", "none"]).arg(&place.lock);
    assert!(acquire.output().unwrap().status.success());
    let text = text(&place);
    assert!(text.contains("\n  holder:     no process: the lock is held by its lease alone\n"));
    assert!(!text.contains("command:"), "{text}");
    assert_eq!(
        (&json(&place)["holder"]["pid"], &json(&place)["state"]),
        (&Value::Null, &"held".into())
    );
    let list = linklock().arg("list").arg(place.dir()).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.contains("  nobody@"), "{list}");
}

/// Its claim may be much older, from the beginning of the wait.
#[test]
fn a_lock_is_held_since_its_command_was_started() {
    let place = Place::new();
    let first = place.hold(&[]);
    let mut second = Running::start(&mut place.run_sh(&[], crate::common::CAT));
    until("the second claim", || json(&place)["waiting"].as_array().unwrap().len() == 1);
    let waited = || json(&place)["holder"]["held_seconds"].as_f64().unwrap() > 2.0;
    until("two seconds", waited);
    assert_eq!(first.end().0, 0);
    assert_eq!(second.line(), "ready");
    let told = json(&place);
    assert_eq!(told["holder"]["pid"], second.pid());
    let claim = fs::metadata(&place.lock).unwrap().created().unwrap();
    let held = told["holder"]["held_seconds"].as_f64().unwrap();
    assert!(held + 1.0 < claim.elapsed().unwrap().as_secs_f64(), "{told}");
}

#[test]
fn a_time_beyond_the_calendar_is_shown_too() {
    let place = Place::new();
    let guard = Lock::new(&place.lock).unwrap().lock().unwrap();
    let ages_ago = std::time::UNIX_EPOCH - Duration::from_secs(100_000);
    fs::File::options().write(true).open(guard.path()).unwrap().set_modified(ages_ago).unwrap();
    assert!(text(&place).contains("lease ended: (no date), "));
    assert_eq!(json(&place)["holder"]["expires_at"], Value::Null);
}

#[test]
fn a_lock_whose_directory_is_not_there_is_not_free() {
    let mut place = Place::new();
    fs::write(place.dir().join("file"), "no directory").unwrap();
    for (dir, why) in [("none", " does not exist\n"), ("file", " is not a directory\n")] {
        let dir = place.dir().join(dir);
        place.lock = dir.join("the.lock");
        for command in [&["status"][..], &["wait"], &["break"], &["break", "--force"]] {
            let (code, message) = outcome(linklock().args(command).arg(&place.lock));
            assert_eq!(code, 73, "{command:?} {message}");
            let start = format!("linklock: no access to lock {}: ", place.lock.display());
            assert!(message.starts_with(&start) || dir.ends_with("file"), "{message}");
            assert!(message.ends_with(why), "{message}");
        }
        let mailbox = &["mailbox", "status"];
        assert_eq!(outcome(linklock().args(mailbox).arg(&place.lock)).0, 73);
        for command in ["list", "sweep"] {
            let (code, message) = outcome(linklock().arg(command).arg(&place.lock));
            assert_eq!(code, 73, "{command} {message}");
            assert!(message.starts_with("linklock: cannot read the directory "), "{message}");
        }
    }
}
