//! One of the crowd with linklock, in a process of its own.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread;
use std::time::Duration;

use linklock::{Lock, LockGuard};
use nix::sys::signal::{Signal, raise};

use super::journal::note;
use super::run::Places;
use crate::peers::scene::age;

/// Names the directory of the run.
pub(crate) const RUN: &str = "LINKLOCK_PEERS_RUN";

/// The longest time for which the lock is held.
const HOLD: Duration = Duration::from_millis(2);
/// One tenure in so many ends with the holder's death.
const DEATHS: u32 = 8;
/// The longest time until the process dies, whatever it is at.
const DOOM: Duration = Duration::from_secs(2);

/// What such a process does; nothing if its environment does not say so.
pub(crate) fn work() {
    let Some(run) = env::var_os(RUN) else { return };
    let places = Places::of(run);
    let journal = places.journal();
    thread::spawn(move || {
        thread::sleep(DOOM.mul_f64(rand::random()));
        die(&journal);
    });
    // The defaults, but that it looks more often.
    let polling = Duration::from_millis(1)..Duration::from_millis(10);
    let lock = Lock::options(places.lock()).polling(polling.start, polling.end).build().unwrap();
    while !places.stop().exists() {
        match lock.try_lock_for(Duration::from_millis(200)) {
            Ok(guard) => hold(guard, &places),
            Err(error) => assert!(error.is_contention(), "{error}"),
        }
    }
}

fn hold(guard: LockGuard, places: &Places) {
    let claim = guard.claim_path().file_name().unwrap().to_str().unwrap().to_owned();
    let journal = places.journal();
    note(&journal, "in", &claim);
    let is_alone = bear_witness(places, &claim);
    thread::sleep(HOLD.mul_f64(rand::random()));
    if is_alone {
        fs::remove_file(places.witness()).unwrap();
    }
    note(&journal, "out", &claim);
    if rand::random_ratio(1, DEATHS) {
        // Found an hour later, when flufl.lock may break it as well.
        match age(guard.claim_path()) {
            // flufl.lock's break of another lock has removed ours.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            aged => aged.unwrap(),
        }
        note(&journal, "abandoned", &claim);
        die(&journal);
    }
    match guard.unlock() {
        Ok(()) => {}
        Err(error) if error.is_lost() => note(&journal, "lost", &claim),
        Err(error) => panic!("{error}"),
    }
}

/// Makes the witness, unless somebody's is there. It is a symbolic link, which is made exclusively
/// and says whose it is in one step.
fn bear_witness(places: &Places, claim: &str) -> bool {
    loop {
        match symlink(claim, places.witness()) {
            Ok(()) => return true,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{error}"),
        }
        if let Ok(other) = fs::read_link(places.witness()) {
            note(&places.journal(), "clash", &format!("{claim} {}", other.display()));
            return false;
        }
    }
}

fn die(journal: &Path) -> ! {
    note(journal, "killed", &std::process::id().to_string());
    raise(Signal::SIGKILL).unwrap();
    unreachable!("nobody outlives SIGKILL")
}
