//! `linklock run`: limits of time, several locks, and the end of linklock itself.

mod common;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use common::{CAT, Place, Running, is_alive, linklock, outcome, stderr, until};
use nix::sys::signal::Signal::{SIGCONT, SIGKILL, SIGSTOP, SIGTERM, SIGTSTP};
use nix::sys::signal::kill;
use nix::unistd::Pid;

/// In a session of its own, where it has no terminal whoever runs this test.
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
    assert_eq!(message, "linklock: the command has run for 0.3s: stopping it\n");
    place.assert_nothing_left();
}

#[test]
fn a_command_that_takes_no_notice_is_killed_with_all_that_it_has_started() {
    let place = Place::new();
    let script = "trap '' TERM; sleep 1000 & echo $!; while :; do sleep 0.1; done";
    let options = ["--max-runtime", "200ms", "--kill-after", "300ms"];
    let mut run = Running::start(&mut without_terminal(&place.run_sh(&options, script)));
    let grandchild = run.line().parse().unwrap();
    assert_eq!(run.ended().0, 124);
    until("the grandchild's end", || !is_alive(grandchild));
    place.assert_nothing_left();
}

#[test]
fn the_lock_is_held_while_an_overlong_command_ends() {
    let place = Place::new();
    let script =
        r#"trap '[ -e "$LINKLOCK_PATH" ] && echo held; exit' TERM; while :; do sleep 0.01; done"#;
    let output = place.run_sh(&["--max-runtime", "200ms"], script).output().unwrap();
    assert_eq!((output.status.code(), &*output.stdout), (Some(124), &b"held\n"[..]));
}

#[test]
fn a_command_that_ends_in_time_is_left_alone() {
    let place = Place::new();
    let options = ["--max-runtime", "1h", "--kill-after", "1h"];
    assert_eq!(outcome(&mut place.run_sh(&options, "exit 3")), (3, String::new()));
}

#[test]
fn a_lock_is_held_for_its_least_time() {
    let place = Place::new();
    let begun = Instant::now();
    let holder = Running::start(&mut place.run_sh(&["--min-hold", "900ms"], "exit 3"));
    until("the lock", || place.lock.exists());
    assert_eq!(outcome(&mut place.run(&["-n"], &["true"])).0, 75);
    assert_eq!(holder.ended().0, 3);
    assert!(begun.elapsed() >= Duration::from_millis(900));
    place.assert_nothing_left();
}

#[test]
fn the_least_time_can_be_cut_short() {
    let place = Place::new();
    let witness = place.dir().join("witness");
    let script = format!("touch {}; exit 3", witness.display());
    let holder = Running::start(&mut place.run_sh(&["--min-hold", "1h"], &script));
    until("the command", || witness.exists());
    until("a release", || {
        holder.signal(SIGTERM); // the first may be the command's
        std::thread::sleep(Duration::from_millis(20));
        !place.lock.exists()
    });
    let code = holder.ended().0;
    assert!(code == 3 || code == 128 + 15, "{code}");
}

#[test]
fn a_lock_that_is_lost_in_its_least_time_is_lost() {
    let place = Place::new();
    let options = ["--min-hold", "1h", "--lifetime", "300ms"];
    let holder = Running::start(&mut place.run_sh(&options, "exit 3"));
    until("the lock", || place.lock.exists());
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
fn several_locks_are_held_at_once_and_told_in_order() {
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
fn if_one_lock_is_held_none_is() {
    let place = Place::new();
    let holder = place.hold(&[]);
    let files = place.files();
    for patience in ["--no-wait", "--timeout=400ms"] {
        let mut run = run_with(&place, &[patience], &["a.lock", "the.lock", "z.lock"], "true");
        let (code, message) = outcome(&mut run);
        assert_eq!(code, 75);
        assert!(message.contains(&format!("process {}", holder.pid())), "{message}");
        assert_eq!(place.files(), files);
    }
    // Nobody is kept from the others while it waits for the one.
    let waiter = Running::start(&mut run_with(&place, &[], &["a.lock", "the.lock"], "true"));
    until("the waiter's claim", || place.files().len() > files.len());
    assert_eq!(outcome(&mut run_with(&place, &["--timeout=30s"], &["a.lock"], "true")).0, 0);
    assert_eq!(holder.end().0, 0);
    assert_eq!(waiter.ended().0, 0);
    place.assert_nothing_left();
}

#[test]
fn nobody_deadlocks_whatever_the_order() {
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

#[test]
fn a_command_does_not_go_on_before_its_lock_was_made_sure_of() {
    let place = Place::new();
    let witness = place.dir().join("witness");
    let script = format!("echo $$; while :; do echo >>{}; sleep 0.01; done", witness.display());
    let run = place.run_sh(&["--lifetime", "300ms"], &script);
    let mut run = Running::start(&mut without_terminal(&run));
    let command = Pid::from_raw(run.line().parse().unwrap());
    until("the command", || witness.exists());
    run.signal(SIGSTOP);
    kill(command, SIGSTOP).unwrap();
    until("the lease's end", || place.lease_end() < SystemTime::now());
    fs::remove_file(&place.lock).unwrap();
    let before = fs::read(&witness).unwrap();
    run.signal(SIGCONT);
    assert_eq!(run.ended().0, 79);
    assert_eq!(fs::read(&witness).unwrap(), before, "it went on");
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
