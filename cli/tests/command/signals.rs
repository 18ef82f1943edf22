//! Signals: which are passed on or survived, and what is left behind.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use crate::common::{CAT, Place, Running, is_alive, outcome, until};
use nix::pty::openpty;
use nix::sys::signal::Signal::{self, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGSTOP, SIGTERM};
use nix::sys::signal::{SigSet, SigmaskHow};

/// The same command in a session of its own, so that it never has a terminal.
fn without_terminal(command: &Command) -> Command {
    in_session(&[], command)
}

fn in_session(options: &[&str], command: &Command) -> Command {
    let mut setsid = Command::new("setsid");
    setsid.args(options).arg(command.get_program()).args(command.get_args());
    setsid
}

#[test]
fn signals_are_passed_on_and_the_lock_is_released() {
    for name in ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2"] {
        let place = Place::new();
        let script = format!(
            "trap 'echo {name}; [ -e \"$LINKLOCK_PATH\" ]; exit 3$?' {name}; \
             echo ready; while :; do sleep 0.05; done"
        );
        let mut run = Running::start(&mut without_terminal(&place.run_sh(&[], &script)));
        assert_eq!(run.line(), "ready");
        run.signal(format!("SIG{name}").parse().unwrap());
        assert_eq!(run.line(), name);
        assert_eq!(run.ended().0, 30, "the lock was held until the end");
        place.assert_nothing_left();
    }
}

#[test]
fn a_command_that_a_signal_ends_is_reported_as_shells_do() {
    let place = Place::new();
    let holder = place.hold(&[]);
    holder.signal(SIGTERM);
    assert_eq!(holder.ended().0, 128 + 15);
    place.assert_nothing_left();
}

#[test]
fn without_a_terminal_all_of_the_command_gets_the_signal() {
    let place = Place::new();
    let script = "sleep 1000 & echo $!; wait";
    let mut run = Running::start(&mut without_terminal(&place.run_sh(&[], script)));
    let grandchild = run.line().parse().unwrap();
    assert!(is_alive(grandchild));
    run.signal(SIGTERM);
    assert_eq!(run.ended().0, 128 + 15);
    until("the grandchild's end", || !is_alive(grandchild));
}

#[test]
fn the_lock_ends_with_the_command_although_a_grandchild_lingers() {
    let place = Place::new();
    let script = "sleep 1000 >/dev/null 2>&1 & echo $!";
    let output = place.run_sh(&[], script).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    place.assert_nothing_left();
    let grandchild = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    assert!(is_alive(grandchild));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(grandchild), SIGKILL).unwrap();
}

#[test]
fn a_run_that_waits_can_be_ended_and_leaves_no_claim() {
    let place = Place::new();
    let holder = place.hold(&[]);
    let files = place.files();
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        let waiter = Running::start(&mut place.run(&[], &["true"]));
        until("the waiter's claim", || place.files().len() > files.len());
        waiter.signal(signal);
        assert_eq!(waiter.ended().0, 128 + signal as i32);
        assert_eq!(place.files(), files);
    }
    assert_eq!(holder.end().0, 0);
}

#[test]
fn a_run_that_waits_is_not_ended_by_what_is_meant_for_the_command() {
    let place = Place::new();
    let holder = place.hold(&[]);
    let files = place.files().len();
    let waiter = Running::start(&mut place.run_sh(&[], "exit 4"));
    until("the waiter's claim", || place.files().len() > files);
    waiter.signal(Signal::SIGUSR1);
    waiter.signal(Signal::SIGUSR2);
    assert_eq!(holder.end().0, 0);
    assert_eq!(waiter.ended().0, 4);
}

#[test]
fn ignored_signals_stay_ignored() {
    let place = Place::new();
    let nohup = "trap '' HUP INT; exec \"$@\"";
    let run = place.run_sh(&[], CAT);
    let mut shell = Command::new("sh");
    shell.args(["-c", nohup, "sh"]).arg(run.get_program()).args(run.get_args());
    let mut holder = Running::start(&mut shell);
    assert_eq!(holder.line(), "ready");
    holder.signal(SIGHUP);
    holder.signal(SIGINT);
    assert_eq!(holder.end().0, 0);
}

