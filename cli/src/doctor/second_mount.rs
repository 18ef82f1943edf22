//! The same directory through a second mount: whether changes made through one mount are seen
//! through the other.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use linklock::{Error, Lock};

use super::checks::{Found, finding, to};
use super::finding::{Finding, Grade};
use super::scratch::Scratch;

/// How long a cache may show an old state.
const LONGEST: Duration = Duration::from_secs(60);
const RACES: usize = 50;

pub(super) fn all(scratch: &Scratch, other: &Path) -> Vec<Finding> {
    let there = other.join(scratch.name());
    let visible = finding("visibility", visibility(scratch, &there));
    if visible.grade == Grade::Bad {
        return vec![visible];
    }
    let held = finding("lock seen", lock_seen(scratch, &there));
    vec![visible, held, finding("race", race(scratch, &there))]
}

/// How long it takes until a new file, and then its removal, is seen through the other mount.
fn visibility(scratch: &Scratch, there: &Path) -> Found {
    until("the new directory", || there.is_dir())?;
    let (one, two) = (dev(scratch.dir())?, dev(there)?);
    fs::write(scratch.path("seen"), "").map_err(to("create a file"))?;
    let appeared = until("a new file", || there.join("seen").exists())?;
    fs::remove_file(scratch.path("seen")).map_err(to("remove a file"))?;
    let gone = until("the removal of a file", || !there.join("seen").exists())?;
    let slowest = appeared.max(gone);
    let text = format!("a change is seen after {:.3} s", slowest.as_secs_f64());
    Ok(if one == two {
        (Grade::Note, format!("{text}, but this is one mount by two paths: it shows little"))
    } else {
        (Grade::Good, text)
    })
}

fn dev(dir: &Path) -> Result<u64, String> {
    dir.metadata().map(|meta| meta.dev()).map_err(to("get the attributes of the directory"))
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Result<Duration, String> {
    let begun = Instant::now();
    while !is_so() {
        if begun.elapsed() > LONGEST {
            return Err(format!("{what} is not seen through the other path within a minute"));
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(begun.elapsed())
}

/// A lock must be seen without delay, however long a cache shows an old state of regular files.
fn lock_seen(scratch: &Scratch, there: &Path) -> Found {
    let tried = || -> Result<bool, Error> {
        let other = Lock::new(there.join("both"))?;
        for _ in 0..RACES {
            let guard = Lock::new(scratch.path("both"))?.lock()?;
            match other.try_lock() {
                Err(error) if error.is_contention() => {}
                _ => return Ok(false),
            }
            guard.unlock()?;
            other.lock()?.unlock()?;
        }
        Ok(true)
    };
    match tried() {
        Ok(true) => {
            Ok((Grade::Good, "held through one path, refused through the other".to_owned()))
        }
        Ok(false) => {
            Err("a lock that is held through one path can also be acquired through the other"
                .to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Two threads race for a lock: at most one may get it.
fn race(scratch: &Scratch, there: &Path) -> Found {
    let start = Barrier::new(2);
    let contend = |path: PathBuf| {
        let mut wins = Vec::with_capacity(RACES);
        for _ in 0..RACES {
            start.wait();
            let won = Lock::new(&path).and_then(|lock| lock.try_lock());
            start.wait(); // a winner holds it until both have tried
            wins.push(won.map(drop).map_err(|error| error.is_contention()));
        }
        wins
    };
    let (one, two) = thread::scope(|scope| {
        let two = scope.spawn(|| contend(there.join("raced")));
        let one = contend(scratch.path("raced"));
        (one, two.join().unwrap_or_default())
    });
    let both = one.iter().zip(&two).filter(|pair| matches!(pair, (Ok(()), Ok(())))).count();
    let failed = one.iter().chain(&two).filter(|won| matches!(won, Err(false))).count();
    if both > 0 {
        return Err(format!("both had the lock at once in {both} of {RACES} races"));
    }
    if failed > 0 || two.is_empty() {
        return Err(format!("{failed} of {} attempts failed", 2 * RACES));
    }
    Ok((Grade::Good, format!("never two at once in {RACES} races")))
}
