//! What an uncontended lock costs, beside the floor and beside flufl.lock, in one run:
//!
//! - the seven bare system calls that a lock of this kind takes: open, write, utimensat, close,
//!   link, unlink, unlink;
//! - linklock, one handle, lock and unlock;
//! - Python's flufl.lock, where there is one: `LINKLOCK_PYTHON` says which Python has it.
//!
//! Each takes its turn in every round, so that whatever else the machine does hits all of them.
//! `cargo bench --bench uncontended`
#![cfg(unix)]

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use linklock::Lock;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;

const ROUNDS: usize = 50;
const TURNS: usize = 100; // in each round

fn main() {
    // `cargo test --benches` only wants to see it run.
    let rounds = if env::args().any(|arg| arg == "--bench") { ROUNDS } else { 1 };
    for parent in [Path::new(env!("CARGO_TARGET_TMPDIR")), Path::new("/dev/shm")] {
        match tempfile::tempdir_in(parent) {
            Ok(dir) => measure(parent, dir.path(), rounds),
            Err(error) => println!("SKIPPED: {}: {error}", parent.display()),
        }
    }
}

fn measure(parent: &Path, dir: &Path, rounds: usize) {
    let bare = Bare::new(dir);
    let lock = Lock::new(dir.join("linklock.lock")).expect("a lock");
    let mut flufl = Flufl::start(&dir.join("flufl.lock"));
    let mut times: [Vec<Duration>; 3] = Default::default();
    for _ in 0..rounds {
        times[0].extend((0..TURNS).map(|_| timed(|| bare.turn())));
        times[1].extend((0..TURNS).map(|_| {
            timed(|| lock.lock().and_then(linklock::LockGuard::unlock).expect("nobody else has it"))
        }));
        if let Some(flufl) = &mut flufl {
            times[2].extend(flufl.turns());
        }
    }
    println!("{}: p50 of {} turns", parent.display(), rounds * TURNS);
    let names = ["the seven system calls", "linklock", "flufl.lock"];
    let medians = times.map(median);
    let floor = medians[0].expect("it was measured").as_secs_f64();
    for (name, median) in names.into_iter().zip(medians) {
        if let Some(median) = median {
            println!("  {name:24} {median:8.1?} {:6.2} x", median.as_secs_f64() / floor);
        }
    }
}

fn timed(turn: impl FnOnce()) -> Duration {
    let began = Instant::now();
    turn();
    began.elapsed()
}

fn median(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

/// The floor: nothing is checked, and nothing made up that could be.
struct Bare {
    lock: PathBuf,
    claim: PathBuf,
    content: Vec<u8>,
    time: TimeSpec,
}

impl Bare {
    fn new(dir: &Path) -> Bare {
        let claim = dir.join("bare.lock|host.example.org|12345|1234567890123456789");
        let content = claim.as_os_str().as_encoded_bytes().to_vec();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        Bare { lock: dir.join("bare.lock"), claim, content, time: TimeSpec::from_duration(now) }
    }

    fn turn(&self) {
        let follow = UtimensatFlags::NoFollowSymlink;
        let mut file =
            OpenOptions::new().write(true).create_new(true).open(&self.claim).expect("open");
        file.write_all(&self.content).expect("write");
        utimensat(AT_FDCWD, &self.claim, &self.time, &self.time, follow).expect("utimensat");
        drop(file);
        fs::hard_link(&self.claim, &self.lock).expect("link");
        fs::remove_file(&self.lock).expect("unlink");
        fs::remove_file(&self.claim).expect("unlink");
    }
}

/// flufl.lock in a Python of its own, which measures itself whenever it is sent a number.
struct Flufl {
    python: Child,
    answers: BufReader<ChildStdout>,
}

impl Flufl {
    const PROGRAM: &str = "
import sys, time
from flufl.lock import Lock
lock = Lock(sys.argv[1])
print(flush=True)
for line in sys.stdin:
    times = []
    for turn in range(int(line)):
        began = time.perf_counter_ns()
        lock.lock()
        lock.unlock()
        times.append(time.perf_counter_ns() - began)
    print(*times, flush=True)
";

    fn start(lock: &Path) -> Option<Flufl> {
        let python = env::var_os("LINKLOCK_PYTHON").unwrap_or_else(|| "python3".into());
        let started = Command::new(&python)
            .args(["-c", Flufl::PROGRAM])
            .arg(lock)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let flufl = started.ok().and_then(|mut python| {
            let answers = BufReader::new(python.stdout.take()?);
            let mut flufl = Flufl { python, answers };
            flufl.answer().map(|_| flufl)
        });
        if flufl.is_none() {
            println!("SKIPPED: flufl.lock: {} does not have it", python.to_string_lossy());
        }
        flufl
    }

    fn turns(&mut self) -> Vec<Duration> {
        let stdin = self.python.stdin.as_mut().expect("it is piped");
        writeln!(stdin, "{TURNS}").expect("Python listens");
        let answer = self.answer().expect("Python answers");
        let times = answer.split_whitespace().map(|time| time.parse().expect("nanoseconds"));
        times.map(Duration::from_nanos).collect()
    }

    fn answer(&mut self) -> Option<String> {
        let mut line = String::new();
        let length = self.answers.read_line(&mut line).ok()?;
        (length > 0).then_some(line)
    }
}

impl Drop for Flufl {
    fn drop(&mut self) {
        drop(self.python.stdin.take()); // ends its loop
        let _ = self.python.wait();
    }
}
