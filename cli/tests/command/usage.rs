//! The command line.

use crate::common::{Place, linklock, outcome};

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    let wrong: [&[&str]; 9] = [
        &[],
        &["walk"],
        &["run"],
        &["run", "a.lock"],
        &["run", "a.lock", "true"],
        &["run", "a.lock", "--"],
        &["run", "--no-wait", "--timeout", "5", "a.lock", "--", "true"],
        &["run", "--stale", "maybe", "a.lock", "--", "true"],
        &["status"],
    ];
    for arguments in wrong {
        let (code, message) = outcome(linklock().args(arguments));
        assert_eq!(code, 64, "{arguments:?}");
        assert!(message.contains("--help"), "{message}");
    }
}

#[test]
fn an_invalid_lock_is_a_usage_error() {
    let (code, message) = outcome(linklock().args(["run", "/", "--", "true"]));
    assert_eq!(code, 64, "{message}");
    let (code, message) = outcome(&mut Place::new().run(&["--lifetime", "0"], &["true"]));
    assert_eq!(code, 64, "{message}");
    assert!(message.contains("lifetime"), "{message}");
}

#[test]
fn durations_are_written_as_people_write_them() {
    let place = Place::new();
    for duration in ["90", "90s", "5m", "1h30m", "1h 30m", "500ms"] {
        let options = ["--timeout", duration, "--lifetime", duration];
        assert_eq!(outcome(&mut place.run(&options, &["true"])), (0, String::new()));
    }
    for duration in ["", "soon", "1h30", "-5s", "5 parsecs"] {
        let (code, message) =
            outcome(&mut place.run(&[&format!("--timeout={duration}")], &["true"]));
        assert_eq!(code, 64, "{duration:?}");
        assert!(message.contains("--timeout"), "{message}");
    }
    place.assert_nothing_left();
}

#[test]
fn a_forgotten_separator_is_explained() {
    for arguments in
        [&["run", "a.lock", "true"][..], &["run", "a.lock"], &["mailbox", "run", "mbox"]]
    {
        let (code, message) = outcome(linklock().args(arguments));
        assert_eq!(code, 64);
        assert!(
            message.starts_with("linklock: there is no COMMAND: write -- before it"),
            "{message}"
        );
    }
}

#[test]
fn a_negative_duration_is_no_other_option() {
    for option in ["-t", "-l", "-k", "--max-runtime", "--min-hold", "--clock-slop"] {
        let (code, message) = outcome(&mut Place::new().run(&[option, "-5"], &["true"]));
        assert_eq!(code, 64);
        assert!(message.contains("invalid value '-5'") && !message.contains("tip:"), "{message}");
    }
}

fn help_of(arguments: &[&str]) -> String {
    let output = linklock().args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).unwrap()
}

/// Only the main help has the exit statuses; and each command has examples.
#[test]
fn each_commands_help_is_about_the_command() {
    let commands = "run acquire refresh check release wait status list break sweep doctor";
    for command in commands.split(' ') {
        assert!(!help_of(&[command, "-h"]).contains("126"), "{command}");
        let help = help_of(&[command, "--help"]);
        assert!(help.contains(&format!("linklock {command} ")), "{help}");
        assert!(help.contains("\nExamples:\n"), "{help}");
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    }
    let run = help_of(&["run", "--help"]);
    for variable in ["PATH", "CLAIM", "TOKEN", "NAME", "RELUKKO_ID", "TIMEOUT"] {
        assert!(run.contains(&format!("LINKLOCK_{variable}")), "{variable}: {run}");
    }
    assert!(run.contains("RELUKKO_API_KEY"), "{run}");
}

#[test]
fn help_lists_the_exit_statuses() {
    for help in [&["--help"][..], &["-h"], &["help"]] {
        let help = help_of(help);
        for code in ["64", "71", "73", "75", "79", "124", "126", "127", "128+N"] {
            assert!(help.contains(&format!("\n  {code:5}  ")), "{code} is not in:\n{help}");
        }
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    }
}

#[cfg(not(feature = "relukko"))]
#[test]
fn without_network_code_it_says_how_to_get_it() {
    let serve: [&[&str]; 6] = [
        &["serve"],
        &["serve", "--dir", "/", "--bind", "0.0.0.0:3000"],
        &["serve", "--help"],
        &["run", "--relukko", "http://localhost:3000", "report", "--", "true"],
        &["run", "http://localhost:3000/report", "--", "true"],
        &["status", "https://localhost/report"],
    ];
    for arguments in serve {
        let (code, message) = outcome(linklock().args(arguments));
        assert_eq!(code, 64, "{arguments:?}");
        assert!(message.contains("--features relukko"), "{message}");
    }
}

#[test]
fn what_is_for_internal_use_is_not_shown() {
    let output = linklock().arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.contains("\n  run "), "{help}");
    assert!(!help.contains("__exec"), "{help}");
}
