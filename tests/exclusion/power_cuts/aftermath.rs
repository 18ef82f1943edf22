//! What a cut has left, and how the next contender copes with it.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Barrier;
use std::thread::scope;
use std::time::{Duration, Instant};

use linklock::{Lock, State};

use super::{LIFETIME, SEAT, SLOP};
use crate::kit::names;

/// For a busy machine.
const MARGIN: Duration = Duration::from_secs(10);
/// Longer than the contenders for all locks of one disk take together.
const LONG: Duration = Duration::from_secs(120);

/// The state of a lock file, and the lock's name.
type Found = (&'static str, String);

/// What was found after all cuts.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    cuts: usize,
    locks: usize,
    /// How many of them a contender has tried to acquire.
    tried: usize,
    free: usize,
    whole: usize,
    empty: usize,
    nuls: usize,
    torn: usize,
    /// Of those without content, how many have no claim any more.
    alone: usize,
    /// The longest wait of a contender.
    longest: Duration,
    pub(crate) failures: Vec<String>,
}

impl Tally {
    /// Counts the locks in the directory, and returns the state of each.
    pub(crate) fn count(&mut self, dir: &Path) -> Vec<Found> {
        self.cuts += 1;
        let locks = locks(dir).into_iter();
        locks.map(|lock| (self.count_one(&dir.join(&lock)), lock)).collect()
    }

    /// Has every lock acquired.
    pub(crate) fn acquire(&mut self, dir: &Path, locks: &[Found]) {
        self.tried += locks.len();
        let all_tried = Barrier::new(locks.len());
        let outcomes: Vec<_> = scope(|scope| {
            let comer = |(_, lock): &Found| {
                let (path, all_tried) = (dir.join(lock), &all_tried);
                scope.spawn(move || acquire(&path, all_tried))
            };
            let comers: Vec<_> = locks.iter().map(comer).collect();
            comers.into_iter().map(|comer| comer.join().unwrap()).collect()
        });
        for ((found, lock), outcome) in locks.iter().zip(outcomes) {
            match outcome {
                Ok(waited) => self.longest = self.longest.max(waited),
                Err(why) => self.failures.push(format!("{lock} ({found}): {why}")),
            }
        }
    }

    pub(crate) fn without_content(&self) -> usize {
        self.empty + self.nuls
    }

    fn count_one(&mut self, lock: &Path) -> &'static str {
        self.locks += 1;
        let Ok(content) = fs::read(lock) else {
            self.free += 1;
            return "free";
        };
        let claim = format!("/{}|", lock.file_name().unwrap().to_str().unwrap());
        let is_whole = String::from_utf8_lossy(&content).contains(&claim);
        let has_claim = fs::metadata(lock).unwrap().nlink() > 1;
        let (counter, found) = match content.as_slice() {
            [] => (&mut self.empty, "empty"),
            bytes if bytes.iter().all(|byte| *byte == 0) => (&mut self.nuls, "NULs"),
            _ if is_whole => (&mut self.whole, "whole"),
            _ => (&mut self.torn, "torn"),
        };
        *counter += 1;
        self.alone += usize::from(!is_whole && !has_claim);
        found
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { cuts, locks, free, whole, empty, nuls, torn, alone, tried, .. } = self;
        write!(
            f,
            "{cuts} cuts, {locks} locks: {free} free; lock files: {whole} whole, {empty} empty, \
             {nuls} of NULs, {torn} torn ({alone} of these without a claim); {} of {tried} not \
             acquired in time, the others in at most {:.1?}",
            self.failures.len(),
            self.longest,
        )
    }
}

/// The locks of which anything is left: the lock file, or a file beside it.
fn locks(dir: &Path) -> BTreeSet<String> {
    const KINDS: [&str; 6] = ["held-", "handed-over-", "fenced-", "released-", "contended", "left"];
    let names = names(dir).into_iter().map(|name| name.into_string().unwrap());
    let locks = names.map(|name| name.split(['|', '.']).next().unwrap().to_owned());
    locks.filter(|lock| KINDS.iter().any(|kind| lock.starts_with(kind))).collect()
}

/// Acquires a lock, asserts that no other can, and returns how long the acquisition took.
fn acquire(path: &Path, all_tried: &Barrier) -> Result<Duration, String> {
    let began = Instant::now();
    let next = Lock::options(path).lifetime(LONG).clock_slop(SLOP);
    let another = next.clone().host_name("another").build().unwrap();
    let next = next.build().unwrap();
    let guard = next.try_lock_for(LIFETIME.max(SEAT) + SLOP + MARGIN);
    let waited = began.elapsed();
    all_tried.wait();
    let guard = guard.map_err(|error| error.to_string())?;
    if another.try_lock().is_ok() {
        return Err("two have acquired it".to_owned());
    }
    guard.unlock().map_err(|error| format!("acquired, but {error}"))?;
    match next.state() {
        Ok(State::Unlocked) => Ok(waited),
        other => Err(format!("acquired and released, but {other:?}")),
    }
}
