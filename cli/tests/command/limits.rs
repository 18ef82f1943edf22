//! `linklock run`: limits of time, several locks, and the end of linklock itself.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use crate::common::{
    CAT, Place, Running, is_alive, is_stopped, linklock, outcome, skip, stderr, until,
};
use linklock::Lock;
use nix::sys::signal::Signal::{SIGCONT, SIGINT, SIGKILL, SIGSTOP, SIGTERM, SIGTSTP};
use nix::sys::signal::kill;
use nix::unistd::Pid;

/// In a session of its own, so that it never has a terminal.
fn without_terminal(command: &Command) -> Command {
    let mut setsid = Command::new("setsid");
    setsid.arg(command.get_program()).args(command.get_args());
    setsid
}

#[test]
fn a_command_that_runs_for_too_long_is_stopped() {
    let place = Place::new();
    let (code, message) = outcome(&mut place.run(&["--max-runtime", "300ms"], &["sleep", "1000"]));
    assert_eq!(code, 124);
    assert!(message.starts_with("linklock: the command has run for "), "{message}");
    assert!(message.ends_with("s: stopping it\n"), "{message}");
    place.assert_nothing_left();
}

/// A run of a script with a time limit that has printed its first line. On a machine that is too
/// busy for that, the limit is extended.
fn start_with_limit(place: &Place, options: &[&str], script: &str) -> (Running, String) {
    for limit in ["200ms", "2s", "20s"] {
        let options = [&["--max-runtime", limit], options].concat();
        let mut run = Running::start(&mut without_terminal(&place.run_sh(&options, script)));
        let line = run.line();
        if !line.is_empty() {
            return (run, line);
        }
        run.ended();
    }
    panic!("it never gets to its first line");
}

#[test]
fn a_command_that_ignores_term_is_killed_with_all_its_processes() {
    let place = Place::new();
    let script = "trap '' TERM; sleep 1000 & echo $!; while :; do sleep 0.1; done";
    let (run, grandchild) = start_with_limit(&place, &["--kill-after", "300ms"], script);
    assert_eq!(run.ended().0, 124);
    let grandchild = grandchild.parse().unwrap();
    until("the grandchild's end", || !is_alive(grandchild));
    place.assert_nothing_left();
}

#[test]
fn the_lock_is_held_while_an_overlong_command_ends() {
    let place = Place::new();
    let script = r#"trap '[ -e "$LINKLOCK_PATH" ] && echo held; exit' TERM; echo ready
        while :; do sleep 0.01; done"#;
    let (run, _) = start_with_limit(&place, &[], script);
    let (code, output) = run.ended();
    assert_eq!((code, &*output.stdout), (124, &b"held\n"[..]));
}

#[test]
fn a_command_that_ends_in_time_is_left_alone() {
    let place = Place::new();
    let options = ["--max-runtime", "1h", "--kill-after", "1h"];
    assert_eq!(outcome(&mut place.run_sh(&options, "exit 3")), (3, String::new()));
}

#[test]
fn a_lock_is_held_for_its_minimum_time() {
    let place = Place::new();
    let begun = Instant::now();
    assert_eq!(outcome(&mut place.run_sh(&["--min-hold", "900ms"], "exit 3")).0, 3);
    assert!(begun.elapsed() >= Duration::from_millis(900));
    place.assert_nothing_left();
}

/// A run that holds its lock for an hour, and whose command has ended.
fn hold_on(place: &Place, options: &[&str]) -> Running {
    let options = [&["--min-hold", "1h"], options].concat();
    let mut holder = Running::start(&mut place.run_sh(&options, "echo $$; exit 3"));
    let command = holder.line().parse().unwrap();
    until("the command's end", || !is_alive(command));
    holder
}

#[test]
fn the_minimum_time_can_be_cut_short() {
    let place = Place::new();
    let holder = hold_on(&place, &[]);
    assert_eq!(outcome(&mut place.run(&["-n"], &["true"])).0, 75);
    until("a release", || {
        holder.signal(SIGTERM); // the first may be reported by the command
        std::thread::sleep(Duration::from_millis(20));
        !place.lock.exists()
    });
    let code = holder.ended().0;
    assert!(code == 3 || code == 128 + 15, "{code}");
}

