//! The workers: processes of this test's own program, started again as often as they are killed.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, sleep};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::kit::again::this_program;
use crate::kit::clock::now;
use crate::support::exclusion_checker::ExclusionChecker;
use crate::support::figures::Figures;
use crate::support::history::{History, Reader, Record};
use crate::support::setup::Setup;
use crate::support::witness::Rule;
use crate::support::workdir::Workdir;

/// The environment variables of a worker.
pub(crate) const SETUP: &str = "LINKLOCK_TEST_SETUP";
pub(crate) const WORKDIR: &str = "LINKLOCK_TEST_WORKDIR";
pub(crate) const PLACE: &str = "LINKLOCK_TEST_PLACE";

/// How often a process is checked, and how often the histories are read.
const A_MOMENT: Duration = Duration::from_millis(5);
const A_WHILE: Duration = Duration::from_millis(100);
/// Workers that record nothing for this long, or are not done this long after the signal to stop, hang.
const HUNG: Duration = Duration::from_secs(90);

/// What is to be done in a place: the program, and for how long it lives at most.
pub(crate) type Job = (Command, Option<Duration>);

/// Has the workers of a setup contend until `done`.
pub(crate) fn contend(
    setup: &Setup,
    workdir: &Workdir,
    done: impl Fn(&ExclusionChecker) -> bool,
) -> Figures {
    let job = |_| {
        let mut worker = this_program("worker");
        worker.env(SETUP, setup.name);
        (worker, setup.mishaps.life)
    };
    let (checker, killed) = run(workdir, setup.rule(), setup.processes, job, done);
    Figures::of(setup, checker, killed)
}

/// Keeps so many workers at work until `done`. Returns what they have written down, and how many were killed.
/// One group of workers at a time: they measure, and would take each other's processors.
pub(crate) fn run(
    workdir: &Workdir,
    rule: Rule,
    places: usize,
    job: impl Fn(usize) -> Job + Sync,
    done: impl Fn(&ExclusionChecker) -> bool,
) -> (ExclusionChecker, usize) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let paths: Vec<_> = (0..places).map(|place| workdir.history(place)).collect();
    let mut readers: Vec<Reader> = paths.iter().map(|path| Reader::open(path)).collect();
    let mut checker = ExclusionChecker::new(rule);
    let hung = AtomicBool::new(false);
    let workers = Workers { job, workdir, hung, killed: AtomicUsize::new(0) };
    thread::scope(|scope| {
        let workers = &workers;
        let places: Vec<_> =
            (0..places).map(|place| scope.spawn(move || workers.staff(place))).collect();
        let mut last_news = now();
        while now() < last_news + HUNG && !done(&checker) {
            sleep(A_WHILE);
            if read(&mut readers, &mut checker) {
                last_news = now();
            }
        }
        workdir.close();
        let closed = now();
        while places.iter().any(|place| !place.is_finished()) {
            sleep(A_MOMENT);
            workers.hung.store(now() > closed + HUNG, Ordering::Relaxed);
        }
    });
    read(&mut readers, &mut checker);
    (checker, workers.killed.into_inner())
}

/// Enters what is new in the histories; false if nothing is.
fn read(readers: &mut [Reader], checker: &mut ExclusionChecker) -> bool {
    let mut any = false;
    for (place, reader) in readers.iter_mut().enumerate() {
        for record in reader.new_records() {
            checker.enter(place, record);
            any = true;
        }
    }
    any
}

struct Workers<'a, J> {
    job: J,
    workdir: &'a Workdir,
    /// Whether the processes do not end by themselves.
    hung: AtomicBool,
    killed: AtomicUsize,
}

impl<J: Fn(usize) -> Job> Workers<'_, J> {
    /// Keeps a process at work in this place until the workdir is closed.
    fn staff(&self, place: usize) {
        while !self.workdir.is_closed() {
            let status = self.attend(place);
            if status.signal() == Some(Signal::SIGKILL as i32) {
                self.killed.fetch_add(1, Ordering::Relaxed);
            } else if !status.success() {
                self.fail(place, format!("a process ended with {status}"));
                return;
            }
        }
    }

    /// Starts a process and waits until it ends, or kills it when its time has come, whatever it is doing.
    fn attend(&self, place: usize) -> ExitStatus {
        let (mut command, life) = (self.job)(place);
        command.env(WORKDIR, self.workdir.root()).env(PLACE, place.to_string());
        command.stdin(Stdio::piped()); // ends when we do
        command.stdout(Stdio::null()); // where libtest writes
        let mut process = command.spawn().expect("the program runs");
        let life = life.map(|life| life.mul_f64(rand::random()));
        let dies = life.map(|life| now() + life);
        loop {
            if let Some(status) = process.try_wait().expect("it is our child") {
                return status;
            }
            let hung = self.hung.load(Ordering::Relaxed);
            let doomed = dies.is_some_and(|dies| dies < now()) && !self.workdir.is_closed();
            if doomed || hung {
                let at = now(); // before the signal: it was alive then
                process.kill().expect("it is our child");
                let status = process.wait().expect("it is our child");
                // Written when it is gone, so that no record of its own follows.
                let seated = self.workdir.has_seated(process.id());
                History::open(&self.workdir.history(place)).write(&Record::Killed { at, seated });
                if hung {
                    self.fail(place, "a process hung".to_owned());
                }
                return status;
            }
            sleep(A_MOMENT);
        }
    }

    fn fail(&self, place: usize, why: String) {
        History::open(&self.workdir.history(place)).write(&Record::Failed { why });
    }
}
