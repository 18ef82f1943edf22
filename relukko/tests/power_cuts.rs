//! Power cuts: a disk loses power while a server keeps locks on it, at many moments. What the server
//! had answered by then is there after the next mount: each lock, with its secret, its token and the
//! date until which it was promised; no token comes twice, or after a higher one; and no name stays
//! blocked by a lock whose creation was interrupted.
#![cfg(target_os = "linux")]

mod common;
#[allow(dead_code, unused_imports)] // it is made for more
mod kit {
    pub(crate) mod again;
    pub(crate) mod disk;
    pub(crate) mod elsewhere;

    pub(crate) use crate::common::skip;
    pub(crate) use again::this_test;
}

use std::collections::HashMap;
use std::env;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread::scope;
use std::time::Duration;

use common::{Answer, ask_as, options, say, wait_until};
use kit::disk::{self, BTRFS, Disk, EXT4, Kind, XFS};
use kit::elsewhere::{arrived, go_with_mount};
use kit::{again, this_test};
use serde_json::{Value, json};
use tempfile::tempdir;

/// How many cuts one disk has before it gets a new file system.
const CUTS_OF_ONE: usize = 3;
/// How many locks are kept between two cuts, at least. The moment of a cut is chance.
const MORE: usize = 5;
/// How many clients of each kind there are.
const CLIENTS: usize = 3;
/// Longer than the test lasts.
const LONG: u32 = 3600;
const LONGER: u32 = 2 * LONG;
const DIR: &str = "LINKLOCK_TEST_DISK";

#[test]
fn after_a_power_cut_all_that_was_answered_is_on_ext4() {
    try_cuts(&EXT4, this_test!());
}

#[test]
fn after_a_power_cut_all_that_was_answered_is_on_xfs() {
    try_cuts(&XFS, this_test!());
}

#[test]
fn after_a_power_cut_all_that_was_answered_is_on_btrfs() {
    try_cuts(&BTRFS, this_test!());
}

fn try_cuts(kind: &Kind, test: &str) {
    let Some(dir) = arrived() else {
        let dir = tempdir().unwrap();
        return go_with_mount(test, dir.path(), &disk::preparation(kind));
    };
    let cuts = say::scale("LINKLOCK_CUTS", 2 * CUTS_OF_ONE);
    let disks = (0..cuts).step_by(CUTS_OF_ONE).zip(kind.mount_options.iter().cycle());
    for (done, options) in disks {
        try_disk(&Disk::new(&dir, kind, options), CUTS_OF_ONE.min(cuts - done));
    }
}

/// Has a server use a disk, cuts it, and examines what every cut has left.
fn try_disk(disk: &Disk, cuts: usize) {
    disk.make();
    let server = Process::start(&disk.mounted());
    let (answered, is_over) = (Shared::default(), AtomicBool::new(false));
    let mut known: Vec<_> = scope(|scope| {
        let _end = End(&is_over);
        for number in 0..CLIENTS {
            for act in [keep, release, leave] {
                let client = Client { number, server: server.address, answered: &answered };
                let is_over = &is_over;
                scope.spawn(move || {
                    let mut turn = 0;
                    while !is_over.load(Ordering::SeqCst) {
                        act(&client, turn);
                        turn += 1;
                    }
                });
            }
        }
        let cuts = (0..cuts).map(|cut| {
            let enough = answered.get().kept.len() + MORE;
            wait_until("answers", || answered.get().kept.len() >= enough);
            let known = answered.get().clone();
            disk.cut(cut);
            known
        });
        cuts.collect()
    });
    // No other request's syncs help the last ones.
    keep(&Client { number: CLIENTS, server: server.address, answered: &answered }, 0);
    known.push(answered.get().clone());
    disk.cut(cuts);
    drop(server);
    disk.unmount();
    for (cut, known) in known.into_iter().enumerate() {
        disk.come_back(cut, |dir| examine(dir, &known));
    }
}

/// Ends the clients.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[derive(Default)]
struct Shared(Mutex<Answered>);

impl Shared {
    fn get(&self) -> MutexGuard<'_, Answered> {
        self.0.lock().unwrap()
    }
}

/// What clients have been answered.
#[derive(Clone, Debug, Default)]
struct Answered {
    /// The locks that are never deleted, by their ids.
    kept: HashMap<String, Kept>,
    highest_token: u64,
}

#[derive(Clone, Debug)]
struct Kept {
    secret: String,
    lock: Value,
}

struct Client<'a> {
    number: usize,
    server: SocketAddr,
    answered: &'a Shared,
}

