//! What is tried on each file system.

use std::fmt;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use linklock::{Error, Holder, Lock, LockOptions, Owner, StalePolicy};

use crate::kit::wait::LIMIT;
use crate::kit::worker::{Job, Worker, command};
use crate::kit::{names, wait_until};
use crate::scene::{Mount, linklock};
use crate::support::remains::assert_nothing_is_left;
use crate::support::setup::{Mishaps, Protocol, Setup, Shape};
use crate::support::workdir::Workdir;
use crate::support::workers;

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Processes contend, and some are killed while they hold the lock. Lease and slop are short, since on
/// a file system that may be shared a dead holder's lock is left alone for the slop, and its claim is
/// swept when the lease is over.
pub(crate) const PLAIN: Setup = Setup {
    name: "plain",
    protocol: Protocol::Linklock(StalePolicy::ExpiredOrDead),
    processes: 4,
    locks: 1,
    shape: Shape::Locks,
    hosts_of_their_own: false,
    keep_claim: false,
    fencing: false,
    lifetime: Duration::from_secs(3),
    slop: Duration::from_secs(1),
    polling: (ms(1), ms(5)),
    hold: (ms(0), ms(4)),
    rest: ms(5),
    mishaps: Mishaps { killed_holding: 0.04, stalled: 0.0, killed_breaking: 0.0, life: None },
};
pub(crate) const KEPT: Setup = Setup { name: "kept", keep_claim: true, ..PLAIN };
pub(crate) const FENCED: Setup = Setup { name: "fenced", fencing: true, ..PLAIN };
pub(crate) const SLOTS: Setup = Setup { name: "slots", shape: Shape::Slots(2), ..PLAIN };
pub(crate) const READERS: Setup = Setup { name: "readers", shape: Shape::RwLocks, ..PLAIN };
pub(crate) const SETUPS: [&Setup; 5] = [&PLAIN, &KEPT, &FENCED, &SLOTS, &READERS];

/// Where processes contend for slots, and as readers and writers, too. These are made of locks, so the
/// file systems that differ in what a lock finds there are enough.
const WITH_ALL_SETUPS: &[&str] = &[
    "tmpfs",
    "ext4",
    "bindfs",
    "encfs",
    "fuse2fs",
    "gocryptfs",
    "rounds dates to two seconds",
    "cuts the date of a renamed file to whole seconds",
];

fn setups(mount: &Mount) -> &'static [&'static Setup] {
    if WITH_ALL_SETUPS.contains(&mount.name) { &SETUPS } else { &SETUPS[..3] }
}

/// How many tenures and breaks of one contention are enough.
const TENURES: usize = 60;
const BREAKS: usize = 1;

/// How soon a lock is refused, however long its caller would wait.
const AT_ONCE: Duration = Duration::from_secs(20);

/// What came of it.
pub(crate) enum Outcome {
    Works {
        /// For the acquisition and release of one lock.
        median: Duration,
        /// The time from a holder's death until a waiter on its host has the lock.
        after_death: Duration,
        tenures: usize,
        breaks: usize,
    },
    /// The error.
    Refused(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Works { median, after_death, tenures, breaks } => write!(
                f,
                "works; {median:.1?} to acquire and release, {after_death:.1?} after a holder's \
                 death; {tenures} tenures, {breaks} breaks"
            ),
            Outcome::Refused(error) => write!(f, "refused: {error}"),
        }
    }
}

/// Tries everything on the file system that is mounted on `mnt` in this directory. What fails is not
/// only refused: it is refused before the lock is held, by an error that says why, and leaves nothing.
pub(crate) fn run(mount: &Mount, dir: &Path) -> Outcome {
    let mounted = dir.join("mnt");
    let outcome = match Lock::new(mounted.join("x.lock")).unwrap().try_lock_for(LIMIT) {
        Ok(guard) => {
            guard.unlock().unwrap();
            assert_nothing_in(&mounted);
            works(mount, dir, &mounted)
        }
        Err(error) => {
            assert!(names(&mounted).is_empty(), "{error:?} has left {:?}", names(&mounted));
            Outcome::Refused(refused(&mounted))
        }
    };
    doctor_agrees(&mounted, &outcome);
    outcome
}

#[track_caller]
fn assert_nothing_in(dir: &Path) {
    assert!(names(dir).is_empty(), "left behind: {:?}", names(dir));
}

// ---- refused ----

/// The error by which the library and the command refuse a lock, again and again.
fn refused(mounted: &Path) -> String {
    let path = mounted.join("x.lock");
    let mut said = String::new();
    for _ in 0..2 {
        let begun = Instant::now();
        let error = Lock::new(&path).unwrap().try_lock_for(LIMIT).unwrap_err();
        assert!(begun.elapsed() < AT_ONCE, "{error}");
        let is_refusal =
            matches!(error, Error::NoHardLinks { .. } | Error::UnsupportedFileSystem { .. });
        assert!(is_refusal, "{error:?}");
        said = error.to_string();
        assert_names_the_mount(&said, mounted);
        assert_nothing_in(mounted);
    }
    let begun = Instant::now();
    let output = linklock().args(["run", "-t", "60s"]).arg(&path).args(["--", "true"]).output();
    let output = output.unwrap();
    assert!(begun.elapsed() < AT_ONCE, "{output:?}");
    assert_eq!(output.status.code(), Some(73), "{output:?}");
    assert_names_the_mount(&String::from_utf8_lossy(&output.stderr), mounted);
    assert_nothing_in(mounted);
    said
}

