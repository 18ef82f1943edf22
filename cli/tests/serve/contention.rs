//! All programs contend for one name: our client and PyRelukko through two servers that are killed
//! and restarted all the time, `linklock run` and Python's flufl.lock with the lock file. There are
//! never two holders.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use linklock_relukko::ClientOptions;
use tempfile::tempdir;

use crate::common::kit::exclusion::is_alone;
use crate::common::{LIMIT, linklock, skip};
use crate::server::{KEY, Server};

const NAME: &str = "contended";
/// How often each must have held the lock.
const TIMES: usize = 5;

/// What each does with the lock: if it finds another's witness, it has found an overlap.
const CRITICAL: &str = r#"
import os, time
def critical(place, who):
    try:
        os.mkdir(f"{place}/inside")
    except FileExistsError:
        open(f"{place}/overlaps", "a").write(who + "\n")
        return
    time.sleep(0.005)
    os.rmdir(f"{place}/inside")
    open(f"{place}/{who}", "a").write("x")
"#;

const FLUFL: &str = r#"
import sys
from datetime import timedelta
from flufl.lock import Lock
place, path = sys.argv[1:3]
while not os.path.exists(f"{place}/stop"):
    lock = Lock(path, lifetime=timedelta(seconds=60))
    with lock:
        critical(place, "flufl")
    time.sleep(0.01)
"#;

/// A create whose answer is lost leaves a lock that PyRelukko does not know. Its user has to clean
/// that up, by a creator that no other lock has.
const PYRELUKKO: &str = r#"
import logging, sys, uuid
from pyrelukko import RelukkoClient
logging.disable()
place, name, key, *urls = sys.argv[1:]
turn = 0
def again(act):
    global turn
    while True:
        turn += 1
        client = RelukkoClient(urls[turn % len(urls)], key, tries=1, delay=0,
            disable_websocket=True, acquire_wait_for_timeout=0.02, acquire_modulo=1)
        try:
            return act(client)
        except Exception:
            time.sleep(0.02)
while not os.path.exists(f"{place}/stop"):
    creator = str(uuid.uuid4())
    try:
        client = RelukkoClient(urls[turn % len(urls)], key, tries=1, delay=0,
            disable_websocket=True, acquire_wait_for_timeout=0.02, acquire_modulo=1)
        lock = client.acquire_relukko(name, creator, 1)
    except Exception:
        lock = None
    if lock is not None and not isinstance(lock, dict):
        critical(place, "pyrelukko")
    for own in again(lambda client: client.get_locks()):
        if own.creator == creator:
            again(lambda client: client.delete_relukko(str(own.id)))
"#;

struct Contenders(Vec<Child>);

impl Drop for Contenders {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn had(place: &Path, who: &str) -> usize {
    fs::read(place.join(who)).map_or(0, |marks| marks.len())
}

/// What `critical` does in Python.
fn critical(place: &Path, who: &str) {
    use std::io::Write;
    let append = |name: &str, text: &str| {
        let file = fs::File::options().create(true).append(true).open(place.join(name));
        file.unwrap().write_all(text.as_bytes()).unwrap();
    };
    let is_alone = is_alone(&place.join("inside"), || sleep(Duration::from_millis(5)));
    if is_alone { append(who, "x") } else { append("overlaps", &format!("{who}\n")) }
}

#[test]
fn no_two_hold_one_lock() {
    let (dir, place) = (tempdir().unwrap(), tempdir().unwrap());
    let (lock, place) = (dir.path().join(NAME), place.path());
    let mut servers = [Server::start(dir.path()), Server::start(dir.path())];
    let urls = [servers[0].url(), servers[1].url()];
    let mut who = vec!["client-0", "client-1", "run"];
    let mut contenders = Contenders(Vec::new());

    let script = format!(
        "until [ -e {0}/stop ]; do '{1}' run {2} -- sh -c '\
         if mkdir {0}/inside 2>/dev/null; then sleep 0.005; rmdir {0}/inside; printf x >> {0}/run; \
         else echo run >> {0}/overlaps; fi'; done",
        place.display(),
        linklock().get_program().display(),
        lock.display(),
    );
    contenders.0.push(Command::new("sh").args(["-c", &script]).spawn().unwrap());
    if let Some(python) = std::env::var_os("LINKLOCK_PYTHON") {
        let script = format!("{CRITICAL}{FLUFL}");
        let mut flufl = Command::new(&python);
        flufl.args(["-c", &script]).arg(place).arg(&lock);
        contenders.0.push(flufl.spawn().unwrap());
        who.push("flufl");
        if let Some(source) = std::env::var_os("LINKLOCK_PYRELUKKO") {
            let script = format!("{CRITICAL}{PYRELUKKO}");
            let mut pyrelukko = Command::new(&python);
            pyrelukko.env("PYTHONPATH", Path::new(&source).join("src")).stderr(Stdio::null());
            pyrelukko.args(["-c", &script]).arg(place).args([NAME, KEY]).args(&urls);
            contenders.0.push(pyrelukko.spawn().unwrap());
            who.push("pyrelukko");
        } else {
            skip("contention with PyRelukko", "LINKLOCK_PYRELUKKO is not set");
        }
    } else {
        skip("contention with flufl.lock and PyRelukko", "LINKLOCK_PYTHON is not set");
    }

    let (stop, begun) = (AtomicBool::new(false), Instant::now());
    let mut kills = 0;
    std::thread::scope(|scope| {
        for (number, server) in servers.iter().enumerate() {
            let (options, stop) = (server.client_options(), &stop);
            scope.spawn(move || contend(&options, &format!("client-{number}"), place, stop));
        }
        while who.iter().any(|who| had(place, who) < TIMES) && begun.elapsed() < 2 * LIMIT {
            sleep(Duration::from_millis(300));
            let server = &mut servers[kills % 2];
            server.kill();
            server.restart();
            kills += 1;
        }
        stop.store(true, Ordering::Relaxed);
        fs::write(place.join("stop"), "").unwrap();
    });
    let times: Vec<_> = who.iter().map(|who| (*who, had(place, who))).collect();
    let overlaps = fs::read_to_string(place.join("overlaps")).unwrap_or_default();
    assert_eq!(overlaps, "", "two holders at once, among {times:?}");
    assert!(times.iter().all(|(_, times)| *times >= TIMES), "{times:?} after {kills} kills");
    assert!(kills > 0);
    eprintln!("{times:?}, with {kills} kills, in {:?}", begun.elapsed());
}

fn contend(options: &ClientOptions, who: &str, place: &Path, stop: &AtomicBool) {
    let client = options.clone().polling(Duration::from_millis(50)).build().unwrap();
    let goes_on = || !stop.load(Ordering::Relaxed);
    while goes_on() {
        if let Ok(guard) = client.lock_while(NAME, Some(who), goes_on) {
            critical(place, who);
            guard.unlock().unwrap();
        }
    }
}