/// The signal state that a command inherits when some signals are ignored and others blocked:
/// directly, and under a lock.
fn signals_of_a_command(ignored: &str, blocked: SigSet) -> [String; 2] {
    let place = Place::new();
    let show = ["grep", "Sig[IB]", "/proc/self/status"];
    let run = place.run(&["--lifetime", "1h"], &show); // it polls when a lease ends
    let under = std::iter::once(run.get_program()).chain(run.get_args());
    let lists = [show.map(OsString::from).to_vec(), under.map(OsString::from).collect()];
    lists.map(|list| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("trap '' {ignored}; exec \"$@\""), "sh"]).args(list);
        let before = blocked.thread_swap_mask(SigmaskHow::SIG_BLOCK).unwrap();
        let shell = Running::start(&mut shell);
        before.thread_set_mask().unwrap();
        String::from_utf8(shell.ended().1.stdout).unwrap()
    })
}

#[test]
fn the_command_finds_its_signals_as_linklock_did() {
    for ignored in ["", "HUP", "HUP INT QUIT", "TERM USR1 USR2", "TSTP TTIN TTOU"] {
        let [directly, under] = signals_of_a_command(ignored, SigSet::empty());
        assert_eq!(under, directly, "{ignored}");
        assert!(under.contains("SigIgn:"), "{under}");
    }
}

#[test]
fn the_commands_end_is_noticed_where_signals_are_blocked() {
    let [directly, under] = signals_of_a_command("", SigSet::all());
    assert_eq!(under, directly);
}

#[test]
fn a_killed_run_takes_its_command_along_and_its_lock_is_free_at_once() {
    let place = Place::new();
    let script = "echo $$; exec cat";
    let mut holder = Running::start(&mut place.run_sh(&["--lifetime", "1h"], script));
    let command = holder.line().parse().unwrap();
    assert!(is_alive(command));
    holder.signal(SIGKILL);
    assert_eq!(holder.ended().0, -1);
    assert_eq!(outcome(&mut place.run(&["--no-wait"], &["true"])), (0, String::new()));
    until("the command's end", || !is_alive(command)); // the command was killed before linklock was dead
    place.assert_nothing_left();
}

#[test]
fn a_run_that_was_stopped_past_its_lease_goes_on_if_its_lock_was_not_taken_over() {
    let place = Place::new();
    let holder = place.hold(&["--lifetime", "1s"]);
    holder.signal(SIGSTOP);
    let late = Duration::from_secs(1);
    until("the lease's end", || place.lease_end() + late < SystemTime::now());
    holder.signal(SIGCONT);
    until("a refresh", || place.lease_end() > SystemTime::now());
    assert_eq!(holder.end().0, 0);
    place.assert_nothing_left();
}

#[test]
fn at_a_terminal_the_command_reads_what_is_typed() {
    let place = Place::new();
    let terminal = openpty(None, None).unwrap();
    let mut run = in_session(&["--ctty"], &place.run(&[], &["head", "-n", "1"]));
    let mut run = Running::start_with(run.stdin(Stdio::from(terminal.slave)));
    File::from(terminal.master.try_clone().unwrap()).write_all(b"hello\n").unwrap();
    assert_eq!(run.line(), "hello");
    assert_eq!(run.ended().0, 0);
}

#[test]
fn at_a_terminal_the_command_is_interrupted_once() {
    let place = Place::new();
    let terminal = openpty(None, None).unwrap();
    let script =
        "trap 'echo INT' INT; trap 'exit 6' TERM; echo ready; while :; do sleep 0.05; done";
    let mut run = in_session(&["--ctty"], &place.run_sh(&[], script));
    let mut run = Running::start_with(run.stdin(Stdio::from(terminal.slave)));
    assert_eq!(run.line(), "ready");
    File::from(terminal.master.try_clone().unwrap()).write_all(b"\x03").unwrap();
    assert_eq!(run.line(), "INT");
    run.signal(SIGTERM);
    let (code, output) = run.ended();
    assert_eq!((code, output.stdout), (6, vec![]));
    place.assert_nothing_left();
}