/// Where it is mounted, and what to do.
#[track_caller]
fn assert_names_the_mount(error: &str, mounted: &Path) {
    for part in [&*format!(" on {}", mounted.display()), ": use a directory on"] {
        let may_differ = error.contains("shorter name") || error.contains("separator");
        assert!(error.contains(part) || may_differ, "no {part:?} in: {error}");
    }
}

// ---- what the doctor says ----

fn doctor_agrees(mounted: &Path, outcome: &Outcome) {
    let output: Output = linklock().arg("doctor").arg(mounted).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    match outcome {
        Outcome::Works { .. } => assert_eq!(output.status.code(), Some(0), "{said}"),
        Outcome::Refused(error) => {
            assert_eq!(output.status.code(), Some(69), "{said}");
            // What follows the mount point, up to a name or a figure, which differ.
            let point = format!(" on {} ", mounted.display());
            let reason = error.split_once(&point).map_or(&**error, |(_, reason)| reason);
            let reason = reason.split(['"', '(']).next().unwrap();
            assert!(said.contains(reason), "not {reason:?} by the doctor:\n{said}");
        }
    }
    assert_nothing_in(mounted);
}

// ---- works ----

fn works(mount: &Mount, dir: &Path, mounted: &Path) -> Outcome {
    let place = |name: &str| {
        let place = mounted.join(name);
        fs::create_dir(&place).unwrap();
        place
    };
    let median = hundred_acquisitions(&place("hundred"));
    long_names(&place("names"));
    spellings(&place("spellings"));
    let [alive, expired, dead, long] = ["alive", "expired", "dead", "long"].map(place);
    let (figures, after_death) = thread::scope(|scope| {
        scope.spawn(|| a_live_holder_keeps_the_lock(&alive));
        scope.spawn(|| an_expired_lock_is_taken_over(&expired));
        scope.spawn(|| a_long_lease_is_respected(&long));
        let after_death = scope.spawn(|| a_dead_holder_is_noticed(&dead));
        let contend = |setup: &&_| contention(setup, mount, dir, &place(setup.name));
        let figures: Vec<_> = setups(mount).iter().map(contend).collect();
        (figures, after_death.join().unwrap())
    });
    for name in names(mounted) {
        let place = mounted.join(name);
        remove_fence(&place);
        fs::remove_dir(&place).unwrap_or_else(|error| panic!("{error}: {:?}", names(&place)));
    }
    Outcome::Works {
        median,
        after_death,
        tenures: figures.iter().map(|it| it.0).sum(),
        breaks: figures.iter().map(|it| it.1).sum(),
    }
}

/// The counter of fencing tokens stays, as it must.
fn remove_fence(place: &Path) {
    let fence = place.join("lock.fence");
    if fence.exists() {
        for counter in names(&fence) {
            fs::remove_file(fence.join(counter)).unwrap();
        }
        fs::remove_dir(fence).unwrap();
    }
}

/// The median of the time that each takes.
fn hundred_acquisitions(dir: &Path) -> Duration {
    let mut times = Vec::new();
    for options in
        [Lock::options(dir.join("x.lock")), Lock::options(dir.join("y.lock")).keep_claim(true)]
    {
        let lock = options.build().unwrap();
        for _ in 0..50 {
            let begun = Instant::now();
            let guard = lock.try_lock_for(LIMIT).unwrap();
            guard.refresh().unwrap();
            guard.verify().unwrap();
            guard.unlock().unwrap();
            times.push(begun.elapsed());
        }
    }
    assert_nothing_in(dir);
    times.sort();
    times[times.len() / 2]
}

/// A lock with a name of any length is released, or is refused before it is held.
fn long_names(dir: &Path) {
    for length in (20..=255).step_by(5) {
        let lock = Lock::options(dir.join("n".repeat(length))).host_name("vm").build();
        let Ok(lock) = lock else { continue };
        match lock.try_lock_for(LIMIT) {
            Ok(guard) => guard.unlock().unwrap(),
            Err(Error::UnsupportedFileSystem { .. }) => {}
            Err(error) => panic!("{length}: {error:?}"),
        }
        assert_nothing_in(dir);
    }
}

/// Where two spellings are one name, they are one lock.
fn spellings(dir: &Path) {
    let (one, other) = (dir.join("x.lock"), dir.join("X.Lock"));
    let guard = Lock::new(&one).unwrap().lock().unwrap();
    if other.exists() {
        let error = Lock::new(&other).unwrap().try_lock().unwrap_err();
        assert_eq!(error.holder().map(Holder::pid), Some(process::id()), "{error}");
    }
    guard.unlock().unwrap();
    Lock::new(&other).unwrap().try_lock_for(LIMIT).unwrap().unlock().unwrap();
    assert_nothing_in(dir);
}