#[test]
fn a_lock_may_be_held_until_all_that_was_started_has_ended() {
    let place = Place::new();
    let fifo = place.dir().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // In the background, and in a session of its own.
    for start in ["", "setsid"] {
        let script =
            format!("{start} sh -c 'cat {}' >/dev/null 2>&1 & echo $$; exit 3", fifo.display());
        for (options, is_held) in [(&["--wait-all"][..], true), (&[], false)] {
            let mut run = Running::start(&mut place.run_sh(options, &script));
            let command = run.line().parse().unwrap();
            until("the command's end", || !is_alive(command));
            if is_held {
                assert_eq!(outcome(&mut place.run(&["-n"], &["true"])).0, 75);
                fs::write(&fifo, "go").unwrap(); // once the other end reads
                assert_eq!(run.ended().0, 3);
            } else {
                assert_eq!(run.ended().0, 3);
                assert_eq!(outcome(&mut place.run(&["-n"], &["true"])).0, 0);
                fs::write(&fifo, "go").unwrap();
            }
        }
    }
    assert_eq!(place.files(), [fifo]);
}

/// Even a daemon, which has left the process group.
#[test]
fn what_is_waited_for_is_stopped_when_its_time_is_up() {
    let place = Place::new();
    let script = "setsid sleep 1000 >/dev/null 2>&1 & echo $!";
    let options = ["--wait-all", "--max-runtime", "2s", "--kill-after", "100ms"];
    let mut run = Running::start(&mut place.run_sh(&options, script));
    let daemon = run.line().parse().unwrap();
    assert_eq!(run.ended().0, 124);
    assert!(!is_alive(daemon));
    place.assert_nothing_left();
}

#[test]
fn a_command_is_run_once_in_a_while() {
    let place = Place::new();
    let ran = place.dir().join("ran");
    let script = format!("echo run >>{0}; test -e {0}.well", ran.display());
    let run = |period: &str, options: &[&str]| {
        let options = [&["--at-most-every", period], options].concat();
        outcome(&mut place.run_sh(&options, &script))
    };
    let runs = || fs::read_to_string(&ran).unwrap().lines().count();
    // A failed command is tried again.
    assert_eq!((run("1h", &[]).0, run("1h", &[]).0, runs()), (1, 1, 2));
    fs::write(ran.with_extension("well"), "").unwrap();
    assert_eq!((run("1h", &[]).0, runs()), (0, 3));
    let (code, message) = run("1h", &[]);
    assert_eq!((code, runs()), (75, 3));
    assert!(message.contains("last succeeded 0."), "{message}");
    assert_eq!((run("1h", &["-nq", "-E", "0"]), runs()), ((0, String::new()), 3));
    assert_eq!((run("0", &[]).0, runs()), (0, 4));

    // Once the hour has passed; and a date in the future does not count.
    let marker =
        fs::File::options().write(true).open(place.dir().join("the.lock.success")).unwrap();
    marker.set_modified(SystemTime::now() - Duration::from_secs(3700)).unwrap();
    assert_eq!((run("1h", &[]).0, run("1h", &[]).0, runs()), (0, 75, 5));
    marker.set_modified(SystemTime::now() + Duration::from_secs(86400)).unwrap();
    assert_eq!((run("1h", &[]).0, run("1h", &[]).0, runs()), (0, 75, 6));
    assert!(!place.lock.exists());
}

#[test]
fn a_lock_may_be_named_after_the_command() {
    let place = Place::new();
    let auto = |home: &str, option: &str, command: &[&str]| {
        let mut run = linklock();
        run.args(["run", "-n", option, "--"]).args(command).env_remove("XDG_CACHE_HOME");
        run.env("HOME", place.dir().join(home));
        run
    };
    let path = ["sh", "-c", r#"echo "$LINKLOCK_PATH""#];
    let told = auto("home", "--auto", &path).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let dir = place.dir().join("home/.cache/linklock/sh-");
    assert!(told.starts_with(dir.to_str().unwrap()) && told.ends_with(".lock\n"), "{told}");

    let holder = Running::start(&mut auto("home", "--auto", &["cat"]));
    let dir = place.dir().join("home/.cache/linklock");
    until("a lock", || fs::read_dir(&dir).is_ok_and(|files| files.count() > 1));
    assert_eq!(outcome(&mut auto("home", "--auto", &["cat"])).0, 75);
    assert_eq!(outcome(&mut auto("home", "--auto", &["cat", "/dev/null"])).0, 0);
    assert_eq!(outcome(&mut auto("other", "--auto", &["cat"])).0, 0);
    let elsewhere = format!("--auto={}", place.dir().display());
    assert_eq!(outcome(&mut auto("home", &elsewhere, &["cat"])).0, 0);
    assert_eq!(holder.end().0, 0);

    let (code, message) = outcome(linklock().args(["run", "--auto", "a.lock", "--", "true"]));
    assert_eq!(code, 64, "{message}");
    let (code, message) = outcome(auto("", "--auto", &["true"]).env_remove("HOME"));
    assert_eq!(code, 64, "{message}");
}

/// systemd-tmpfiles would have tokens begin at 1 again.
#[test]
fn a_directory_that_is_cleaned_gets_a_warning() {
    let place = Place::new();
    let in_tmp = place.dir().canonicalize().unwrap().starts_with("/tmp");
    for options in [&["--fence"][..], &["--at-most-every", "0"], &[]] {
        let (code, message) = outcome(&mut place.run(options, &["true"]));
        assert_eq!(code, 0);
        let is_warned = message.starts_with("linklock: warning: files in /tmp are removed by age");
        assert_eq!(is_warned, in_tmp && !options.is_empty(), "{message}");
    }
}

/// A run under strace that may not send signals, as in some sandboxes.
fn without_kill(place: &Place, script: &str) -> Command {
    let run = place.run_sh(&[], script);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "inject=kill:error=EPERM"]);
    strace.arg(run.get_program()).args(run.get_args());
    strace
}

