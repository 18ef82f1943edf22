//! acquire, refresh, check, release and wait: locks for scripts, in real shells.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use crate::common::{CAT, Place, Running, is_alive, linklock, outcome, skip, stderr, until};
use linklock::{Life, Lock, Owner};
use nix::sys::signal::Signal::{SIGKILL, SIGTERM};

/// A shell with `linklock` in its path and the lock's name in `$L`.
fn shell(place: &Place, shell: &str, script: &str) -> Command {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_linklock"));
    let path = std::env::join_paths(
        std::iter::once(program.parent().unwrap().to_owned())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let mut command = Command::new(shell);
    command.args(["-c", script]).env("L", &place.lock).env("PATH", path.unwrap());
    command
}

fn sh(place: &Place, script: &str) -> Output {
    shell(place, "sh", script).output().unwrap()
}

#[track_caller]
fn assert_runs(place: &Place, script: &str) -> String {
    let output = sh(place, script);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()), "{script}");
    String::from_utf8(output.stdout).unwrap()
}

/// The lock's holder, from `status`.
fn holder(place: &Place) -> Option<u32> {
    Lock::new(&place.lock).unwrap().holder().unwrap().map(|holder| holder.pid())
}

#[test]
fn a_script_acquires_checks_refreshes_and_releases() {
    let place = Place::new();
    let script = r#"set -e
        claim=$(linklock acquire "$L")
        [ "$L" -ef "$claim" ]
        linklock check "$L" "$claim"
        linklock run -n -q "$L" -- true || [ $? = 75 ]
        linklock refresh "$L" "$claim"
        linklock check "$L" "$claim"
        linklock release "$L" "$claim""#;
    assert_eq!(assert_runs(&place, script), "");
    place.assert_nothing_left();
}

#[test]
fn the_lock_is_the_calling_shells_in_every_shell_and_substitution() {
    let scripts = [
        r#"claim=$(linklock acquire "$L")"#,
        r#"claim=$(linklock acquire "$L" || exit 9)"#,
        r#"claim=$(set -e; if true; then linklock acquire "$L"; echo >&2 "" 2>/dev/null; fi)"#,
        r#"linklock acquire "$L" >claim"#,
        r#"claim=$( (linklock acquire "$L"; true); true)"#,
    ];
    for (name, ready) in [("sh", "echo $$; read end"), ("bash", "echo $BASHPID; read end")] {
        for script in scripts {
            let place = Place::new();
            let script = format!("cd {}; {script}; {ready}; true", place.dir().display());
            let mut running = Running::start(&mut shell(&place, name, &script));
            let pid = running.line();
            assert_eq!(pid, running.pid().to_string());
            assert_eq!(holder(&place).map(|pid| pid.to_string()), Some(pid), "{name}: {script}");
            running.end();
        }
    }
    for name in ["zsh", "fish"] {
        if Command::new(name).arg("--version").output().is_err() {
            skip("scripts", &format!("there is no {name}"));
            continue;
        }
        let place = Place::new();
        let script = if name == "fish" {
            "set claim (linklock acquire $L); echo $fish_pid; read end"
        } else {
            "claim=$(linklock acquire $L || exit); echo $$; read end"
        };
        let mut running = Running::start(&mut shell(&place, name, script));
        assert_eq!(running.line(), running.pid().to_string());
        assert_eq!(holder(&place), u32::try_from(running.pid()).ok(), "{name}");
        running.end();
    }
}

#[test]
fn a_subshell_in_the_background_owns_its_own_lock() {
    let place = Place::new();
    let script =
        r#"( claim=$(linklock acquire "$L" || exit); echo $BASHPID; read end <&3 ) 3<&0 & wait"#;
    let mut running = Running::start(&mut shell(&place, "bash", script));
    let pid = running.line();
    assert_ne!(pid, running.pid().to_string());
    assert_eq!(holder(&place).map(|pid| pid.to_string()), Some(pid));
    running.end();
}

