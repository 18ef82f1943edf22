//! `linklock run` at a terminal: an interactive shell, its jobs and its input.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::common::terminal::Terminal;
use crate::common::{CAT, Place, linklock, outcome, until};

/// The command line for the shell.
fn line(place: &Place, options: &str, command: &str) -> String {
    let (program, lock) = (env!("CARGO_BIN_EXE_linklock"), place.lock.display());
    format!("{program} run {options} {lock} -- {command}\n")
}

fn sh(script: &str) -> String {
    format!("sh -c '{script}'")
}

#[test]
fn a_job_is_stopped_goes_on_and_reads_what_is_typed() {
    let place = Place::new();
    let mut terminal = Terminal::bash();
    terminal.type_in(&line(&place, "", &sh(CAT)));
    terminal.expect("ready\r\n");
    for _ in 0..3 {
        terminal.type_in("\x1a");
        terminal.expect("Stopped");
        terminal.expect("$ ");
        assert!(place.lock.exists(), "a job that is stopped holds its lock");
        terminal.type_in("jobs; echo on'ce'\n");
        terminal.expect("Stopped");
        terminal.expect("once");
        terminal.type_in("fg\n");
        terminal.expect("linklock run");
        terminal.type_until("hello\n", "hello\r\nhello\r\n"); // typed and copied
    }
    terminal.type_in("\x04");
    terminal.expect("$ ");
    terminal.type_in("echo sta'tus' $?\n");
    terminal.expect("status 0");
    place.assert_nothing_left();
    terminal.exit();
}

#[test]
fn a_program_that_stops_itself_stops_the_job() {
    let place = Place::new();
    let mut terminal = Terminal::bash();
    terminal.type_in(&line(&place, "", &sh("kill -STOP $$; echo $((6 * 7777))")));
    terminal.expect("Stopped");
    terminal.expect("$ ");
    terminal.type_in("fg\n");
    terminal.expect("46662\r\n");
    terminal.expect("$ ");
    place.assert_nothing_left();
    terminal.exit();
}

#[test]
fn a_shell_under_a_lock_has_jobs_of_its_own() {
    let place = Place::new();
    let mut terminal = Terminal::bash();
    terminal.type_in(&line(&place, "", "bash --norc --noprofile -i"));
    terminal.expect("$ ");
    terminal.type_in("cat\n");
    // Input that is typed before cat reads may go to the shell.
    terminal.type_until("hello\n", "hello\r\nhello\r\n");
    terminal.type_in("\x1a");
    terminal.expect("Stopped");
    terminal.type_in("fg\n");
    terminal.type_until("again\n", "again\r\nagain\r\n");
    terminal.type_in("\x03");
    terminal.expect("$ ");
    assert!(place.lock.exists());
    terminal.type_in("exit 7\n");
    terminal.type_in("echo sta'tus' $?\n");
    terminal.expect("status 7");
    place.assert_nothing_left();
    terminal.exit();
}

#[test]
fn a_job_in_the_background_gets_the_terminal_when_it_is_fetched() {
    let place = Place::new();
    let mut terminal = Terminal::bash();
    terminal.type_in(&line(&place, "", "cat &"));
    // It stops when it reads from the terminal. The shell reports that before its prompt.
    terminal.type_until("\n", "Stopped");
    terminal.type_in("fg\n");
    terminal.expect("linklock run");
    terminal.type_until("hello\n", "hello\r\nhello\r\n");
    terminal.type_in("\x03");
    terminal.expect("$ ");
    terminal.type_in("echo sta'tus' $?\n");
    terminal.expect("status 130");
    place.assert_nothing_left();
    terminal.exit();
}

/// A job that ignores TERM and writes all the time, until it is stopped. `lose` makes it lose the
/// lock; then the job is continued.
///
/// It starts no processes: dash uses vfork(2), and does not stop for a child that was stopped
/// before its exec.
fn lose_while_stopped<T>(options: &str, lose: impl FnOnce(&Place) -> T) {
    let place = Place::new();
    let witness = place.dir().join("witness");
    let written = || fs::metadata(&witness).map_or(0, |meta| meta.len());
    let script = format!("trap : TERM; echo ready; while :; do echo >>{}; done", witness.display());
    let mut terminal = Terminal::bash();
    terminal.type_in(&line(&place, options, &sh(&script)));
    terminal.expect("ready\r\n");
    until("the command", || written() > 0);
    terminal.type_in("\x1a");
    terminal.expect("Stopped");
    terminal.expect("$ ");
    let before = written();
    let _successor = lose(&place);
    terminal.type_in("fg\n");
    terminal.expect(": killing the command");
    terminal.expect("$ ");
    terminal.type_in("echo sta'tus' $?\n");
    terminal.expect("status 79");
    assert_eq!(written(), before, "the command went on");
    terminal.exit();
}

#[test]
fn a_job_that_lost_its_lock_within_its_lease_does_not_go_on() {
    lose_while_stopped("--lifetime 1h", |place| fs::remove_file(&place.lock).unwrap());
}