impl Client<'_> {
    fn create(&self, name: &str, lifetime: u32, secret: &str) -> Value {
        let created = create(self.server, name, lifetime, secret);
        assert!([200, 201].contains(&created.status), "{created:?}");
        let lock = created.json();
        let mut answered = self.answered.get();
        answered.highest_token = answered.highest_token.max(token(&lock));
        lock
    }
}

/// Takes a lock for good, and prolongs every second one.
fn keep(client: &Client, turn: usize) {
    let name = format!("kept-{}-{turn}", client.number);
    let secret = format!("the secret of {name}");
    let keep = |lock: Value| {
        let id = lock["id"].as_str().unwrap().to_owned();
        let kept = Kept { secret: secret.clone(), lock };
        client.answered.get().kept.insert(id, kept);
    };
    let lock = client.create(&name, LONG, &secret);
    keep(lock.clone());
    if turn % 2 == 0 {
        let body = json!({ "lifetime": LONGER }).to_string();
        let longer = ask_as(&secret, client.server, "PUT", &path(&lock), &body);
        assert_eq!(longer.status, 200, "{longer:?}");
        keep(longer.json());
    }
}

/// Takes a lock and releases it.
fn release(client: &Client, _: usize) {
    let name = format!("released-{}", client.number);
    let secret = format!("the secret of {name}");
    let lock = client.create(&name, LONG, &secret);
    let deleted = ask_as(&secret, client.server, "DELETE", &path(&lock), "");
    assert_eq!(deleted.status, 200, "{deleted:?}");
}

/// The same with a short lease, so that the name becomes free however the cut has left it.
fn leave(client: &Client, _: usize) {
    let name = short(client.number);
    let secret = format!("the secret of {name}");
    let lock = client.create(&name, 1, &secret);
    let deleted = ask_as(&secret, client.server, "DELETE", &path(&lock), "");
    assert!([200, 404].contains(&deleted.status), "{deleted:?}"); // it may be over
}

fn short(client: usize) -> String {
    format!("short-{client}")
}

/// The next boot: another server finds all that was answered.
fn examine(dir: &Path, known: &Answered) {
    let server = Process::start(dir);
    let address = server.address;
    for (id, Kept { secret, lock }) in &known.kept {
        let found = ask_as(secret, address, "GET", &format!("/v2/locks/{id}"), "");
        assert_eq!(found.status, 200, "{lock} was answered: {found:?}");
        let found = found.json();
        for field in ["id", "name", "token"] {
            assert_eq!(found[field], lock[field], "{found} is left of {lock}");
        }
        // A later date may have been written, and not answered yet.
        let date = |lock: &Value| lock["expires_at"].as_str().unwrap().to_owned();
        assert!(date(&found) >= date(lock), "{found} is left of {lock}");
        let renewed = ask_as(secret, address, "PUT", &path(lock), "{}");
        assert_eq!(renewed.status, 200, "{renewed:?} to the holder of {lock}");
    }
    let listed = ask_as("", address, "GET", "/v2/locks?limit=10000", "").json();
    let tokens = listed["locks"].as_array().unwrap().iter().filter_map(|it| it["token"].as_u64());
    let mut highest = tokens.max().max(Some(known.highest_token)).unwrap();
    for client in 0..CLIENTS {
        let mut created = None;
        wait_until("the end of a lock that was interrupted", || {
            let answer = create(address, &short(client), 1, "the secret of the next client");
            assert!([201, 409].contains(&answer.status), "{answer:?}");
            created = (answer.status == 201).then(|| answer.json());
            created.is_some()
        });
        let token = token(&created.unwrap());
        assert!(token > highest, "token {token} after {highest}");
        highest = token;
    }
}

fn create(server: SocketAddr, name: &str, lifetime: u32, secret: &str) -> Answer {
    let body = json!({ "name": name, "lifetime": lifetime }).to_string();
    ask_as(secret, server, "POST", "/v2/locks", &body)
}

fn path(lock: &Value) -> String {
    format!("/v2/locks/{}", lock["id"].as_str().unwrap())
}

fn token(lock: &Value) -> u64 {
    lock["token"].as_u64().unwrap()
}

/// A server in a process of its own, which the power cut kills.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(dir: &Path) -> Process {
        let mut worker = again::this_program("worker");
        let mut child =
            worker.env(DIR, dir).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let address = lines.find_map(|line| line.strip_prefix(ADDRESS)?.parse().ok()).unwrap();
        Process { child, address }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const ADDRESS: &str = "server: ";

/// Not a test: the server's side.
#[test]
#[ignore = "started by tests as another process"]
fn worker() {
    let Some(dir) = env::var_os(DIR) else { return }; // started by hand, with `--include-ignored`
    let often = Duration::from_millis(100);
    let server = options(dir.as_ref()).sweep_interval(often).start().unwrap();
    println!("\n{ADDRESS}{}", server.address());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
