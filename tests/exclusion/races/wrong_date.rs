//! The same with a date that is wrong for the whole process, by a library that is loaded before the
//! system's.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use linklock::{Error, Lock};

use crate::kit::again::this_program;
use crate::kit::clock::now;
use crate::kit::skip;
use crate::kit::wait::LIMIT;
use crate::support::flufl::{FluflError, FluflLock};

const TASK: &str = "LINKLOCK_TEST_TASK";
const LOCK: &str = "LINKLOCK_TEST_LOCK";
const DATE: &str = "LINKLOCK_TEST_DATE";
const SHIM: &str = "SHIM_SECONDS";

/// A keep-alive may be this late: a busy machine must not lose the lock.
const LIFETIME: Duration = Duration::from_millis(1500);
const SLOP: Duration = Duration::from_millis(1500);
/// The greatest inaccuracy of a kernel's file times, by which a lease may seem to end early. (A
/// tick; many if a virtual machine's processors stand still.)
const TICK: Duration = Duration::from_millis(500);
const POLLING: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(5));

#[test]
fn a_process_with_a_wrong_date_breaks_no_live_lock() {
    let Some(shim) = Shim::build() else { return };
    on_both_dates(|seconds| {
        let lock = shim.dir.path().join(format!("live{seconds}.lock"));
        let guard = options(&lock, "holder").build().unwrap().lock().unwrap();
        guard.keep_alive(|why| panic!("{why}")).unwrap();
        shim.run("wait in vain", &lock, seconds);
        guard.unlock().unwrap();
    });
}

#[test]
fn a_process_with_a_wrong_date_takes_a_dead_lock_on_time() {
    let Some(shim) = Shim::build() else { return };
    on_both_dates(|seconds| {
        let lock = shim.dir.path().join(format!("dead{seconds}.lock"));
        let guard = options(&lock, "holder").build().unwrap().lock().unwrap();
        let asked = now();
        let lease_ends = asked + guard.remaining();
        std::mem::forget(guard);
        shim.run("take", &lock, seconds);
        let late = (now() + TICK).checked_sub(lease_ends + SLOP);
        assert!(late.is_some_and(|late| late < LIMIT), "{late:?}");
    });
}

/// An hour ahead and an hour behind, at the same time: both mostly wait.
fn on_both_dates(test: impl Fn(i64) + Sync) {
    std::thread::scope(|scope| {
        for seconds in [3600, -3600] {
            let test = &test;
            scope.spawn(move || test(seconds));
        }
    });
}

/// The control: flufl.lock breaks a live lock, which shows that the date is wrong where it matters.
#[test]
fn under_flufl_locks_protocol_a_live_lock_is_broken() {
    let Some(shim) = Shim::build() else { return };
    let lock = shim.dir.path().join("flufl.lock");
    let (lifetime, slop) = (Duration::from_secs(15), Duration::from_secs(10));
    let mut holder = FluflLock::new(&lock, lifetime, slop, POLLING);
    holder.lock(LIMIT).unwrap();
    shim.run("take by flufl.lock's protocol", &lock, 3600);
    assert!(now() < holder.lease_ends(), "it was in time");
    assert!(matches!(holder.unlock(), Err(FluflError::NotLocked)));
}

fn options(lock: &Path, host: &str) -> linklock::LockOptions {
    let options = Lock::options(lock).host_name(host).lifetime(LIFETIME).clock_slop(SLOP);
    options.polling(POLLING.0, POLLING.1)
}

/// The side of the process with the wrong date.
pub(crate) fn contend() {
    let Ok(task) = env::var(TASK) else { return };
    let lock = PathBuf::from(env::var_os(LOCK).expect("a lock"));
    assert_the_date_is_wrong();
    let contender = options(&lock, "contender").build().unwrap();
    match task.as_str() {
        "wait in vain" => {
            assert!(matches!(contender.try_lock(), Err(Error::Held { .. })));
            let waited = contender.try_lock_for(2 * (LIFETIME + SLOP));
            assert!(matches!(waited, Err(Error::TimedOut { .. })), "{waited:?}");
        }
        "take" => contender.try_lock_for(LIMIT).unwrap().unlock().unwrap(),
        "take by flufl.lock's protocol" => {
            let (lifetime, slop) = (Duration::from_secs(15), Duration::from_secs(10));
            let mut contender = FluflLock::new(&lock, lifetime, slop, POLLING);
            contender.lock(LIMIT).unwrap();
            contender.unlock().unwrap();
        }
        task => panic!("unknown task {task:?}"),
    }
}

/// A shim that does not work would make these tests worthless.
fn assert_the_date_is_wrong() {
    let number = |name| env::var(name).unwrap().parse::<i64>().unwrap();
    let away = seconds_since_1970() - number(DATE) - number(SHIM);
    assert!(away.abs() < 60, "the date is {away} s from what it should be");
}

fn seconds_since_1970() -> i64 {
    let date = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(date.as_secs()).unwrap()
}

/// The library, and the directory in which it is.
struct Shim {
    dir: tempfile::TempDir,
    library: PathBuf,
}

impl Shim {
    /// `None` without a C compiler, which CI must have.
    fn build() -> Option<Shim> {
        let dir = tempfile::tempdir().unwrap();
        let library = dir.path().join("wrong_date.so");
        let source =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exclusion/races/wrong_date.c");
        let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
        let mut command = Command::new(&compiler);
        command
            .args(["-shared", "-fPIC", "-O", "-Wall", "-Werror", "-o"])
            .arg(&library)
            .arg(source);
        match command.status() {
            Ok(status) => {
                assert!(status.success(), "{} failed: {status}", compiler.to_string_lossy());
                Some(Shim { dir, library })
            }
            Err(error) => {
                let reason = format!("no C compiler {}: {error}", compiler.to_string_lossy());
                skip("a process with a wrong date", &reason);
                None
            }
        }
    }

    /// Runs a task in a process whose date is wrong by so many seconds.
    fn run(&self, task: &str, lock: &Path, seconds: i64) {
        let output = this_program("worker")
            .env("LD_PRELOAD", &self.library)
            .env(SHIM, seconds.to_string())
            .env(DATE, seconds_since_1970().to_string())
            .env(TASK, task)
            .env(LOCK, lock)
            .output()
            .unwrap();
        let (said, status) = (String::from_utf8_lossy(&output.stderr), output.status);
        assert!(status.success(), "{seconds} s: {task}: {status}\n{said}");
    }
}