/// Whatever the clock's resolution.
#[test]
fn a_job_that_lost_its_lock_as_its_lease_ended_does_not_go_on() {
    lose_while_stopped("--lifetime 300ms", |place| {
        until("the lease's end", || place.lease_end() < SystemTime::now());
        fs::remove_file(&place.lock).unwrap();
    });
}

#[test]
fn a_job_that_lost_its_lock_after_its_lease_does_not_go_on() {
    lose_while_stopped("--lifetime 300ms", |place| {
        let late = Duration::from_secs(1);
        until("the lease's end", || place.lease_end() + late < SystemTime::now());
        fs::remove_file(&place.lock).unwrap();
    });
}

#[test]
fn a_job_whose_lock_was_taken_over_does_not_go_on() {
    for lifetime in ["--lifetime 1h", "--lifetime 300ms"] {
        lose_while_stopped(lifetime, |place| {
            assert_eq!(outcome(linklock().args(["break", "--force"]).arg(&place.lock)).0, 0);
            place.hold(&["--lifetime", "1h"])
        });
    }
}

#[test]
fn what_is_typed_interrupts_the_command_and_the_terminal_is_the_shells_again() {
    let place = Place::new();
    let mut terminal = Terminal::bash();
    for (key, status) in [("\x03", 130), ("\x1c", 131)] {
        terminal.type_in(&line(&place, "", &sh(CAT)));
        terminal.expect("ready\r\n");
        terminal.type_in(key);
        terminal.expect("$ ");
        terminal.type_in("echo sta'tus' $?\n");
        terminal.expect(&format!("status {status}"));
    }
    place.assert_nothing_left();
    terminal.exit();
}

#[test]
fn a_terminal_that_stops_writers_in_the_background_does_not_stop_us() {
    let place = Place::new();
    let mut terminal = Terminal::bash();
    terminal.type_in("stty tostop\n");
    terminal.expect("$ ");
    terminal.type_in(&line(&place, "--lifetime 600ms", &sh(CAT)));
    terminal.expect("ready\r\n");
    fs::remove_file(&place.lock).unwrap();
    terminal.expect("stopping the command");
    terminal.expect("$ ");
    terminal.type_in("echo sta'tus' $?\n");
    terminal.expect("status 79");
    terminal.exit();
}

/// By linklock itself, before a shell could take it back.
#[test]
fn the_terminal_is_handed_back() {
    let place = Place::new();
    let lock = place.lock.to_str().unwrap();
    let run = ["run", "-v", "--min-hold", "1h", lock, "--", "cat"];
    let mut terminal = Terminal::with(env!("CARGO_BIN_EXE_linklock"), &run);
    terminal.type_until("hello\n", "hello\r\nhello\r\n");
    // What was typed may have been shown twice before there was a command.
    until("the command has it", || ![0, terminal.pid()].contains(&terminal.foreground()));
    terminal.type_in("\x04");
    until("linklock has it", || terminal.foreground() == terminal.pid());
    assert!(place.lock.exists());
    terminal.type_in("\x03");
    terminal.expect("released lock");
    place.assert_nothing_left();
}

#[test]
fn in_a_pipeline_the_others_keep_the_terminal() {
    let place = Place::new();
    let mut terminal = Terminal::bash();
    let reader = "sh -c 'read pipe; read answer </dev/tty; echo got $pipe $answer'";
    let run = line(&place, "", "echo something");
    terminal.type_in(&format!("{} | {reader}\n", run.trim_end()));
    terminal.type_in("typed\n");
    terminal.expect("got something typed");
    terminal.exit();
}

#[test]
fn a_waiter_sees_the_holder_and_can_be_stopped() {
    let place = Place::new();
    let holder = place.hold(&[]);
    let mut terminal = Terminal::bash();
    terminal.type_in(&line(&place, "", "echo do''ne"));
    terminal.expect("\x1b[33mwaiting ");
    terminal.expect(&format!("s: held by process {} on ", holder.pid()));
    terminal.expect(", its lease ends in ");
    terminal.expect(&format!(" s: {}", place.lock.display()));
    terminal.expect("waiting "); // and so on
    terminal.type_in("\x1a");
    terminal.expect("Stopped");
    terminal.type_in("fg\n");
    terminal.expect("waiting ");
    assert_eq!(holder.end().0, 0);
    terminal.expect("\r\x1b[K"); // the line is taken away
    terminal.expect("done");
    terminal.exit();
}

#[test]
fn colour_and_the_line_itself_can_be_switched_off() {
    let place = Place::new();
    let holder = place.hold(&[]);
    let mut terminal = Terminal::bash();
    let run = line(&place, "--timeout 2s", "true");
    terminal.type_in(&format!("NO_COLOR=1 {run}"));
    terminal.expect("\rwaiting ");
    terminal.expect("\r\x1b[Klinklock: waited ");
    terminal.expect("$ ");
    for quiet in [format!("TERM=dumb {run}"), run.replace("run ", "run -q ")] {
        terminal.type_in(&format!("{}; echo sta'tus' $?\n", quiet.trim_end()));
        let before = terminal.expect("status 75");
        assert!(!before.contains("waiting"), "{before}");
    }
    drop(holder);
    terminal.exit();
}