#[test]
fn a_script_that_dies_is_noticed() {
    let place = Place::new();
    let script = r#"claim=$(linklock acquire --lifetime 1h "$L") && echo ready && read end"#;
    let mut script = Running::start(&mut shell(&place, "sh", script));
    assert_eq!(script.line(), "ready");
    assert_eq!(outcome(&mut place.run(&["-n"], &["true"])).0, 75);
    script.signal(SIGKILL);
    script.ended();
    assert_eq!(outcome(&mut place.run(&["-n"], &["true"])), (0, String::new()));
    place.assert_nothing_left();
}

#[test]
fn a_lost_lock_is_reported() {
    let place = Place::new();
    let claim = assert_runs(&place, r#"linklock acquire --owner none "$L""#);
    fs::remove_file(&place.lock).unwrap();
    for command in ["check", "refresh", "release"] {
        let (code, message) =
            outcome(linklock().arg(command).arg(&place.lock).arg(claim.trim_end()));
        assert_eq!(code, 79, "{command}: {message}");
        assert!(message.contains("was lost: the lock file is gone"), "{message}");
    }
}

#[test]
fn a_lock_file_takes_a_claim() {
    let place = Place::new();
    for command in ["check", "refresh", "release"] {
        let (code, message) = outcome(linklock().arg(command).arg(&place.lock));
        assert_eq!((code, message.contains("write the claim")), (64, true), "{message}");
    }
}

#[test]
fn a_lease_that_is_over_is_not_held_but_can_be_refreshed() {
    let place = Place::new();
    let script = r#"linklock acquire --owner none --lifetime 1s "$L""#;
    let claim = assert_runs(&place, script);
    let ask = |command| outcome(linklock().arg(command).arg(&place.lock).arg(claim.trim_end()));
    // A file system's clock may be some milliseconds behind the system's.
    until("the lease's end", || ask("check").0 == 79);
    let (_, message) = ask("check");
    assert!(message.contains("the lease of lock"), "{message}");
    let refresh = ["refresh", "--lifetime", "1h"];
    assert_eq!(outcome(linklock().args(refresh).arg(&place.lock).arg(claim.trim_end())).0, 0);
    assert_eq!(ask("check"), (0, String::new()));
    assert_eq!(ask("release"), (0, String::new()));
    place.assert_nothing_left();
}

#[test]
fn a_refresh_keeps_the_lifetime() {
    let place = Place::new();
    let claim = assert_runs(&place, r#"linklock acquire --owner none --lifetime 2h "$L""#);
    for _ in 0..5 {
        assert_eq!(outcome(linklock().arg("refresh").arg(&place.lock).arg(claim.trim_end())).0, 0);
    }
    let left = place.lease_end().duration_since(SystemTime::now()).unwrap();
    assert!(Duration::from_secs(7100) < left && left <= Duration::from_secs(7201), "{left:?}");
}

#[test]
fn an_invalid_claim_or_owner_is_rejected() {
    let place = Place::new();
    let (code, message) = outcome(linklock().arg("release").arg(&place.lock).arg("/etc/passwd"));
    assert_eq!(code, 64);
    assert!(message.contains("is not a claim of this lock"), "{message}");
    for owner in ["0", "-1", "nobody", "4294967295"] {
        let owner = format!("--owner={owner}");
        let (code, message) = outcome(linklock().arg("acquire").arg(owner).arg(&place.lock));
        assert_eq!(code, 64, "{message}");
    }
    place.assert_nothing_left();
}

#[test]
fn a_lock_that_could_not_be_reported_is_not_left() {
    let place = Place::new();
    let output = sh(&place, r#"linklock acquire "$L" >/dev/full"#);
    assert_eq!(output.status.code(), Some(71));
    place.assert_nothing_left();
}

#[test]
fn the_keep_alive_lasts_until_the_lock_is_released() {
    let place = Place::new();
    let script = r#"claim=$(linklock acquire -k --lifetime 600ms "$L"); echo "$claim"; read end
                    linklock release "$L" "$claim""#;
    let mut script = Running::start(&mut shell(&place, "sh", script));
    let claim = script.line();
    let end = place.lease_end();
    until("refreshes", || place.lease_end() > end + Duration::from_secs(1));
    let keep_alives = || keep_alives_of(&claim);
    assert_eq!(keep_alives().len(), 1);
    assert_eq!(script.end().0, 0);
    place.assert_nothing_left();
    until("the end of the keep-alive", || keep_alives().is_empty());
}

#[test]
fn the_keep_alive_releases_a_dead_scripts_lock() {
    let place = Place::new();
    let script = r#"claim=$(linklock acquire -k --lifetime 600ms "$L"); echo "$claim"; read end"#;
    let mut script = Running::start(&mut shell(&place, "sh", script));
    let claim = script.line();
    script.signal(SIGKILL);
    script.ended();
    until("a release", || place.files().is_empty());
    until("the end of the keep-alive", || keep_alives_of(&claim).is_empty());
}

#[test]
fn the_keep_alive_holds_no_descriptor_of_its_script() {
    let place = Place::new();
    // The substitution ends when no process has its pipe any more, which is descriptor 3 too.
    let script = r#"cd "${L%/*}"; exec 9>open
        none=$(linklock acquire -k --owner none "$L" 3>&1 >claim)
        cat claim; read end; linklock release "$L" "$(cat claim)""#;
    let mut script = Running::start(&mut shell(&place, "sh", script));
    let claim = script.line();
    let open = fs::metadata(place.dir().join("open")).unwrap().ino();
    let keep_alives = keep_alives_of(&claim);
    assert_eq!(keep_alives.len(), 1);
    for entry in fs::read_dir(format!("/proc/{}/fd", keep_alives[0])).unwrap() {
        let entry = entry.unwrap().path();
        assert_ne!(fs::metadata(&entry).map_or(0, |meta| meta.ino()), open, "{}", entry.display());
    }
    assert_eq!(script.end().0, 0);
}

/// The processes with this claim among their arguments.
fn keep_alives_of(claim: &str) -> Vec<i32> {
    let is_named = |pid: &i32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains("__keep") && line.contains(claim)
    };
    let pids = fs::read_dir("/proc").unwrap();
    let pids = pids.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    pids.filter(is_named).filter(|pid| is_alive(*pid)).collect()
}

#[test]
fn a_script_can_wait_until_a_lock_is_free() {
    let place = Place::new();
    let wait = |options: &[&str]| place.by_path(&[&["wait"], options].concat());
    assert_eq!(outcome(&mut wait(&[])), (0, String::new()));
    place.assert_nothing_left();

    let holder = place.hold(&[]);
    let files = place.files();
    for limit in ["--no-wait", "--timeout=200ms"] {
        let (code, message) = outcome(&mut wait(&[limit]));
        assert_eq!(code, 75);
        assert!(message.contains(&format!("is held by process {}", holder.pid())), "{message}");
        assert_eq!(outcome(&mut wait(&[limit, "-q", "-E", "3"])), (3, String::new()));
    }
    assert_eq!(place.files(), files, "it makes no claim");
    let waiter = Running::start(&mut wait(&[]));
    let ended = Running::start(&mut wait(&["-v"]));
    ended.signal(SIGTERM);
    let (code, _) = ended.ended();
    assert!(code == 143 || code == -1, "{code}"); // -1 if the signal came before the handler was ready
    assert!(is_alive(waiter.pid()));
    assert_eq!(holder.end().0, 0);
    assert_eq!(waiter.ended().0, 0);
    place.assert_nothing_left();
}

#[test]
fn a_lock_that_may_be_taken_over_is_free_to_wait_for() {
    let place = Place::new();
    let wait = || outcome(&mut place.by_path(&["wait", "-n", "--clock-slop=1ms"])).0;
    drop(place.hold(&[])); // by SIGKILL
    assert_eq!(wait(), 0);
    let lock = Lock::options(&place.lock).lifetime(Duration::from_secs(1)).build().unwrap();
    lock.lock().unwrap().detach(Owner::Lease).unwrap();
    assert_ne!(lock.holder().unwrap().unwrap().life(), Life::Dead);
    until("the lease's end", || wait() == 0);
    assert!(place.lock.exists());
    fs::remove_file(&place.lock).unwrap();
    fs::write(&place.lock, CAT).unwrap(); // not a lock: it would block for ever
    assert_eq!(wait(), 73);
}
