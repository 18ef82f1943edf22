//! Two machines examine a directory together: whether each sees the other's changes, and whether a
//! lock ever admits both.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use linklock::Lock;

use super::checks::{Found, create, finding, to};
use super::finding::{Finding, Grade};

/// The meeting place. The first machine to arrive creates it; the last to leave removes it.
const PLACE: &str = ".linklock-doctor-meeting";
/// How long to wait for the other host, at each step.
const LIMIT: Duration = Duration::from_secs(60);
const TURNS: usize = 50;

/// A host whose files are older than this has died.
const STALE: Duration = Duration::from_secs(600);
const DONE: &str = ".done";

/// One of the two machines.
struct TwoHosts {
    place: PathBuf,
    own: String,
    /// By the server's clock.
    arrived: SystemTime,
}

pub(super) fn all(dir: &Path) -> Vec<Finding> {
    let two_hosts = match TwoHosts::join(dir) {
        Ok(two_hosts) => two_hosts,
        Err(text) => return vec![finding("meeting", Err(text))],
    };
    let met = finding("meeting", two_hosts.await_other());
    if met.grade == Grade::Bad {
        return vec![met];
    }
    vec![met, finding("turns", two_hosts.take_turns())]
}

impl TwoHosts {
    fn join(dir: &Path) -> Result<TwoHosts, String> {
        let place = dir.join(PLACE);
        match fs::create_dir(&place) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(to("make a place to meet")(error));
            }
            _ => {}
        }
        let lock = Lock::new(place.join("turns")).map_err(|error| error.to_string())?;
        let host = lock.host_name().to_string_lossy().into_owned();
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let own = format!("{host}+{}+{:x}", std::process::id(), time.as_nanos());
        let arrived = create(&place.join(&own)).and_then(|file| file.metadata()?.modified());
        Ok(TwoHosts { place, own, arrived: arrived.map_err(to("create a file"))? })
    }

    /// The names of the other machine's files with this ending, except those of dead ones.
    fn others(&self, end: &str) -> Result<Vec<String>, String> {
        let entries = fs::read_dir(&self.place).map_err(to("list the directory"))?;
        let is_fresh = |entry: &fs::DirEntry| {
            let modified = entry.metadata().and_then(|meta| meta.modified());
            modified.is_ok_and(|time| self.arrived.duration_since(time).unwrap_or_default() < STALE)
        };
        let names = entries.flatten().filter(is_fresh).map(|entry| entry.file_name());
        let names = names.filter_map(|name| name.into_string().ok());
        let is_others = |name: &String| {
            let who = name.strip_suffix(end).unwrap_or_default();
            who.matches('+').count() == 2 && !who.ends_with(DONE) && who != self.own
        };
        Ok(names.filter(is_others).collect())
    }

    /// Waits for a file of the other machine with this ending.
    fn await_others(&self, end: &str) -> Result<String, String> {
        let begun = Instant::now();
        loop {
            if let Some(other) = self.others(end)?.pop() {
                return Ok(other);
            }
            if begun.elapsed() > LIMIT {
                let why =
                    "no other machine was seen within a minute: run the same command there, too";
                return Err(why.to_owned());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn await_other(&self) -> Found {
        let other = self.await_others("")?;
        let who = other.split('+').next().unwrap_or_default();
        Ok((Grade::Good, format!("a file that {who} has made is seen here")))
    }

    /// Both machines acquire and release one lock, again and again.
    fn take_turns(&self) -> Found {
        let lock = Lock::new(self.place.join("turns")).map_err(|error| error.to_string())?;
        let inside = self.place.join("inside");
        let mut overlaps = 0;
        for _ in 0..TURNS {
            let guard = lock.try_lock_for(LIMIT).map_err(|error| error.to_string())?;
            match create(&inside) {
                Ok(_) => {
                    thread::sleep(Duration::from_millis(2));
                    fs::remove_file(&inside).map_err(to("remove a file"))?;
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => overlaps += 1,
                Err(error) => return Err(to("create a file")(error)),
            }
            guard.unlock().map_err(|error| error.to_string())?;
        }
        create(&self.place.join(self.own.clone() + DONE)).map_err(to("create a file"))?;
        self.await_others(DONE)?;
        if overlaps > 0 {
            return Err(format!(
                "the other machine had the lock, too, in {overlaps} of {TURNS} turns"
            ));
        }
        Ok((Grade::Good, format!("{TURNS} turns each, never two at once")))
    }
}

/// The last to leave cleans up: until then the other host may look for our files.
impl Drop for TwoHosts {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.place.join(&self.own));
        if self.others("").is_ok_and(|others| others.is_empty()) {
            for entry in fs::read_dir(&self.place).into_iter().flatten().flatten() {
                let _ = fs::remove_file(entry.path());
            }
            let _ = fs::remove_dir(&self.place);
        }
    }
}
