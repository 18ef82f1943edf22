//! `linklock run`: a command under a lock.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::{OrdinaryUser, Place, Running, linklock, outcome, stderr, until};

#[test]
fn the_exit_status_is_passed_through() {
    let place = Place::new();
    for code in [0, 1, 7, 75, 255] {
        let run = &mut place.run_sh(&[], &format!("exit {code}"));
        assert_eq!(outcome(run), (code, String::new()));
    }
    assert_eq!(outcome(&mut place.run_sh(&[], "kill -USR1 $$")).0, 128 + 10);
    assert_eq!(outcome(&mut place.run_sh(&[], "kill -KILL $$")).0, 128 + 9);
    place.assert_nothing_left();
}

#[test]
fn the_command_gets_its_arguments_and_the_lock_in_its_environment() {
    let place = Place::new();
    let script =
        r#"printf '%s\n' "$@"; cat "$LINKLOCK_PATH"; [ "$LINKLOCK_PATH" -ef "$LINKLOCK_CLAIM" ]"#;
    let output = place.run(&[], &["sh", "-c", script, "sh", "--", "-v", "a b"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let claim = place.lock.to_str().unwrap().to_owned() + "|";
    let output = String::from_utf8(output.stdout).unwrap();
    assert!(output.starts_with(&format!("--\n-v\na b\n{claim}")), "{output}");
}

#[test]
fn the_command_finds_its_token_in_its_environment() {
    let place = Place::new();
    let script = r#"echo "${LINKLOCK_TOKEN-none}""#;
    let token = |options: &[&str]| {
        let output = place.run_sh(options, script).env("LINKLOCK_TOKEN", "7").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(token(&["--fence"]), "1\n");
    assert_eq!(token(&["--fence"]), "2\n");
    assert_eq!(token(&[]), "none\n", "another lock's token is not this one's");
    assert_eq!(place.files(), [place.dir().join("the.lock.fence")]);
}

#[test]
fn without_its_counter_nothing_is_run() {
    let place = Place::new();
    let counter = place.dir().join("the.lock.fence");
    fs::write(&counter, "a file").unwrap();
    let (code, message) = outcome(&mut place.run(&["--fence"], &["echo", "run"]));
    assert_ne!(code, 0);
    assert!(message.contains(&format!("failed to list {}", counter.display())), "{message}");
    assert_eq!(place.files(), [counter]);
}

#[test]
fn a_command_that_can_not_be_run_is_reported_as_shells_do() {
    let place = Place::new();
    let (code, message) = outcome(&mut place.run(&[], &["no-such-command"]));
    assert_eq!(code, 127);
    assert!(message.starts_with("linklock: failed to run no-such-command: "), "{message}");

    // Nor does it exist if execvp(3) returns EACCES, as it does for a directory that it may not
    // search, or for a directory itself.
    let path = format!("{}:/usr/bin:/bin", place.dir().display());
    fs::create_dir(place.dir().join("no-such-command")).unwrap();
    let (code, message) = outcome(place.run(&[], &["no-such-command"]).env("PATH", path));
    assert_eq!(code, 127, "{message}");
    fs::remove_dir(place.dir().join("no-such-command")).unwrap();

    let data = place.dir().join("data");
    fs::write(&data, "no program").unwrap();
    let (code, message) = outcome(&mut place.run(&[], &[&data]));
    assert_eq!(code, 126, "{message}");
    assert_eq!(place.files(), [data]);
}

#[test]
fn a_script_needs_no_interpreter_line() {
    let place = Place::new();
    let script = place.dir().join("script");
    fs::write(&script, "exit 5\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(outcome(&mut place.run(&[], &[&script])).0, 5);
}

#[test]
fn without_its_directory_a_lock_can_not_be_created() {
    let mut place = Place::new();
    place.lock = place.dir().join("none/the.lock");
    let (code, message) = outcome(&mut place.run(&[], &["true"]));
    let (lock, dir) = (place.lock.display(), place.dir().join("none"));
    let dir = dir.display();
    let expected = format!("linklock: cannot lock {lock}: the directory {dir} does not exist\n");
    assert_eq!((code, message), (73, expected));
}

#[test]
fn without_permission_the_directory_and_the_user_are_named() {
    let place = Place::new();
    let Some(user) = OrdinaryUser::of(&place) else { return };
    fs::set_permissions(place.dir(), fs::Permissions::from_mode(0o755)).unwrap();
    let (code, message) = outcome(user.linklock().arg("run").arg(&place.lock).args(["--", "true"]));
    assert_eq!(code, 73, "{message}");
    let expected = format!("linklock: cannot lock {}: the directory ", place.lock.display());
    assert!(message.starts_with(&expected) && message.contains("uid 65534"), "{message}");
    assert!(!message.contains('|'), "a claim's name: {message}");
}

/// A wait would be in vain: linklock never removes it.
#[test]
fn a_file_that_is_not_a_lock_is_not_waited_for() {
    let place = Place::new();
    let file = place.dir().join("data");
    fs::write(&file, "save me").unwrap();
    let link = place.dir().join("link");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    for (path, what) in
        [(place.dir(), "directory"), (&file, "not a lock"), (&link, "symbolic link")]
    {
        for (command, end) in [("run", &["--", "true"][..]), ("acquire", &[]), ("wait", &[])] {
            for options in [&[][..], &["-n"], &["-q"]] {
                let (code, message) =
                    outcome(linklock().arg(command).args(options).arg(path).args(end));
                assert_eq!(code, 73, "{command} {message}");
                let start = format!("linklock: cannot lock {}: it is a ", path.display());
                assert!(message.starts_with(&start) && message.contains(what), "{message}");
            }
        }
    }
    assert_eq!(fs::read(&file).unwrap(), b"save me");
    assert_eq!(place.files(), [file, link]);
}

/// Another program's lock counts as held: it ends some time.
#[test]
fn another_programs_lock_is_waited_for() {
    let place = Place::new();
    fs::write(&place.lock, "17:mars").unwrap();
    let (code, message) = outcome(&mut place.run(&["-n"], &["true"]));
    assert_eq!(code, 75, "{message}");
    let waiter = Running::start(&mut place.run(&[], &["true"]));
    until("the waiter's claim", || place.files().len() > 1);
    fs::remove_file(&place.lock).unwrap();
    assert_eq!(waiter.ended().0, 0);
}

/// It would wait for itself.
#[test]
fn a_lock_that_is_held_around_a_run_is_refused() {
    let place = Place::new();
    let program = linklock().get_program().to_str().unwrap().to_owned();
    let lock = place.lock.to_str().unwrap();
    let other = place.dir().join("other.lock");
    let nested: [&[&str]; 4] = [
        &["run", lock, "--", "true"],
        &["run", "-t", "1h", other.to_str().unwrap(), lock, "--", "true"],
        &["run", "./the.lock", "--", "true"],
        &["acquire", lock],
    ];
    for nested in nested {
        let command: Vec<_> = std::iter::once(&*program).chain(nested.iter().copied()).collect();
        let (code, message) = outcome(place.run(&[], &command).current_dir(place.dir()));
        assert_eq!(code, 75, "{nested:?} {message}");
        assert!(message.contains("already held by the linklock that started"), "{message}");
    }
    // Another lock does not matter.
    let command = [&program, "run", other.to_str().unwrap(), "--", "true"];
    assert_eq!(outcome(&mut place.run(&[], &command)), (0, String::new()));
    place.assert_nothing_left();
}

#[test]
fn a_run_may_go_on_under_the_lock_around_it() {
    let place = Place::new();
    let program = linklock().get_program().to_str().unwrap().to_owned();
    let other = place.dir().join("other.lock");
    let script = format!(
        r#"printf '%s\n' "$LINKLOCK_CLAIM" >outer
        {program} run --reentrant the.lock other.lock -- sh -c '
            printf "%s\n" "$LINKLOCK_PATH" >paths
            printf "%s\n" "$LINKLOCK_CLAIM" | head -n 1 | cmp - outer && test -e other.lock && exit 7'
        code=$?; test -e the.lock && ! test -e other.lock && exit $code"#
    );
    let (code, message) = outcome(place.run_sh(&[], &script).current_dir(place.dir()));
    assert_eq!((code, &*message), (7, ""));
    let paths = fs::read_to_string(place.dir().join("paths")).unwrap();
    assert_eq!(paths, format!("{}\n{}\n", place.lock.display(), other.display()));
    // If the lock is free, it is acquired as usual.
    let held = place.run_sh(&["--reentrant"], r#"test -e "$LINKLOCK_PATH""#).status().unwrap();
    assert!(held.success() && !place.lock.exists());
}

#[test]
fn a_lock_that_a_parent_holds_is_waited_for_with_a_warning() {
    let place = Place::new();
    let program = linklock().get_program().to_str().unwrap().to_owned();
    let lock = place.lock.display();
    let script = format!(
        "claim=$({program} acquire {lock}); {program} run -t 300ms {lock} -- true; code=$?
        {program} release {lock} $claim; exit $code"
    );
    let mut sh = std::process::Command::new("sh");
    let (code, message) = outcome(sh.args(["-c", &script]));
    assert_eq!(code, 75);
    let first = message.lines().next().unwrap();
    assert!(first.contains("which started this command: if it waits"), "{message}");
    place.assert_nothing_left();
}

#[test]
fn a_timeout_may_come_from_the_environment() {
    let place = Place::new();
    let _holder = place.hold(&[]);
    let run = |options: &[&str]| {
        let mut run = place.run(options, &["true"]);
        outcome(run.env("LINKLOCK_TIMEOUT", "300ms"))
    };
    let (code, message) = run(&[]);
    assert_eq!(code, 75);
    assert!(message.starts_with("linklock: waited 0."), "{message}");
    assert!(run(&["-n"]).1.contains(" is taken: "));
    assert!(run(&["--timeout", "1100ms"]).1.starts_with("linklock: waited 1."));
    let mut wait = linklock();
    wait.arg("wait").arg(&place.lock).env("LINKLOCK_TIMEOUT", "0");
    assert_eq!(outcome(&mut wait).0, 75);
    let (code, message) = outcome(wait.env("LINKLOCK_TIMEOUT", "soon"));
    assert_eq!(code, 64);
    assert!(message.contains("LINKLOCK_TIMEOUT"), "{message}");
}

#[test]
fn runs_exclude_each_other() {
    let place = Place::new();
    let witness = place.dir().join("witness");
    let script = format!("mkdir {0} && sleep 0.02 && rmdir {0}", witness.display());
    let runs: Vec<_> = (0..8).map(|_| Running::start(&mut place.run_sh(&[], &script))).collect();
    for run in runs {
        let (code, output) = run.ended();
        assert_eq!((code, stderr(&output)), (0, String::new()));
    }
    place.assert_nothing_left();
}

#[test]
fn no_wait_gives_up_at_once_and_names_the_holder() {
    let place = Place::new();
    let holder = place.hold(&[]);
    let files = place.files();
    let (code, message) = outcome(&mut place.run(&["--no-wait"], &["true"]));
    assert_eq!(code, 75);
    let expected = format!(
        "linklock: lock {} is taken: held by process {} on ",
        place.lock.display(),
        holder.pid()
    );
    assert!(message.starts_with(&expected), "{message}");
    assert_eq!(place.files(), files);

    assert_eq!(holder.end().0, 0);
    assert_eq!(outcome(&mut place.run(&["--no-wait"], &["true"])), (0, String::new()));
}

#[test]
fn a_timeout_gives_up_in_time_and_names_the_holder() {
    let place = Place::new();
    let holder = place.hold(&[]);
    let files = place.files();
    let begun = Instant::now();
    let (code, message) = outcome(&mut place.run(&["--timeout", "1500ms"], &["true"]));
    assert_eq!(code, 75);
    assert!(begun.elapsed() >= Duration::from_millis(1500));
    assert!(message.starts_with("linklock: waited "), "{message}");
    assert!(message.contains(&format!("held by process {} on ", holder.pid())), "{message}");
    assert_eq!(place.files(), files);
}

#[test]
fn the_exit_status_for_a_held_lock_can_be_chosen() {
    let place = Place::new();
    let _holder = place.hold(&[]);
    for give_up in [["--no-wait", "-q"], ["--timeout=0", "-q"]] {
        let options = [&give_up[..], &["-E", "0"]].concat();
        assert_eq!(outcome(&mut place.run(&options, &["false"])), (0, String::new()));
    }
}

#[test]
fn quiet_is_not_silent_about_what_is_wrong() {
    let mut place = Place::new();
    place.lock = place.dir().join("none/the.lock");
    let (code, message) = outcome(&mut place.run(&["-q"], &["true"]));
    assert_eq!(code, 73);
    assert!(message.contains("does not exist"), "{message}");
}

#[test]
fn verbose_reports_what_happens_to_the_lock() {
    let place = Place::new();
    let holder = place.hold(&[]);
    let mut waiter = Running::start(&mut place.run(&["-v"], &["true"]));
    let lock = place.lock.display();
    let waiting =
        format!("linklock: waiting for lock {lock}: held by process {} on ", holder.pid());
    let told = waiter.error_line();
    assert!(told.starts_with(&waiting), "{told}");
    holder.end();
    let (code, output) = waiter.ended();
    assert_eq!(code, 0);
    let rest = ["acquired", "released"].map(|what| format!("linklock: {what} lock {lock}"));
    assert_eq!(stderr(&output).lines().collect::<Vec<_>>(), rest);
}

#[test]
fn the_lease_is_kept_alive_while_the_command_runs() {
    let place = Place::new();
    let lifetime = Duration::from_secs(1);
    let holder = place.hold(&["--lifetime", "1s"]);
    let (end, content) = (place.lease_end(), fs::read(&place.lock).unwrap());
    until("refreshes", || place.lease_end() > end + 2 * lifetime);
    assert_eq!(fs::read(&place.lock).unwrap(), content, "another holder");
    assert_eq!(outcome(&mut place.run(&["--no-wait"], &["true"])).0, 75);
    assert_eq!(holder.end().0, 0);
    place.assert_nothing_left();
}

#[test]
fn a_lock_that_was_lost_is_not_a_success() {
    let place = Place::new();
    let (code, message) = outcome(&mut place.run_sh(&[], r#"rm "$LINKLOCK_PATH""#));
    assert_eq!(code, 79);
    assert!(message.contains("was lost: the lock file is gone"), "{message}");
    place.assert_nothing_left();
}

#[test]
fn the_command_is_stopped_when_the_lock_is_lost() {
    let place = Place::new();
    let holder = place.hold(&["--lifetime", "600ms"]);
    fs::remove_file(&place.lock).unwrap();
    let (code, output) = holder.ended();
    assert_eq!(code, 79);
    let message = stderr(&output);
    assert!(
        message.ends_with("was lost: the lock file is gone: stopping the command\n"),
        "{message}"
    );
    place.assert_nothing_left();
}

#[test]
fn a_command_that_does_not_stop_is_killed() {
    let place = Place::new();
    let script = "trap '' TERM; echo ready; while :; do sleep 0.1; done";
    let mut holder = Running::start(&mut place.run_sh(&["--lifetime", "600ms"], script));
    assert_eq!(holder.line(), "ready");
    fs::remove_file(&place.lock).unwrap();
    let (code, _) = holder.ended();
    assert_eq!(code, 79);
}

#[test]
fn a_policy_of_never_leaves_a_dead_holders_lock() {
    let place = Place::new();
    let holder = place.hold(&[]);
    drop(holder); // by SIGKILL
    let options = |policy| ["--no-wait", "--stale", policy];
    assert_eq!(outcome(&mut place.run(&options("never"), &["true"])).0, 75);
    assert_eq!(outcome(&mut place.run(&options("expired"), &["true"])).0, 75);
    assert_eq!(outcome(&mut place.run(&options("expired-or-dead"), &["true"])).0, 0);
}

#[test]
fn the_locks_files_have_the_chosen_mode_whatever_the_umask_is() {
    let place = Place::new();
    let script = r#"umask 077; exec "$0" run --fence --mode "$1" "$2" -- sh -c "$3""#;
    let shows = r#"stat -c %a "$LINKLOCK_PATH" "$LINKLOCK_CLAIM" "$LINKLOCK_PATH.fence""#;
    let mut run = Command::new("sh");
    run.args(["-c", script]).arg(linklock().get_program()).arg("664").arg(&place.lock).arg(shows);
    let output = run.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "664\n664\n775\n", "{output:?}");
    for (wrong, why) in [("668", "three octal digits"), ("u+w", "octal"), ("755", "read and write")]
    {
        let (code, message) = outcome(&mut place.run(&["--mode", wrong], &["true"]));
        assert_eq!(code, 64, "{message}");
        assert!(message.contains(why), "{message}");
    }
}
