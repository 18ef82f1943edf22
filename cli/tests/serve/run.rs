//! `linklock run --relukko` works as with a file.

use std::process::Command;
use std::time::Duration;

use linklock::Lock;
use linklock_relukko::ClientError;
use tempfile::tempdir;

use crate::common::{CAT, Running, linklock, outcome, until};
use crate::server::{KEY, Server, command, free_address};

fn run(url: &str, options: &[&str], script: &str) -> Command {
    let mut run = linklock();
    run.env("RELUKKO_API_KEY", KEY).args(["run", "--relukko", url]).args(options);
    run.args(["report", "--", "sh", "-c", script]);
    run
}

#[test]
fn a_command_runs_under_a_lock_of_a_server() {
    let dir = tempdir().unwrap();
    let server = Server::start(dir.path());
    let (url, client) = (server.url(), server.client());
    let mut holder = Running::start(&mut run(&url, &[], CAT));
    assert_eq!(holder.line(), "ready");
    // The lock is held for all programs.
    let file = dir.path().join("report");
    assert!(Lock::new(&file).unwrap().try_lock().is_err());
    assert!(matches!(client.try_lock("report", None), Err(ClientError::Held { .. })));
    for wait in [&["--no-wait"][..], &["--timeout", "1s"]] {
        let (code, why) = outcome(&mut run(&url, wait, "exit 1"));
        assert_eq!((code, why.contains("report")), (75, true), "{why}");
        let creator = format!(", process {} ", holder.pid());
        assert!(why.contains("held by linklock on ") && why.contains(&creator), "{why}");
    }
    let (code, _) = outcome(&mut run(&url, &["--timeout", "1s", "-E", "9", "--quiet"], "exit 1"));
    assert_eq!(code, 9);
    // A waiter gets it, and exits with the command's status.
    let waiter = Running::start(&mut run(&url, &[], "exit 7"));
    assert_eq!(holder.end().0, 0);
    assert_eq!(waiter.ended().0, 7);
    assert!(!file.exists());

    let told = "test \"$LINKLOCK_NAME\" = report && echo $LINKLOCK_RELUKKO_ID";
    let output = run(&url, &[], told).output().unwrap();
    let id = String::from_utf8(output.stdout).unwrap();
    assert!(id.trim().parse::<linklock_relukko::LockId>().is_ok(), "{id}");
}

#[test]
fn a_command_whose_lock_is_lost_is_stopped() {
    let dir = tempdir().unwrap();
    let server = Server::start(dir.path());
    let mut holder = Running::start(&mut run(&server.url(), &["--lifetime", "2s"], CAT));
    assert_eq!(holder.line(), "ready");
    let client = server.client();
    client.delete(client.list().unwrap()[0].id).unwrap();
    let (code, output) = holder.ended();
    assert_eq!(code, 79, "{}", String::from_utf8_lossy(&output.stderr));
}

/// Within its lifetime and the server's grace period, not after the ten minutes of a new lock.
#[test]
fn the_lock_of_a_killed_run_is_free_after_its_lifetime() {
    let dir = tempdir().unwrap();
    let address = free_address();
    let mut serve = command(dir.path(), address);
    let _server = Running::start(serve.args(["--grace", "1s", "--sweep", "100ms"]));
    let url = format!("http://{address}");
    let client = linklock_relukko::Client::options(&url, KEY);
    let client = client.retries(1, Duration::ZERO, 1.0).build().unwrap();
    until("it answers", || client.check_health().is_ok());
    let mut holder = Running::start(&mut run(&url, &["--lifetime", "4s"], CAT));
    assert_eq!(holder.line(), "ready");
    let left = client.list().unwrap()[0].expires_at.duration_since(std::time::SystemTime::now());
    let left = left.unwrap_or_default();
    assert!(left <= Duration::from_secs(4), "{left:?}");
    holder.signal(nix::sys::signal::Signal::SIGKILL);
    until("it is free", || client.list().unwrap().is_empty());
}

#[test]
fn a_server_that_restarts_is_no_loss() {
    let dir = tempdir().unwrap();
    let mut server = Server::start(dir.path());
    let mut holder = Running::start(&mut run(&server.url(), &["--lifetime", "3s"], CAT));
    assert_eq!(holder.line(), "ready");
    server.kill();
    std::thread::sleep(Duration::from_secs(2));
    server.restart();
    let client = server.client();
    let before = client.list().unwrap().remove(0);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(client.get(before.id).unwrap().id, before.id);
    assert_eq!(holder.end().0, 0);
    until("it is released", || client.list().unwrap().is_empty());
}

/// A host that drops packets rather than refusing them.
#[test]
fn a_server_that_does_not_answer_is_not_waited_for_in_silence() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let mut run = Running::start(&mut run(&url, &[], "exit 1"));
    let told = run.error_line();
    assert!(told.starts_with("linklock: waiting for lock report: "), "{told}");
    assert!(told.contains(&url), "{told}");
}

#[test]
fn errors_are_reported() {
    let nowhere = format!("http://{}", free_address());
    let (code, why) = outcome(&mut run(&nowhere, &["--timeout", "2s"], "exit 1"));
    assert_eq!((code, why.contains(&nowhere)), (69, true), "{why}");
    let (code, why) = outcome(&mut run("nonsense", &[], "exit 1"));
    assert_eq!((code, why.contains("nonsense")), (64, true), "{why}");
    let (code, why) = outcome(run(&nowhere, &[], "exit 1").env_remove("RELUKKO_API_KEY"));
    assert_eq!((code, why.contains("RELUKKO_API_KEY")), (64, true), "{why}");
    let (code, why) = outcome(&mut run(&nowhere, &["another"], "exit 1"));
    assert_eq!((code, why.contains("exactly one lock")), (64, true), "{why}");
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let (code, why) = outcome(run(&server.url(), &[], "exit 1").env("RELUKKO_API_KEY", "wrong"));
    assert_eq!(
        (code, why.contains("denies access"), why.contains("not accepted\n")),
        (69, true, true),
        "{why}"
    );
}
