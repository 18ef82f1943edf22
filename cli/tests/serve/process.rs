//! How the server starts, what it logs, how it ends.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use linklock_relukko::Client;
use nix::sys::signal::Signal;
use tempfile::tempdir;

use crate::common::{Running, linklock, outcome, stderr, until};
use crate::server::{KEY, command, free_address};

fn client(address: std::net::SocketAddr, key: &str) -> Client {
    let options = Client::options(format!("http://{address}"), key);
    options.retries(1, Duration::ZERO, 1.0).build().unwrap()
}

#[test]
fn it_stops_on_a_signal_and_its_locks_stay() {
    let dir = tempdir().unwrap();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let address = free_address();
        let server = Running::start(&mut command(dir.path(), address));
        let client = client(address, KEY);
        until("it answers", || client.check_health().is_ok());
        let name = signal.as_str();
        std::mem::forget(client.try_lock(name, None).unwrap());
        // Neither an idle connection nor one with an unfinished request delays it.
        let idle = TcpStream::connect(address).unwrap();
        let mut half = TcpStream::connect(address).unwrap();
        half.write_all(b"GET /v1/loc").unwrap();
        server.signal(signal);
        let (code, _) = server.ended();
        assert_eq!(code, 0);
        drop((idle, half));
        assert!(dir.path().join(name).exists());
    }
}

#[test]
fn keys_come_from_the_environment_and_from_files_and_are_never_shown() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("keys");
    fs::write(&file, "# two\nsecret-one\nsecret-two\n").unwrap();
    let locks = dir.path().join("locks");
    fs::create_dir(&locks).unwrap();
    let address = free_address();
    let mut serve = command(&locks, address);
    serve.arg("--api-key-file").arg(&file).args(["--log-level", "trace", "--log-format", "json"]);
    let server = Running::start(&mut serve);
    until("it answers", || client(address, KEY).check_health().is_ok());
    for key in [KEY, "secret-one", "secret-two"] {
        client(address, key).try_lock("x", None).unwrap().unlock().unwrap();
    }
    assert!(client(address, "secret-wrong").list().is_err());
    assert!(!format!("{:?}", client(address, KEY)).contains(KEY));
    server.signal(Signal::SIGTERM);
    let (code, output) = server.ended();
    assert_eq!(code, 0);
    let log = stderr(&output);
    for secret in [KEY, "secret-one", "secret-two", "secret-wrong"] {
        assert!(!log.contains(secret), "{log}");
    }
    // Structured: each line, except those for people, is an object that describes what has
    // happened.
    let lines = log.lines().filter(|line| !line.starts_with("linklock: "));
    let lines: Vec<serde_json::Value> =
        lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |what: &str| lines.iter().filter(|line| line["fields"]["message"] == what).count();
    assert_eq!((told("created"), told("deleted")), (3, 3), "{log}");
    assert!(told("answered") >= 7, "{log}");
}

#[test]
fn hup_reloads_its_keys() {
    let dir = tempdir().unwrap();
    let (locks, file) = (dir.path().join("locks"), dir.path().join("keys"));
    fs::create_dir(&locks).unwrap();
    fs::write(&file, "first").unwrap();
    let address = free_address();
    let mut serve = command(&locks, address);
    let server =
        Running::start(serve.env_remove("RELUKKO_API_KEY").arg("--api-key-file").arg(&file));
    until("it answers", || client(address, "first").list().is_ok());
    fs::write(&file, "second").unwrap();
    server.signal(Signal::SIGHUP);
    until("it has the other key", || client(address, "second").list().is_ok());
    assert!(client(address, "first").list().is_err());
    // Without a key no client could connect: it keeps the one that it has.
    fs::write(&file, "").unwrap();
    server.signal(Signal::SIGHUP);
    server.signal(Signal::SIGTERM);
    let (code, output) = server.ended();
    assert_eq!(code, 0, "{}", stderr(&output));
}

#[test]
fn it_reports_what_it_cannot_do() {
    let dir = tempdir().unwrap();
    let serve = |args: &[&str]| {
        let mut serve = linklock();
        serve.env_remove("RELUKKO_API_KEY").env_remove("RELUKKO_BIND_ADDR");
        serve.arg("serve").args(args).stdin(Stdio::null());
        outcome(&mut serve)
    };
    let place = dir.path().to_str().unwrap();
    let (code, why) = serve(&["--dir", place, "--bind", "127.0.0.1:0"]);
    assert_eq!(
        (code, why.contains("RELUKKO_API_KEY or pass --api-key-file FILE")),
        (64, true),
        "{why}"
    );
    let missing = dir.path().join("missing");
    let missing = missing.to_str().unwrap();
    let (code, why) = serve(&["--dir", place, "--api-key-file", missing]);
    assert_eq!((code, why.contains(missing)), (64, true), "{why}");
    let file = dir.path().join("keys");
    fs::write(&file, "key").unwrap();
    let file = file.to_str().unwrap();
    let (code, why) = serve(&["--dir", missing, "--api-key-file", file, "--bind", "127.0.0.1:0"]);
    assert_eq!((code, why.contains(missing)), (73, true), "{why}");
    let (code, why) = serve(&["--dir", place, "--api-key-file", file, "--bind", "nowhere"]);
    assert_eq!((code, why.contains("ADDRESS:PORT")), (64, true), "{why}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bind = taken.local_addr().unwrap().to_string();
    let (code, why) = serve(&["--dir", place, "--api-key-file", file, "--bind", &bind]);
    assert_eq!((code, why.contains(&bind)), (71, true), "{why}");
    let tls = ["--tls-cert", file, "--tls-key", file];
    let (code, why) = serve(&[&["--dir", place, "--api-key-file", file][..], &tls].concat());
    assert_eq!((code, why.contains(file)), (64, true), "{why}");
}

#[test]
fn a_directory_that_goes_away_is_an_error_and_not_the_end() {
    let dir = tempdir().unwrap();
    let locks = dir.path().join("locks");
    fs::create_dir(&locks).unwrap();
    let address = free_address();
    let server = Running::start(&mut command(&locks, address));
    until("it answers", || client(address, KEY).check_health().is_ok());
    let aside = dir.path().join("aside");
    fs::rename(&locks, &aside).unwrap();
    let error = client(address, KEY).try_lock("x", None).unwrap_err();
    assert!(error.to_string().contains("503"), "{error}");
    fs::rename(&aside, &locks).unwrap();
    client(address, KEY).try_lock("x", None).unwrap().unlock().unwrap();
    fs::set_permissions(&locks, fs::Permissions::from_mode(0o700)).unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"nonsense\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    drop(server);
}
