//! Processes with linklock, some of them in Python, and with flufl.lock on one lock, many of which die
//! while they hold it: do any hold it at the same time, and if so, by whose fault?
//!
//! Stock flufl.lock can't be kept from removing a live lock: it breaks a lock by name, however long ago it
//! judged it to be stale. So its removals are written down in such a way that each overlap can be attributed
//! to them; the test fails at one overlap that can't. It also fails if a holder with linklock that was robbed
//! in time doesn't learn of it. And where flufl.lock breaks nothing, there must be no overlap.

mod verdict;
pub(crate) mod worker;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use linklock::Lock;
use tempfile::TempDir;

use super::scene::age;
use crate::kit::again::this_program;
use crate::kit::python::{python, python_with_package};
use crate::kit::say::say;
use crate::support::exclusion_checker::ExclusionChecker;
use crate::support::witness::Rule;
use crate::support::workdir::{self, Workdir};
use crate::support::workers;
use verdict::Verdict;

/// How many processes of each kind, if there are two.
const EACH: usize = 8;
/// How many locks that were left behind by their holders are taken over in one test.
const BREAKS: usize = 300;
/// For how long a process with linklock lives at most.
const LIFE: Duration = Duration::from_secs(2);
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/exclusion/peers/crowd/worker.py");

/// Each face of the Python package.
const PACKAGE: [&str; 2] = ["--package=Lock", "--package=flufl"];

#[test]
fn every_overlap_is_a_mistake_of_flufl() {
    let Some(python) = python() else { return };
    assert_overlaps_are_mistakes("flufl.lock as it is", python, EACH, &[""]);
}

/// Rust, both faces of the Python package, and flufl.lock.
#[test]
fn every_overlap_is_a_mistake_of_flufl_with_the_python_package_too() {
    let Some(python) = python_with_package() else { return };
    let crowd = [PACKAGE[0], PACKAGE[1], ""];
    assert_overlaps_are_mistakes("the package, and flufl.lock as it is", python, EACH / 2, &crowd);
}

#[test]
fn nothing_overlaps_where_flufl_breaks_nothing() {
    let Some(python) = python() else { return };
    assert_nothing_overlaps("flufl.lock that breaks nothing", python, EACH, &["--break-nothing"]);
}

#[test]
fn nothing_overlaps_with_the_python_package() {
    let Some(python) = python_with_package() else { return };
    let crowd = [PACKAGE[0], PACKAGE[1], "--break-nothing"];
    assert_nothing_overlaps("the package", python, EACH / 2, &crowd);
}

fn assert_overlaps_are_mistakes(what: &str, python: &Path, each: usize, crowd: &[&str]) {
    let dir = workdir::temporary();
    let (checker, verdict) = contend(what, &dir, python, each, crowd);
    assert!(
        verdict.unexplained.is_empty(),
        "{:#?}, see {}",
        verdict.unexplained,
        keep(dir).display()
    );
    assert!(verdict.unnoticed.is_empty(), "{:#?}, see {}", verdict.unnoticed, keep(dir).display());
    assert!(!checker.removals.is_empty(), "flufl.lock has never had to break a lock");
    // What was in the wake of a break can't be known for sure, but it should be rare.
    let in_the_wake = verdict.in_the_wake.overlaps + verdict.in_the_wake.losses;
    assert!(in_the_wake <= checker.removals.len() / 10, "see {}", keep(dir).display());
}

fn assert_nothing_overlaps(what: &str, python: &Path, each: usize, crowd: &[&str]) {
    let dir = workdir::temporary();
    let (checker, verdict) = contend(what, &dir, python, each, crowd);
    assert_eq!(checker.removals, [], "flufl.lock removed a lock that was not its own");
    assert_eq!(checker.wedged, 0, "waiters have lost their claims");
    assert_eq!(verdict, Verdict::default(), "see {}", keep(dir).display());
    let ours = verdict::ours(&checker).count();
    assert!((1..checker.tenures.len()).contains(&ours), "{ours}: one of the two never held it");
    assert_nothing_is_left(&Workdir::at(dir.path()));
}

/// Has so many of each kind lock and unlock until enough locks were left behind.
fn contend(
    what: &str,
    dir: &TempDir,
    python: &Path,
    each: usize,
    crowd: &[&str],
) -> (ExclusionChecker, Verdict) {
    let job = |place| {
        if place < each {
            let mut ours = this_program("worker");
            ours.env(worker::CROWD, "");
            return (ours, Some(LIFE));
        }
        let mut other = Command::new(python);
        other.arg(SCRIPT).arg(crowd[place / each - 1]);
        (other, None) // each of its children dies by itself
    };
    let done = |so_far: &ExclusionChecker| so_far.breaks() >= BREAKS || !so_far.failures.is_empty();
    let workdir = Workdir::at(dir.path());
    let (checker, killed) =
        workers::run(&workdir, Rule::LeaseOrLife, (1 + crowd.len()) * each, job, done);
    let verdict = Verdict::on(&checker);
    say(&format!("crowd, {what}: {}; {verdict}", verdict::summary(&checker, killed)));
    assert_eq!(checker.failures, [""; 0]);
    assert!(checker.breaks() >= BREAKS, "only {} locks were left behind", checker.breaks());
    (checker, verdict)
}

/// Saves the histories from being removed, for a person to look into them.
fn keep(dir: TempDir) -> PathBuf {
    let path = dir.path().to_owned();
    std::mem::forget(dir);
    path
}

/// Takes the lock over from the last one to abandon it, and sweeps an hour later.
fn assert_nothing_is_left(workdir: &Workdir) {
    let lock = Lock::options(workdir.lock(0)).build().unwrap();
    lock.lock().unwrap().unlock().unwrap();
    for file in workdir.files_of(0) {
        age(&file).unwrap();
    }
    lock.sweep().unwrap();
    assert_eq!(workdir.files_of(0), Vec::<PathBuf>::new());
}
