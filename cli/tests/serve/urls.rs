//! The subcommands, for a lock of a server by its URL, as for lock files.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use linklock::Lock;
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::common::schema::assert_is;
use crate::common::{CAT, Running, is_alive, linklock, outcome, stderr, until};
use crate::server::{KEY, Server, free_address};

/// A server with a lock, whose URL stands for `$L` in scripts.
struct Place {
    dir: TempDir,
    server: Server,
    name: &'static str,
}

impl Place {
    fn new(name: &'static str) -> Place {
        let dir = tempdir().unwrap();
        let server = Server::start(dir.path());
        Place { dir, server, name }
    }

    /// With each byte of the name escaped that may be.
    fn url(&self) -> String {
        let escape = |byte: u8| match byte {
            b'a'..=b'z' => char::from(byte).to_string(),
            byte => format!("%{byte:02x}"),
        };
        format!("{}/{}", self.server.url(), self.name.bytes().map(escape).collect::<String>())
    }

    /// `linklock SUBCOMMAND OPTIONS URL`
    fn by_url(&self, arguments: &[&str]) -> Command {
        let mut command = with_key(arguments);
        command.arg(self.url());
        command
    }

    fn run(&self, options: &[&str], script: &str) -> Command {
        let mut run = with_key(&["run"]);
        run.args(options).arg(self.url()).args(["--", "sh", "-c", script]);
        run
    }

    /// A run that holds the lock until its stdin is closed.
    fn hold(&self, options: &[&str]) -> Running {
        let mut holder = Running::start(&mut self.run(options, CAT));
        assert_eq!(holder.line(), "ready");
        holder
    }

