//! One run of the crowd: its directory and its processes.
//!
//! | name | what it is |
//! |---|---|
//! | `shared/lock` | the lock |
//! | `journal` | see `journal.rs` |
//! | `witness` | made by the holder of the lock, for as long as it holds it |
//! | `stop` | tells everybody to end |
//! | `taken.PID` | a lock file that flufl.lock has just removed |

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use linklock::Lock;
use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::journal::Journal;
use crate::kit::again::this_program;
use crate::peers::scene::age;

const EACH: usize = 8;
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/exclusion/peers/crowd/worker.py");
/// What no run takes, however loaded the machine is.
const LIMIT: Duration = Duration::from_secs(180);

/// Whether those with flufl.lock break what has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breaking {
    Stock,
    Never,
}

#[derive(Debug)]
pub(crate) struct Run {
    dir: TempDir,
    deadline: Instant,
}

/// The places of a run, by its directory.
#[derive(Debug)]
pub(crate) struct Places(PathBuf);

impl Places {
    pub(crate) fn of(run: impl Into<PathBuf>) -> Places {
        Places(run.into())
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.0.join("shared/lock")
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    pub(crate) fn witness(&self) -> PathBuf {
        self.0.join("witness")
    }

    pub(crate) fn stop(&self) -> PathBuf {
        self.0.join("stop")
    }
}

impl Run {
    pub(crate) fn new() -> Run {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::create_dir(dir.path().join("shared")).unwrap();
        fs::write(dir.path().join("journal"), "").unwrap();
        Run { dir, deadline: Instant::now() + LIMIT }
    }

    fn places(&self) -> Places {
        Places::of(self.dir.path())
    }

    /// Has everybody lock and unlock until so many locks were abandoned.
    pub(crate) fn until_abandoned(
        &self,
        enough: usize,
        python: &Path,
        breaking: Breaking,
    ) -> Journal {
        thread::scope(|scope| {
            for _ in 0..EACH {
                scope.spawn(|| self.keep_ours_running());
                scope.spawn(|| self.run_flufl(python, breaking));
            }
            while self.read_journal().matches(" abandoned ").count() < enough && !self.is_over() {
                thread::sleep(Duration::from_millis(20));
            }
            self.stop();
        });
        assert!(Instant::now() < self.deadline, "too little happened within {LIMIT:?}");
        Journal::parse(&self.read_journal())
    }

    fn read_journal(&self) -> String {
        fs::read_to_string(self.places().journal()).unwrap()
    }

    /// Saves the journal from being removed with the rest, for a person to look into it.
    pub(crate) fn keep(&self) -> String {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("crowd.journal");
        fs::copy(self.places().journal(), &kept).unwrap();
        kept.display().to_string()
    }

    fn stop(&self) {
        fs::write(self.places().stop(), "").unwrap();
    }

    fn is_over(&self) -> bool {
        self.places().stop().exists() || Instant::now() >= self.deadline
    }

    /// A process with linklock, and another when that has been killed.
    fn keep_ours_running(&self) {
        let _stop = StopOnPanic(self);
        while !self.is_over() {
            let mut worker = this_program("worker");
            let (pid, status) = self.wait_for(worker.env(super::worker::RUN, self.dir.path()));
            let killed = status.signal() == Some(Signal::SIGKILL as i32);
            assert!(status.success() || killed, "{status}");
            self.remove_witness_of(pid);
        }
    }

    /// Several processes with flufl.lock, one after the other: each is forked from this one.
    fn run_flufl(&self, python: &Path, breaking: Breaking) {
        let _stop = StopOnPanic(self);
        let mut worker = Command::new(python);
        worker.arg(SCRIPT).arg(self.dir.path());
        if breaking == Breaking::Never {
            worker.arg("--break-nothing");
        }
        let (_, status) = self.wait_for(&mut worker);
        assert!(status.success(), "{status}");
    }

    fn wait_for(&self, command: &mut Command) -> (u32, ExitStatus) {
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return (child.id(), status);
            }
            if Instant::now() > self.deadline + Duration::from_secs(10) {
                child.kill().unwrap();
                panic!("{command:?} does not stop");
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// A killed process can't do so itself.
    fn remove_witness_of(&self, pid: u32) {
        let witness = self.places().witness();
        let whose = fs::read_link(&witness).map(PathBuf::into_os_string).unwrap_or_default();
        if whose.to_string_lossy().contains(&format!("|{pid}|")) {
            fs::remove_file(witness).unwrap();
        }
    }

    /// Takes the lock over from the last one to abandon it, and sweeps an hour later.
    pub(crate) fn assert_nothing_is_left(&self) {
        let lock = Lock::options(self.places().lock()).build().unwrap();
        lock.lock().unwrap().unlock().unwrap();
        for file in self.shared_files() {
            age(&file).unwrap();
        }
        lock.sweep().unwrap();
        assert_eq!(self.shared_files(), Vec::<PathBuf>::new());
    }

    fn shared_files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.path().join("shared")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

/// Lets nobody go on when one has failed.
struct StopOnPanic<'a>(&'a Run);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop();
        }
    }
}
