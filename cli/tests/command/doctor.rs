//! `linklock doctor`: whether a directory can be trusted.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::common::{Place, Running, linklock, skip, stderr};
use serde_json::Value;

fn examine(options: &[&str], dir: &std::path::Path) -> (i32, Value) {
    let output = linklock().args(["doctor", "--json"]).args(options).arg(dir).output().unwrap();
    assert_eq!(stderr(&output), "");
    (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap())
}

fn grade(report: &Value, check: &str) -> String {
    let findings = report["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["check"] == check);
    finding.unwrap_or_else(|| panic!("no {check} in {report}"))["grade"].as_str().unwrap().into()
}

#[test]
fn a_local_disk_can_be_trusted() {
    let place = Place::new();
    let (code, report) = examine(&[], place.dir());
    assert_eq!(code, 0, "{report}");
    assert_ne!(report["verdict"], "bad");
    let checks = ["exclusive create", "hard links", "time stamps", "rename", "lock", "clock"];
    for check in checks {
        assert_eq!(grade(&report, check), "good", "{report}");
    }
    place.assert_nothing_left();

    let output = linklock().arg("doctor").arg(place.dir()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\nok    hard links         made only once, and counted\n"), "{text}");
    assert!(text.contains(" can be trusted with locks"), "{text}");
}

#[test]
fn a_second_path_is_tried_against_the_first() {
    let place = Place::new();
    let (real, link) = (place.dir().join("real"), place.dir().join("link"));
    fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let (code, report) = examine(&["--second", link.to_str().unwrap()], &real);
    assert_eq!(code, 0, "{report}");
    assert_eq!(grade(&report, "visibility"), "note", "it is one mount");
    assert_eq!(grade(&report, "lock seen"), "good");
    assert_eq!(grade(&report, "race"), "good");
    assert_eq!(fs::read_dir(&real).unwrap().count(), 0);
}

#[test]
fn two_machines_meet() {
    let place = Place::new();
    let doctor = || {
        let mut doctor = linklock();
        doctor.args(["doctor", "--meet"]).arg(place.dir());
        Running::start(&mut doctor)
    };
    for run in [doctor(), doctor()] {
        let (code, output) = run.ended();
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!((code, stderr(&output)), (0, String::new()), "{text}");
        assert!(
            text.contains("\nok    turns              50 turns each, never two at once"),
            "{text}"
        );
    }
    place.assert_nothing_left();
}

#[test]
fn a_directory_that_is_not_there_can_not_be_trusted() {
    let place = Place::new();
    let (code, report) = examine(&[], &place.dir().join("none"));
    assert_eq!((code, &report["verdict"]), (69, &"bad".into()));
    assert_eq!(grade(&report, "access"), "bad");
}

#[test]
fn a_directory_that_others_cannot_read_is_noted() {
    let place = Place::new();
    for (umask, wanted) in [("022", "good"), ("077", "note")] {
        let mut sh = Command::new("sh");
        sh.args(["-c", &format!("umask {umask}; exec \"$0\" doctor --json \"$1\"")]);
        sh.arg(linklock().get_program()).arg(place.dir());
        let report = serde_json::from_slice(&sh.output().unwrap().stdout).unwrap();
        assert_eq!(grade(&report, "readable"), wanted, "{report}");
        let is_in_tmp = place.dir().canonicalize().unwrap().starts_with("/tmp");
        assert_eq!(grade(&report, "cleaning") == "note", is_in_tmp, "{report}");
    }
}

/// A lock there could never be removed.
#[test]
fn a_directory_that_only_grows_can_not_be_trusted() {
    let place = Place::new();
    let chattr = |flag: &str| {
        let mut chattr = Command::new("chattr");
        chattr.arg(flag).arg(place.dir()).output().is_ok_and(|output| output.status.success())
    };
    if !chattr("+a") {
        return crate::common::skip("an append-only directory", "no append-only directory");
    }
    let (code, report) = examine(&[], place.dir());
    assert!(chattr("-a"));
    assert_eq!((code, &*grade(&report, "lock")), (69, "bad"), "{report}");
    place.assert_nothing_left();
}

/// A kernel whose link(2) fails as on FAT, by strace's fault injection.
#[test]
fn a_file_system_without_hard_links_can_not_be_trusted() {
    let place = Place::new();
    fs::set_permissions(place.dir(), fs::Permissions::from_mode(0o777)).unwrap();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qqq", "-o", "/dev/null", "-e", "trace=link,linkat"]);
    strace.args(["-e", "inject=link,linkat:error=EPERM"]);
    strace.arg(env!("CARGO_BIN_EXE_linklock")).args(["doctor", "--json"]).arg(place.dir());
    let output = match strace.output() {
        Ok(output) => output,
        Err(error) => {
            return skip("the doctor under strace", &error.to_string());
        }
    };
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    let report = serde_json::from_slice(&output.stdout).unwrap();
    for check in ["hard links", "lock", "speed"] {
        assert_eq!(grade(&report, check), "bad", "{report}");
    }
    assert_eq!(grade(&report, "exclusive create"), "good");
    place.assert_nothing_left();
}

/// An expired lock of one user would stay until that user removes it.
#[test]
fn a_sticky_directory_is_noted() {
    let place = Place::new();
    fs::set_permissions(place.dir(), fs::Permissions::from_mode(0o1777)).unwrap();
    let (code, report) = examine(&[], place.dir());
    assert_eq!((code, &report["verdict"]), (0, &"note".into()));
    assert_eq!(grade(&report, "permissions"), "note");
}