    fn json(&self, subcommand: &str) -> Value {
        let output = self.by_url(&[subcommand, "--json"]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    }

    fn state(&self) -> Value {
        self.json("status")["state"].clone()
    }

    fn sh(&self, script: &str) -> Output {
        self.shell(script).output().unwrap()
    }

    fn shell(&self, script: &str) -> Command {
        let program = std::path::Path::new(env!("CARGO_BIN_EXE_linklock"));
        let path =
            format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
        let mut sh = Command::new("sh");
        sh.args(["-c", &format!("set -eu\n{script}")]).env("PATH", path);
        sh.env("RELUKKO_API_KEY", KEY).env("L", self.url()).env_remove("LINKLOCK_CLAIM");
        sh
    }

    #[track_caller]
    fn assert_runs(&self, script: &str) -> String {
        let output = self.sh(script);
        let told = (output.status.code(), stderr(&output));
        assert_eq!(told, (Some(0), String::new()), "{script}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// With the server's key, and without a claim.
fn with_key(arguments: &[&str]) -> Command {
    let mut command = linklock();
    command.env("RELUKKO_API_KEY", KEY).env_remove("LINKLOCK_CLAIM").args(arguments);
    command
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

const ODD: &str = "night report/ü?&#%41";

#[test]
fn a_command_runs_under_the_lock_of_a_url() {
    let place = Place::new(ODD);
    let holder = place.hold(&["--lifetime", "30s"]);
    let held_by = format!(", process {}", holder.pid());
    for wait in [&["--no-wait"][..], &["--timeout", "1s"]] {
        let (code, why) = outcome(&mut place.run(wait, "exit 1"));
        assert_eq!((code, why.contains("held by linklock on ")), (75, true), "{why}");
        assert!(why.contains(&held_by), "{why}");
    }
    let (code, why) = outcome(&mut place.run(&["-n", "-q", "-E", "9"], "exit 1"));
    assert_eq!((code, why.as_str()), (9, ""));
    // A waiter gets it, and exits with the command's status.
    let waiter = Running::start(&mut place.run(&[], "exit 7"));
    assert_eq!(holder.end().0, 0);
    assert_eq!(waiter.ended().0, 7);
    assert_eq!(place.state(), "free");

    let tell = r#"echo "$LINKLOCK_PATH $LINKLOCK_TOKEN"; exec linklock check "$LINKLOCK_PATH""#;
    let told = place.assert_runs(&format!("linklock run \"$L\" -- sh -c '{tell}'"));
    let (path, token) = told.trim().split_once(' ').unwrap();
    let url = path.parse::<linklock_relukko::v2::LockUrl>().unwrap();
    assert_eq!((url.name(), url.server()), (ODD, place.server.url().as_str()));
    assert!(token.parse::<u64>().unwrap() >= 3, "{told}");
    // It would wait for itself.
    let inner = place.sh(r#"linklock run "$L" -- linklock run "$L" -- true"#);
    assert_eq!(inner.status.code(), Some(75));
    assert!(stderr(&inner).contains("waiting would never end"), "{inner:?}");
}

#[test]
fn the_lock_is_that_of_the_lock_file() {
    let place = Place::new("report");
    let holder = place.hold(&[]);
    let file = Lock::new(place.dir.path().join("report")).unwrap();
    assert!(file.try_lock().is_err());
    assert_eq!(holder.end().0, 0);
    let guard = file.lock().unwrap();
    assert_eq!(outcome(&mut place.run(&["-n"], "exit 1")).0, 75);
    assert_eq!(place.state(), "held");
    guard.unlock().unwrap();
}

#[test]
fn a_command_whose_lock_is_broken_is_stopped() {
    let place = Place::new("report");
    let holder = place.hold(&["--lifetime", "2s"]);
    let (code, why) = outcome(&mut place.by_url(&["break"]));
    assert_eq!((code, why.contains("not broken") && why.contains("--force")), (75, true), "{why}");
    let broken = place.by_url(&["break", "--force"]).output().unwrap();
    assert!(text(&broken).starts_with("broke lock http"), "{broken:?}");
    assert_eq!(holder.ended().0, 79);
    let broken = place.json("break");
    assert_is("break", &broken);
    assert_eq!(broken["broken"], false);
}

#[test]
fn a_server_that_restarts_is_no_loss() {
    let mut place = Place::new("report");
    let holder = place.hold(&["--lifetime", "10s"]);
    let waiter = Running::start(&mut place.run(&["-t", "2m"], "exit 7"));
    let waits = |place: &Place| {
        let (code, why) = outcome(&mut place.run(&["-n"], "exit 1"));
        code == 75 && why.contains("others wait")
    };
    until("it waits", || waits(&place));
    place.server.kill();
    place.server.restart();
    until("it waits again", || waits(&place));
    assert_eq!(place.state(), "held");
    assert_eq!(holder.end().0, 0);
    assert_eq!(waiter.ended().0, 7);
}

#[test]
fn a_script_acquires_checks_refreshes_and_releases() {
    let place = Place::new(ODD);
    let script = r#"
        LINKLOCK_CLAIM=$(linklock acquire --lifetime 1m "$L")
        export LINKLOCK_CLAIM
        linklock check "$L"
        linklock run -n -q "$L" -- true || [ $? = 75 ]
        linklock refresh "$L"
        linklock refresh --lifetime 2m "$L"
        linklock check "$L"
        linklock status --json "$L"
        linklock release "$L""#;
    let status: Value = serde_json::from_str(&place.assert_runs(script)).unwrap();
    assert_eq!(status["server"]["lifetime_seconds"], 120.0);
    assert_eq!(place.state(), "free");

    // The lock is lost, and the exit status says so.
    let lost = r#"
        LINKLOCK_CLAIM=$(linklock acquire "$L"); export LINKLOCK_CLAIM
        linklock break --force "$L" >&2
        for command in check refresh release; do linklock $command "$L" || echo $?; done"#;
    assert_eq!(text(&place.sh(lost)), "79\n79\n79\n");
}

#[test]
fn a_claim_is_taken_from_the_environment_alone() {
    let place = Place::new("report");
    let claim = place.assert_runs(r#"linklock acquire "$L""#);
    let claim = claim.trim_end();
    let release = |claim: &str| outcome(place.by_url(&["release"]).env("LINKLOCK_CLAIM", claim));
    let (code, why) = outcome(place.by_url(&["release"]).arg(claim));
    assert_eq!((code, why.contains("LINKLOCK_CLAIM")), (64, true), "{why}");
    let (code, why) = outcome(&mut place.by_url(&["release"]));
    assert_eq!((code, why.contains("LINKLOCK_CLAIM")), (64, true), "{why}");
    for wrong in ["", "nonsense", "/shared/report.lock|host|1|x0"] {
        assert_eq!(release(wrong).0, 64, "{wrong}");
    }
    // With the right id and another secret it is denied.
    let (id, secret) = claim.split_once('.').unwrap();
    let (code, why) = release(&format!("{id}.{}", secret.to_uppercase().replace('A', "b") + "x"));
    assert_eq!((code, why.contains("secret")), (69, true), "{why}");
    assert!(!why.contains(secret), "{why}");
    // The claim of another lock does not count.
    let mut other = with_key(&["release", &format!("{}/other", place.server.url())]);
    let (code, why) = outcome(other.env("LINKLOCK_CLAIM", claim));
    assert_eq!((code, why.contains("report")), (64, true), "{why}");
    assert_eq!(place.state(), "held");
    assert_eq!(release(claim), (0, String::new()));
    assert_eq!(release(claim).0, 79);
}

/// The processes that keep this lock alive.
fn keep_alives(place: &Place) -> usize {
    let url = place.url();
    let is_one = |pid: &i32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains("__keep") && line.contains(&url) && is_alive(*pid)
    };
    let pids = fs::read_dir("/proc").unwrap();
    pids.filter_map(|it| it.unwrap().file_name().to_str()?.parse().ok()).filter(is_one).count()
}

#[test]
fn a_scripts_lock_is_kept_alive_until_it_is_released() {
    let place = Place::new("report");
    let mut script = Running::start(&mut place.shell(
        r#"exec 9>/dev/null; LINKLOCK_CLAIM=$(linklock acquire -k --lifetime 2s "$L" 3>&1)
        export LINKLOCK_CLAIM; echo acquired; read end || linklock release "$L""#,
    ));
    assert_eq!(script.line(), "acquired", "which shows that descriptor 3 was closed");
    let expires = || place.json("status")["holder"]["expires_at"].as_str().unwrap().to_owned();
    let first = expires();
    until("refreshes", || expires() > first);
    assert_eq!(keep_alives(&place), 1);
    assert_eq!(script.end().0, 0);
    assert_eq!(place.state(), "free");
    until("the end of the keep-alive", || keep_alives(&place) == 0);
}

#[test]
fn a_scripts_lock_that_is_kept_alive_ends_with_its_owner() {
    let place = Place::new("report");
    let mut owner = Command::new("sleep").arg("1000").spawn().unwrap();
    for pid in [None, Some(owner.id().to_string())] {
        let of = pid.as_ref().map(|pid| format!("--owner {pid}")).unwrap_or_default();
        let mut script = Running::start(&mut place.shell(&format!(
            r#"claim=$(linklock acquire -k --lifetime 1h {of} "$L"); echo acquired; read end"#
        )));
        assert_eq!(script.line(), "acquired");
        assert_eq!((place.state(), keep_alives(&place)), ("held".into(), 1));
        script.signal(Signal::SIGKILL);
        script.ended();
        if pid.is_some() {
            assert_eq!(place.state(), "held");
            owner.kill().unwrap();
        }
        until("a release", || place.state() == "free");
        until("the end of the keep-alive", || keep_alives(&place) == 0);
    }
    owner.wait().unwrap();
    let (code, why) = outcome(&mut place.by_url(&["acquire", "-k", "--owner", "2147483647"]));
    assert_eq!((code, why.contains("no process 2147483647")), (64, true), "{why}");
    assert_eq!(place.state(), "free");
}

#[test]
fn a_lock_that_nobody_could_be_told_of_is_released() {
    let place = Place::new("report");
    let output = place.sh(r#"linklock acquire "$L" >/dev/full"#);
    assert_eq!(output.status.code(), Some(71), "{output:?}");
    assert_eq!(place.state(), "free");
}

#[test]
fn status_and_list_show_the_holder() {
    let place = Place::new(ODD);
    let free = place.json("status");
    assert_is("status", &free);
    assert_eq!((&free["state"], &free["server"]), (&"free".into(), &Value::Null));
    let shown = text(&place.by_url(&["status"]).output().unwrap());
    assert_eq!(shown.lines().count(), 1, "{shown}");
    assert!(shown.ends_with(": free\n"), "{shown}");

    let holder = place.hold(&["--lifetime", "1m"]);
    let held = place.json("status");
    assert_is("status", &held);
    let who = held["server"]["who"].as_str().unwrap();
    assert!(who.ends_with(&format!(", process {}", holder.pid())), "{held}");
    assert_eq!((&held["state"], &held["server"]["token"]), (&"held".into(), &1.into()));
    let shown = text(&place.by_url(&["status"]).output().unwrap());
    for part in [": held", "  holder:     linklock on ", "  token:      1", "  lease ends: "] {
        assert!(shown.contains(part), "{part:?} is not in {shown}");
    }

    let list = |options: &[&str]| {
        let mut list = with_key(&["list"]);
        text(&list.args(options).arg(place.server.url()).output().unwrap())
    };
    let listed: Value = serde_json::from_str(&list(&["--json"])).unwrap();
    assert_is("list", &listed);
    assert_eq!((&listed[0]["server"], &listed[1]), (&held["server"], &Value::Null));
    let table = list(&[]);
    let url = listed[0]["lock"].as_str().unwrap();
    assert!(table.contains(who) && table.contains(url), "{table}");
    assert_eq!(outcome(&mut with_key(&["status", url])), (0, String::new()));
    holder.end();
    assert_eq!(list(&[]), "");
}

#[test]
fn a_lock_is_waited_for_without_taking_it() {
    let mut place = Place::new("report");
    assert_eq!(outcome(&mut place.by_url(&["wait"])), (0, String::new()));
    let holder = place.hold(&[]);
    let (code, why) = outcome(&mut place.by_url(&["wait", "-n"]));
    assert_eq!((code, why.contains("held by linklock on ")), (75, true), "{why}");
    assert_eq!(outcome(&mut place.by_url(&["wait", "-q", "-t", "100ms"])), (75, String::new()));
    let mut waiter = Running::start(&mut place.by_url(&["wait", "--verbose"]));
    assert!(waiter.error_line().contains("waiting: lock http"), "it waits");
    place.server.kill();
    place.server.restart();
    assert_eq!(holder.end().0, 0);
    assert_eq!(waiter.ended().0, 0);
}

#[test]
fn what_is_wrong_is_reported() {
    let place = Place::new("report");
    let nowhere = format!("http://{}/report", free_address());
    let commands: [&[&str]; 6] = [
        &["status"],
        &["wait", "-t", "1s"],
        &["break", "--force"],
        &["acquire", "-t", "1s"],
        &["acquire", "-n"],
        &["list"],
    ];
    for command in commands {
        let mut quick = with_key(command);
        let (code, why) = outcome(quick.arg(&nowhere));
        assert_eq!((code, why.contains("cannot reach")), (69, true), "{command:?}: {why}");
        let (code, why) = outcome(with_key(command).arg(place.url()).env_remove("RELUKKO_API_KEY"));
        assert_eq!((code, why.contains("RELUKKO_API_KEY")), (64, true), "{command:?}: {why}");
        if command[0] != "list" {
            let (code, why) =
                outcome(with_key(command).arg(place.url()).env("RELUKKO_API_KEY", "wrong"));
            assert_eq!((code, why.contains("denies access")), (69, true), "{command:?}: {why}");
            for url in ["http://", "http://h", "http://h/", "http://h/a?b", "https://h/%zz"] {
                let (code, why) = outcome(with_key(command).arg(url));
                assert_eq!((code, why.contains(url)), (64, true), "{command:?}: {why}");
            }
        }
    }
}

#[test]
fn a_set_of_slots_is_shared_with_lock_files() {
    let place = Place::new("gpu");
    let mut one =
        Running::start(&mut place.run(&["--slots", "2"], &format!("echo $LINKLOCK_SLOT; {CAT}")));
    let slot: u32 = one.line().parse().unwrap();
    assert!(slot <= 1, "{slot}");
    let set = place.dir.path().join("gpu");
    let mut files = linklock();
    files.args(["run", "-n", "--slots", "2"]).arg(&set).args([
        "--",
        "sh",
        "-c",
        "echo $LINKLOCK_SLOT",
    ]);
    assert_eq!(files.output().unwrap().stdout, format!("{}\n", 1 - slot).as_bytes());

    let other = Lock::new(place.dir.path().join(format!("gpu.{}", 1 - slot))).unwrap();
    let guard = other.try_lock().unwrap();
    let (code, why) = outcome(&mut place.run(&["-n", "--slots", "2"], "true"));
    assert_eq!((code, why.contains("gpu")), (75, true), "{why}");
    guard.unlock().unwrap();
    let (code, why) = outcome(&mut place.run(&["-v", "--slots", "2"], "true"));
    assert_eq!((code, why.contains(&format!("slot {} of", 1 - slot))), (0, true), "{why}");
}

#[test]
fn a_lock_is_shared_with_commands_that_use_lock_files() {
    let place = Place::new("cache");
    let ready = format!("echo ready; {CAT}");
    let share = |place: &Place| Running::start(&mut place.run(&["--shared"], &ready));
    let mut readers = [share(&place), share(&place)];
    for reader in &mut readers {
        assert_eq!(reader.line(), "ready");
    }
    let file = place.dir.path().join("cache");
    let by_file = |options: &[&str]| {
        let mut command = linklock();
        command.args(["run", "-n"]).args(options).arg(&file).args(["--", "true"]);
        outcome(&mut command)
    };
    assert_eq!((by_file(&[]).0, by_file(&["--shared"]).0), (75, 0));
    let (code, why) = outcome(&mut place.run(&["-n"], "true"));
    assert_eq!((code, why.contains("held by linklock on ")), (75, true), "{why}");
    let mut acquire = with_key(&["acquire", "-n"]);
    assert_eq!(outcome(acquire.arg(place.url())).0, 75, "a script is a writer");
    let shown = with_key(&["status"]).arg(place.url()).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.starts_with(&format!("{}: shared by 2 readers\n", place.url())), "{shown}");
    assert_eq!(shown.matches("holder:").count(), 2, "{shown}");

    assert_eq!(outcome(&mut place.by_url(&["wait", "-n"])).0, 75, "it is not free");
    let (code, why) = outcome(&mut place.by_url(&["break"]));
    assert_eq!((code, why.contains("not broken")), (75, true), "{why}");

    let mut writer = Running::start(&mut place.run(&[], &ready));
    until("it waits for the readers", || by_file(&["--shared"]).0 == 75);
    for reader in readers {
        assert_eq!(reader.end().0, 0);
    }
    assert_eq!(writer.line(), "ready");
    assert_eq!(outcome(&mut place.run(&["-n", "--shared"], "true")).0, 75);
    assert_eq!(writer.end().0, 0);
    assert_eq!(outcome(&mut place.run(&["-n", "--shared"], "true")).0, 0);
}

#[test]
fn breaking_a_lock_breaks_its_readers() {
    let place = Place::new("cache");
    let readers = [(), ()].map(|()| place.hold(&["--shared", "--lifetime", "2s"]));
    let broken = place.by_url(&["break", "--force"]).output().unwrap();
    let shown = String::from_utf8(broken.stdout).unwrap();
    assert!(shown.starts_with(&format!("broke lock {}: linklock on ", place.url())), "{shown}");
    assert_eq!(shown.matches("linklock on ").count(), 2, "{shown}");
    assert_eq!(outcome(&mut place.run(&["-n"], "true")).0, 0, "nobody has it");
    for reader in readers {
        assert_eq!(reader.ended().0, 79);
    }
}

#[test]
fn a_sets_url_stands_for_its_slots() {
    let place = Place::new("gpu");
    let set = ["--slots", "2", "--lifetime", "2s"];
    let holders = [(), ()].map(|()| place.hold(&set));
    let status = text(&place.by_url(&["status"]).output().unwrap());
    let first = format!("{}: 2 of 2 slots are held  [##]\n", place.url());
    assert!(status.starts_with(&first), "{status}");
    assert_eq!(status.matches("holder:").count(), 2, "{status}");
    let list = text(&with_key(&["list"]).arg(place.server.url()).output().unwrap());
    assert!(list.contains("2 of 2  [##]") && list.contains(&place.url()), "{list}");

    assert_eq!(outcome(&mut place.by_url(&["wait", "-n"])).0, 75);
    let (code, why) = outcome(&mut place.by_url(&["break"]));
    assert_eq!((code, why.contains("not broken")), (75, true), "{why}");
    let broken = text(&place.by_url(&["break", "--force"]).output().unwrap());
    assert_eq!(broken.matches("linklock on ").count(), 2, "{broken}");
    assert_eq!(outcome(&mut place.by_url(&["wait", "-n"])).0, 0);
    for holder in holders {
        assert_eq!(holder.ended().0, 79);
    }
}

#[test]
fn a_set_is_free_for_a_command_that_waits_once_a_slot_is() {
    let place = Place::new("gpu");
    let [one, other] = [(), ()].map(|()| place.hold(&["--slots", "2"]));
    let mut wait = Running::start(&mut place.by_url(&["wait", "-v"]));
    assert!(wait.error_line().contains("waiting"), "it waits");
    assert_eq!(one.end().0, 0);
    assert_eq!(wait.ended().0, 0);
    assert_eq!(other.end().0, 0);
}

#[test]
fn options_that_make_no_sense_are_usage_errors() {
    let place = Place::new("report");
    let wrong: [(&str, &[&str]); 9] = [
        ("run", &["--reentrant"]),
        ("run", &["--at-most-every", "1h"]),
        ("run", &["--mode", "664"]),
        ("run", &["another"]),
        ("acquire", &["--owner", "1"]),
        ("acquire", &["--stale", "never"]),
        ("status", &["--breakers"]),
        ("break", &["--if-dead"]),
        ("wait", &["--separator", "#"]),
    ];
    for (command, options) in wrong {
        let mut command = with_key(&[command]);
        command.args(options).arg(place.url());
        if command.get_args().next().unwrap() == "run" {
            command.args(["--", "true"]);
        }
        let (code, why) = outcome(&mut command);
        assert_eq!((code, why.starts_with("linklock: ")), (64, true), "{options:?}: {why}");
    }
    for command in ["sweep", "doctor"] {
        let (code, why) = outcome(&mut place.by_url(&[command]));
        assert_eq!((code, why.contains("takes no URL")), (64, true), "{why}");
    }
}

#[test]
fn a_signal_ends_a_wait() {
    let place = Place::new("report");
    let _holder = place.hold(&[]);
    for (command, number) in [("acquire", 15), ("wait", 2)] {
        let mut waiter = Running::start(&mut place.by_url(&[command, "--verbose"]));
        assert!(waiter.error_line().contains("waiting"));
        let signal = nix::sys::signal::Signal::try_from(number).unwrap();
        waiter.signal(signal);
        assert_eq!(waiter.ended().0, 128 + number, "{command}");
    }
}

/// A host that drops packets rather than refusing them.
#[test]
fn a_server_that_does_not_answer_is_given_up_after_the_timeout() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/report", silent.local_addr().unwrap());
    for subcommand in ["acquire", "wait"] {
        let begun = Instant::now();
        let mut command = linklock();
        command.env("RELUKKO_API_KEY", KEY).args([subcommand, "-t", "1s", &url]);
        let (code, why) = outcome(&mut command);
        assert_eq!((code, why.contains("no answer")), (69, true), "{why}");
        assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    }
}

/// A server of Relukko's, which does not have these locks.
#[test]
fn a_server_without_these_locks_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/report", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            use std::io::{Read, Write};
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            );
        }
    });
    for arguments in [&["acquire", "-n"][..], &["status"]] {
        let mut command = linklock();
        command.env("RELUKKO_API_KEY", KEY).args(arguments).arg(&url);
        let (code, why) = outcome(&mut command);
        assert_eq!((code, why.contains("run --relukko")), (69, true), "{why}");
    }
}

#[test]
fn the_page_is_true() {
    let place = Place::new("report");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/relukko.md");
    let page = fs::read_to_string(page).unwrap();
    let local = page.replace("http://locks.example:3000", &place.server.url());
    let mut blocks = local.split("\n```").skip(1).step_by(2);
    let mut ran = 0;
    while let Some(script) = blocks.next().and_then(|block| block.strip_prefix("sh\n")) {
        let shown = blocks.next().unwrap().strip_prefix("text\n").unwrap();
        assert_eq!(place.assert_runs(script).trim_end(), shown, "{script}");
        ran += 1;
    }
    assert_eq!(ran, 2);
}
