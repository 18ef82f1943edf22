//! The events about stale locks, and about what the dead have left.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use linklock::{Clock, Holder, Lock, SystemClock};

use crate::capture::{self, Value};
use crate::kit::elsewhere::{arrived, go_as_ordinary_user, open_to_all};
use crate::kit::this_test;
use crate::kit::worker::Worker;
use crate::kit::{HOUR, beside, claim_like_flufl, lock_like_flufl, long_ago};
use crate::stage::{ActingClock, Stage};

#[test]
fn a_takeover_of_an_expired_lock_reports_its_holder() {
    let stage = Stage::new();
    let claim = lock_like_flufl(&stage.path, long_ago());
    drop(stage.lock().lock().unwrap());

    stage.assert_told(&["WARN broken", "DEBUG acquired", "DEBUG released"]);
    let broken = stage.one("broken");
    assert_eq!(broken.string("because"), "expired");
    assert_eq!(broken.string("holder.host"), "elsewhere");
    assert_eq!(broken.fields["holder.pid"], Value::Number(4711.0));
    assert_eq!(broken.string("holder.claim"), claim.to_str().unwrap());
    let lease = broken.number("holder.lease_secs");
    assert!((-48.5 * 3600.0..-47.5 * 3600.0).contains(&lease), "{lease}");
    assert!(broken.within.is_some());
}

#[test]
fn a_takeover_from_the_dead_reports_the_holder() {
    let stage = Stage::new();
    let mut holder = Worker::holding(&stage.path);
    holder.kill_and_reap();
    drop(stage.lock().lock().unwrap());

    stage.assert_told(&["WARN broken", "DEBUG acquired", "DEBUG released"]);
    let broken = stage.one("broken");
    assert_eq!((broken.string("because"), broken.string("holder.life")), ("dead", "dead"));
    assert_eq!(broken.fields["holder.pid"], Value::Number(holder.pid().into()));
    assert!(broken.number("holder.lease_secs") > 1800.0, "its lease would have run for long");
}

#[test]
fn a_break_on_request_is_reported() {
    let stage = Stage::new();
    lock_like_flufl(&stage.path, SystemTime::now() + HOUR);
    assert!(stage.lock().break_if(|_| false).unwrap().is_none());
    stage.assert_told(&[]);
    stage.lock().break_if(|_| true).unwrap().unwrap();
    stage.assert_told(&["WARN broken"]);
    assert_eq!(stage.one("broken").string("because"), "requested");
}

#[test]
fn the_removal_of_another_file_on_request_is_reported() {
    let stage = Stage::new();
    fs::write(&stage.path, "no lock").unwrap();
    stage.lock().break_file_if(|_, _| true).unwrap().unwrap();
    stage.assert_told(&["WARN broken"]);
    let broken = stage.one("broken");
    assert_eq!((broken.string("because"), broken.string("holder.kind")), ("requested", "no_lock"));
}

/// When its time is read for the nth time, it lets another process break the lock.
#[derive(Debug)]
struct Meddler {
    asked: AtomicU32,
    moment: u32,
    path: PathBuf,
}

impl Clock for Meddler {
    fn now(&self) -> Duration {
        if self.asked.fetch_add(1, Ordering::Relaxed) == self.moment {
            let is_stale = |holder: &Holder| holder.host() == "elsewhere";
            let _ = Lock::new(&self.path).unwrap().break_if(is_stale).unwrap();
        }
        SystemClock.now()
    }

    fn wall(&self) -> SystemTime {
        SystemClock.wall()
    }

    fn sleep(&self, time: Duration) {
        SystemClock.sleep(time);
    }
}