/// Options for two hosts, one of which cannot prove the other's processes dead.
fn on_host(dir: &Path, host: &str) -> LockOptions {
    Lock::options(dir.join("x.lock")).host_name(host)
}

fn a_live_holder_keeps_the_lock(dir: &Path) {
    let (lifetime, slop) = (Duration::from_secs(3), Duration::from_secs(2));
    let lock = |host| on_host(dir, host).lifetime(lifetime).clock_slop(slop).build().unwrap();
    let guard = lock("one").lock().unwrap();
    guard.keep_alive(|error| panic!("{error}")).unwrap();
    let error = lock("two").try_lock_for(lifetime + slop + slop).unwrap_err();
    assert!(error.is_contention(), "{error}");
    guard.verify().unwrap();
    guard.unlock().unwrap();
    lock("two").try_lock_for(LIMIT).unwrap().unlock().unwrap();
    assert_nothing_in(dir);
}

/// ... by processes whose own leases are short.
fn a_long_lease_is_respected(dir: &Path) {
    let guard = on_host(dir, "one").lifetime(LIMIT).build().unwrap().lock().unwrap();
    let short = on_host(dir, "two").lifetime(ms(1000)).clock_slop(ms(500)).build().unwrap();
    let error = short.try_lock_for(Duration::from_secs(5)).map(drop).unwrap_err();
    assert!(error.is_contention(), "{error}");
    guard.verify().unwrap();
    guard.unlock().unwrap();
    assert_nothing_in(dir);
}

fn an_expired_lock_is_taken_over(dir: &Path) {
    let lock = |host| {
        let options = on_host(dir, host).lifetime(Duration::from_secs(1));
        options.clock_slop(ms(500)).build().unwrap()
    };
    let guard = lock("one").lock().unwrap();
    let (begun, remaining) = (Instant::now(), guard.remaining());
    guard.detach(Owner::Lease).unwrap();
    let guard = lock("two").try_lock_for(LIMIT).unwrap();
    assert!(begun.elapsed() >= remaining, "{:?} is too early", begun.elapsed());
    guard.unlock().unwrap();
    assert_nothing_in(dir);
}

/// Processes contend in this directory, and are killed. Counts tenures and breaks.
fn contention(setup: &Setup, mount: &Mount, dir: &Path, place: &Path) -> (usize, usize) {
    let root = dir.join(format!("{}-workdir", setup.name));
    fs::create_dir_all(root.join("locks")).unwrap();
    // Only the lock itself is on the file system: the rest is evidence.
    symlink(place, root.join("locks/0")).unwrap();
    let workdir = Workdir::at(&root);
    let figures = while_it_suffers(mount.nemesis, dir, || {
        workers::contend(setup, &workdir, |so_far| {
            so_far.tenures.len() >= TENURES && so_far.breaks() >= BREAKS
                || !so_far.failures.is_empty()
        })
    });
    assert!(figures.faults.is_empty(), "{}: {figures}: {:#?}", setup.name, figures.faults);
    assert!(figures.tenures >= TENURES, "{}: {figures}", setup.name);
    assert_nothing_is_left(setup, &workdir);
    (figures.tenures, figures.breaks)
}

/// Runs a script again and again while that work is done.
fn while_it_suffers<T>(nemesis: Option<&str>, dir: &Path, work: impl FnOnce() -> T) -> T {
    let is_done = AtomicBool::new(false);
    let suffer = |script: &str| {
        for turn in 0.. {
            let mut sh = Command::new("sh");
            sh.args(["-c", script]).current_dir(dir).env("TURN", turn.to_string());
            let output = sh.output().unwrap();
            assert!(output.status.success(), "{output:?}");
            if is_done.load(Ordering::Relaxed) {
                break;
            }
        }
    };
    thread::scope(|scope| {
        if let Some(script) = nemesis {
            scope.spawn(move || suffer(script));
        }
        let done = work();
        is_done.store(true, Ordering::Relaxed);
        done
    })
}

/// A waiter on the same host has the lock long before its lease ends. Says when.
fn a_dead_holder_is_noticed(dir: &Path) -> Duration {
    let path: PathBuf = dir.join("x.lock");
    let mut holder = Worker::holding(&path);
    let mut waiter = Worker::start(&mut command(Job::Wait, &path));
    assert_eq!(waiter.report().as_deref(), Some("waiting"));
    wait_until("the waiter has a claim", || names(dir).len() >= 3);
    let begun = Instant::now();
    holder.kill_and_reap();
    assert_eq!(waiter.report().as_deref(), Some("held")); // the lease is an hour
    let after_death = begun.elapsed();
    assert!(after_death < LIMIT, "only after {after_death:?}");
    waiter.finish();
    Lock::new(&path).unwrap().sweep().unwrap();
    assert_nothing_in(dir);
    after_death
}