#[test]
fn where_no_process_may_be_signalled_commands_run_and_end() {
    let place = Place::new();
    let traced = Command::new("strace").args(["-o", "/dev/null", "true"]).status();
    if !traced.is_ok_and(|status| status.success()) {
        return crate::common::skip("a sandbox", "strace can't trace");
    }
    assert_eq!(outcome(&mut without_kill(&place, "exit 3")), (3, String::new()));
    place.assert_nothing_left();

    let mut run = Running::start(&mut without_kill(&place, "echo $PPID; echo $$; sleep 1000"));
    let (linklock, command): (i32, i32) =
        (run.line().parse().unwrap(), run.line().parse().unwrap());
    kill(Pid::from_raw(linklock), SIGTERM).unwrap();
    until("the command's end", || !is_alive(command) && !is_alive(linklock));
    assert_eq!(outcome(&mut place.run(&["-t", "60"], &["true"])).0, 0, "taken over from the dead");
    place.assert_nothing_left();
}

#[test]
fn a_loss_during_the_minimum_time_counts() {
    let place = Place::new();
    let holder = hold_on(&place, &["--lifetime", "300ms"]);
    fs::remove_file(&place.lock).unwrap();
    assert_eq!(holder.ended().0, 79);
}

#[test]
fn a_command_may_go_on_without_its_lock_if_the_user_wants_it() {
    let place = Place::new();
    let holder = place.hold(&["--on-lost", "warn", "--lifetime", "300ms"]);
    fs::remove_file(&place.lock).unwrap();
    let claim = &place.files()[0];
    let end = || fs::metadata(claim).unwrap().modified().unwrap();
    until("no more refreshes", || end() < SystemTime::now());
    assert!(is_alive(holder.pid()));
    let (code, output) = holder.end();
    assert_eq!(code, 79);
    let told = stderr(&output);
    assert!(told.ends_with("was lost: the lock file is gone\n"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}

/// `linklock run` with several locks of one directory.
fn run_with(place: &Place, options: &[&str], names: &[&str], script: &str) -> Command {
    let mut run = linklock();
    run.arg("run").args(options).args(names.iter().map(|name| place.dir().join(name)));
    run.args(["--", "sh", "-c", script]);
    run
}

#[test]
fn several_locks_are_held_at_once_and_named_in_order() {
    let place = Place::new();
    let script = r#"printf '%s\n' "$LINKLOCK_PATH"; echo "$LINKLOCK_CLAIM" | xargs -d '\n' ls -d"#;
    let output = run_with(&place, &[], &["b.lock", "a.lock"], script).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let names: Vec<_> = text.lines().map(|line| line.rsplit('/').next().unwrap()).collect();
    assert_eq!(names[..2], ["b.lock", "a.lock"]);
    assert!(names[2].starts_with("a.lock|") && names[3].starts_with("b.lock|"), "{names:?}");
    place.assert_nothing_left();
}

#[test]
fn several_locks_have_a_token_each_in_the_same_order() {
    let place = Place::new();
    fs::create_dir(place.dir().join("b.lock.fence")).unwrap();
    fs::write(place.dir().join("b.lock.fence/41"), "").unwrap();
    let script = r#"printf '%s\n' "$LINKLOCK_TOKEN""#;
    let output = run_with(&place, &["--fence"], &["b.lock", "a.lock"], script).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "42\n1\n");
}

#[test]
fn if_one_lock_is_held_none_is_acquired() {
    let place = Place::new();
    let holder = place.hold(&[]);
    let files = place.files();
    for limit in ["--no-wait", "--timeout=400ms"] {
        let mut run = run_with(&place, &[limit], &["a.lock", "the.lock", "z.lock"], "true");
        let (code, message) = outcome(&mut run);
        assert_eq!(code, 75);
        assert!(message.contains(&format!("process {}", holder.pid())), "{message}");
        assert_eq!(place.files(), files);
    }
    // While it waits for one lock, it holds none of the others.
    let waiter = Running::start(&mut run_with(&place, &[], &["a.lock", "the.lock"], "true"));
    until("the waiter's claim", || place.files().len() > files.len());
    assert_eq!(outcome(&mut run_with(&place, &["--timeout=30s"], &["a.lock"], "true")).0, 0);
    assert_eq!(holder.end().0, 0);
    assert_eq!(waiter.ended().0, 0);
    place.assert_nothing_left();
}

#[test]
fn no_order_of_locks_deadlocks() {
    let place = Place::new();
    let orders = [["a", "b", "c"], ["c", "b", "a"], ["b", "c", "a"]];
    let witness = place.dir().join("witness");
    let script = format!("mkdir {0} && sleep 0.01 && rmdir {0}", witness.display());
    let turn = |order: &[&str]| Running::start(&mut run_with(&place, &[], order, &script));
    for _ in 0..6 {
        let runs: Vec<_> = orders.iter().map(|order| turn(order)).collect();
        for run in runs {
            let (code, output) = run.ended();
            assert_eq!((code, stderr(&output)), (0, String::new()));
        }
    }
    place.assert_nothing_left();
}

#[test]
fn a_lock_that_is_named_twice_is_a_mistake() {
    let place = Place::new();
    std::os::unix::fs::symlink(place.dir(), place.dir().join("link")).unwrap();
    for names in [["a.lock", "a.lock"], ["a.lock", "link/a.lock"]] {
        let (code, message) = outcome(&mut run_with(&place, &[], &names, "true"));
        assert_eq!(code, 64);
        assert!(message.contains("is named twice"), "{message}");
    }
}

#[test]
fn a_killed_run_takes_along_what_its_command_has_started() {
    let place = Place::new();
    let script = "sleep 1000 & echo $!; exec cat";
    let mut run = Running::start(&mut without_terminal(&place.run_sh(&[], script)));
    let grandchild = run.line().parse().unwrap();
    assert!(is_alive(grandchild));
    run.signal(SIGKILL);
    assert_eq!(run.ended().0, -1);
    until("the grandchild's end", || !is_alive(grandchild));
}

/// A run of a command that ignores TERM and writes all the time.
struct Stubborn {
    place: Place,
    run: Running,
    command: Pid,
    witness: PathBuf,
}

impl Stubborn {
    fn start(options: &[&str]) -> Stubborn {
        let place = Place::new();
        let witness = place.dir().join("witness");
        let script =
            format!("trap : TERM; echo $$; while :; do echo >>{}; done", witness.display());
        let mut run = Running::start(&mut without_terminal(&place.run_sh(options, &script)));
        let command = Pid::from_raw(run.line().parse().unwrap());
        let stubborn = Stubborn { place, run, command, witness };
        until("the command", || stubborn.written() > 0);
        stubborn
    }

    fn written(&self) -> u64 {
        fs::metadata(&self.witness).map_or(0, |meta| meta.len())
    }

    /// Returns how much it has written.
    fn stop_command(&self) -> u64 {
        kill(self.command, SIGSTOP).unwrap();
        until("the command is stopped", || is_stopped(self.command.as_raw()));
        self.written()
    }

    fn stop_linklock(&self) {
        self.run.signal(SIGSTOP);
        until("linklock is stopped", || is_stopped(self.run.pid()));
    }

    #[track_caller]
    fn assert_killed(self, before: u64) {
        let (code, output) = self.run.ended();
        let told = stderr(&output);
        assert!(
            told.contains(" was lost: ") && told.ends_with(": killing the command\n"),
            "{told}"
        );
        let after = fs::metadata(&self.witness).unwrap().len();
        assert_eq!((code, after), (79, before), "it went on");
    }
}

#[test]
fn a_command_does_not_go_on_before_its_lock_was_verified() {
    // Long before the lease's end, at its end, and after it.
    for (lifetime, late) in [("1h", None), ("300ms", Some(0)), ("300ms", Some(1))] {
        let stubborn = Stubborn::start(&["--lifetime", lifetime]);
        stubborn.stop_linklock();
        let before = stubborn.stop_command();
        if let Some(late) = late.map(Duration::from_secs) {
            until("the end", || stubborn.place.lease_end() + late < SystemTime::now());
        }
        fs::remove_file(&stubborn.place.lock).unwrap();
        stubborn.run.signal(SIGCONT);
        stubborn.assert_killed(before);
    }
}

#[test]
fn a_command_does_not_go_on_to_be_stopped_for_its_limit_either() {
    let stubborn = Stubborn::start(&["--lifetime", "300ms", "--max-runtime", "3s"]);
    stubborn.stop_linklock();
    let before = stubborn.stop_command();
    let over = Duration::from_secs(3);
    until("the limit", || stubborn.place.lease_end() + over < SystemTime::now());
    fs::remove_file(&stubborn.place.lock).unwrap();
    stubborn.run.signal(SIGCONT);
    stubborn.assert_killed(before);
}

#[test]
fn a_command_that_is_stopped_does_not_go_on_when_its_lock_is_lost() {
    let stubborn = Stubborn::start(&["--lifetime", "300ms"]);
    let before = stubborn.stop_command();
    fs::remove_file(&stubborn.place.lock).unwrap();
    stubborn.assert_killed(before);
}

#[test]
fn a_command_that_is_stopped_may_go_on_without_its_lock_if_the_user_wants_it() {
    let stubborn = Stubborn::start(&["--on-lost", "warn"]);
    let before = stubborn.stop_command();
    fs::remove_file(&stubborn.place.lock).unwrap();
    stubborn.run.signal(SIGCONT);
    until("it goes on", || stubborn.written() > before);
    stubborn.run.signal(SIGINT);
    let (code, output) = stubborn.run.ended();
    let told = stderr(&output);
    assert_eq!((code, told.lines().count()), (79, 1), "{told}");
    assert!(told.ends_with("was lost: the lock file is gone\n"), "{told}");
}

/// strace's fault injection stops linklock when it waits for the process that will exec the
/// command: the first for which it waits.
#[test]
fn a_command_does_not_begin_without_its_lock() {
    let place = Place::new();
    let witness = place.dir().join("witness");
    let script = format!("trap : TERM; touch {}; sleep 0.1", witness.display());
    let run = without_terminal(&place.run_sh(&["--lifetime", "300ms"], &script));
    let mut strace = Command::new("strace");
    if strace.arg("-V").output().is_err() {
        return skip("a command that is stopped under strace", "there is no strace");
    }
    let mut strace = Command::new("strace");
    strace.args(["-qqq", "-o", "/dev/null", "-e", "trace=wait4"]);
    strace.args(["-e", "inject=wait4:signal=STOP:when=1"]);
    strace.arg(run.get_program()).args(run.get_args());
    let strace = Running::start(&mut strace);
    let lock = Lock::new(&place.lock).unwrap();
    until("the lock", || matches!(lock.holder(), Ok(Some(_))));
    let linklock = lock.holder().unwrap().unwrap().pid().try_into().unwrap();
    until("linklock is stopped", || is_stopped(linklock));
    until("the lease's end", || place.lease_end() < SystemTime::now());
    fs::remove_file(&place.lock).unwrap();
    kill(Pid::from_raw(linklock), SIGCONT).unwrap();
    let (code, output) = strace.ended();
    assert_eq!(code, 79, "{output:?}");
    assert!(!witness.exists(), "it has begun");
}

#[test]
fn a_command_that_is_stopped_keeps_its_lock() {
    let place = Place::new();
    let options = ["--lifetime", "400ms"];
    let run = place.run_sh(&options, CAT);
    let mut run = Running::start(&mut without_terminal(&run));
    assert_eq!(run.line(), "ready");
    run.signal(SIGTSTP);
    let end = place.lease_end();
    until("refreshes", || place.lease_end() > end + Duration::from_secs(1));
    run.signal(SIGCONT);
    assert_eq!(run.end().0, 0);
    place.assert_nothing_left();
}

#[test]
fn a_command_can_send_signals_to_its_group_without_an_end_to_the_watch() {
    let place = Place::new();
    let script = "trap '' HUP INT TERM USR1; kill -s HUP 0; kill -s USR1 0; kill -s TERM 0; \
                  sleep 1000 & echo $!; exec cat";
    let mut run = Running::start(&mut without_terminal(&place.run_sh(&[], script)));
    let grandchild = run.line().parse().unwrap();
    run.signal(SIGKILL);
    until("the grandchild's end", || !is_alive(grandchild));
}