/// Whatever happens between the first observation and the seat, one of the two breaks the lock.
#[test]
fn a_break_by_a_faster_process_is_reported() {
    let mut outrun = 0;
    for moment in 0..30 {
        let stage = Stage::new();
        lock_like_flufl(&stage.path, long_ago());
        let (asked, path) = (AtomicU32::new(0), stage.path.clone());
        let clock = Arc::new(Meddler { asked, moment, path });
        drop(Lock::options(&stage.path).clock(clock).build().unwrap().lock().unwrap());
        stage.one("broken");
        outrun += stage.all("ended_by_another").len();
    }
    assert!(outrun > 0, "at none of these moments");
}

#[test]
fn a_stale_lock_that_may_not_be_removed_is_reported() {
    let test = this_test!();
    let Some(dir) = arrived() else {
        let stage = Stage::new();
        lock_like_flufl(&stage.path, long_ago());
        open_to_all(stage.dir(), 0o1000);
        return go_as_ordinary_user(test, stage.dir());
    };
    capture::listen();
    let path = dir.join("lock");
    let lock = Lock::new(&path).unwrap();
    lock.try_lock_for(Duration::from_millis(100)).unwrap_err();
    let events = capture::events(&dir);
    let told = capture::names(&events);
    assert_eq!(told, ["WARN cannot_break", "DEBUG waiting", "DEBUG timed_out"], "once");
    assert_eq!(events[0].string("holder.host"), "elsewhere");
    assert!(events[0].string("error").contains("not permitted"), "{:?}", events[0]);
    lock.try_lock().unwrap_err();
    let told = capture::names(&capture::events(&dir)[3..]);
    assert_eq!(told, ["WARN cannot_break", "DEBUG held"], "also when the contender tries again");
}

#[test]
fn each_swept_file_is_reported() {
    let stage = Stage::new();
    let orphan = claim_like_flufl(&stage.path, "elsewhere|1|2", long_ago());
    stage.lock().lock().unwrap().unlock().unwrap();
    stage.assert_told(&["DEBUG swept_file", "INFO swept", "DEBUG acquired", "DEBUG released"]);
    assert_eq!(stage.one("swept_file").string("file"), orphan.to_str().unwrap());
    assert_eq!(stage.one("swept").fields["files"], Value::Number(1.0));
    assert!(!orphan.exists());
    assert_eq!(stage.lock().sweep().unwrap().len(), 0);
    assert_eq!(stage.all("swept").len(), 1, "no event for nothing");
}

#[test]
fn a_file_that_could_not_be_removed_is_reported() {
    let stage = Stage::new();
    let dir = stage.dir().join("moved");
    fs::create_dir(&dir).unwrap();
    let path = dir.join("lock");
    let theirs = lock_like_flufl(&path, SystemTime::now() + HOUR);
    let (moved, away) = (dir.clone(), stage.dir().join("away"));
    let clock = ActingClock::new(move |sleeps| {
        if sleeps == 3 {
            fs::rename(&moved, &away).unwrap();
            symlink(&moved, &moved).unwrap(); // the path leads round in circles
        }
    });
    Lock::options(&path).clock(clock).build().unwrap().lock().unwrap_err();
    stage.assert_told(&["DEBUG waiting", "WARN left_behind", "DEBUG failed"]);
    let left = stage.one("left_behind");
    let own = beside(&stage.dir().join("away/lock"));
    let own = own.iter().find(|claim| claim.file_name() != theirs.file_name()).unwrap();
    assert!(left.string("file").ends_with(own.file_name().unwrap().to_str().unwrap()), "{left:?}");
    assert!(left.string("error").contains("symbolic links"), "{left:?}");
}

#[test]
fn a_failed_release_is_reported() {
    let stage = Stage::new();
    let dir = stage.dir().join("moved");
    fs::create_dir(&dir).unwrap();
    let guard = Lock::new(dir.join("lock")).unwrap().lock().unwrap();
    fs::rename(&dir, stage.dir().join("away")).unwrap();
    symlink(&dir, &dir).unwrap();
    drop(guard);
    stage.assert_told(&["DEBUG acquired", "ERROR not_released"]);
    assert!(stage.one("not_released").string("error").contains("symbolic links"));
}
