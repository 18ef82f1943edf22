//! A crew of processes: this test's own program, run again and again, while they are killed.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, sleep};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::kit::again::this_program;
use crate::kit::clock::now;
use crate::support::journal::{Journal, Reader, Record};
use crate::support::ledger::{Figures, Ledger};
use crate::support::setup::Setup;
use crate::support::yard::Yard;

/// What tells a process its part.
pub(crate) const SETUP: &str = "LINKLOCK_TEST_SETUP";
pub(crate) const YARD: &str = "LINKLOCK_TEST_YARD";
pub(crate) const PLACE: &str = "LINKLOCK_TEST_PLACE";

/// How often a process is looked at, and how often the journals are.
const A_MOMENT: Duration = Duration::from_millis(5);
const A_WHILE: Duration = Duration::from_millis(100);
/// A crew that records nothing for that long, or is not done that long after it was told to stop,
/// hangs.
const HUNG: Duration = Duration::from_secs(90);

/// Has a crew work in `yard` until `done`. One crew at a time: they measure, and would take each
/// other's processors.
pub(crate) fn run(setup: &Setup, yard: &Yard, done: impl Fn(&Figures) -> bool) -> Figures {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let paths: Vec<_> = (0..setup.processes).map(|place| yard.journal(place)).collect();
    let mut readers: Vec<Reader> = paths.iter().map(|path| Reader::open(path)).collect();
    let mut ledger = Ledger::new(setup);
    let crew = Crew { setup, yard, hung: AtomicBool::new(false), killed: AtomicUsize::new(0) };
    thread::scope(|scope| {
        let crew = &crew;
        let places: Vec<_> =
            (0..setup.processes).map(|place| scope.spawn(move || crew.staff(place))).collect();
        let mut last_news = now();
        while now() < last_news + HUNG && !done(&ledger.so_far()) {
            sleep(A_WHILE);
            if read(&mut readers, &mut ledger) {
                last_news = now();
            }
        }
        yard.close();
        let closed = now();
        while places.iter().any(|place| !place.is_finished()) {
            sleep(A_MOMENT);
            crew.hung.store(now() > closed + HUNG, Ordering::Relaxed);
        }
    });
    read(&mut readers, &mut ledger);
    let killed = crew.killed.into_inner();
    Figures { killed, ..ledger.figures() }
}

/// Enters what is new in the journals; false if nothing is.
fn read(readers: &mut [Reader], ledger: &mut Ledger) -> bool {
    let mut any = false;
    for (place, reader) in readers.iter_mut().enumerate() {
        for record in reader.fresh() {
            ledger.enter(place, record);
            any = true;
        }
    }
    any
}

struct Crew<'a> {
    setup: &'a Setup,
    yard: &'a Yard,
    /// Whether the processes do not end by themselves.
    hung: AtomicBool,
    killed: AtomicUsize,
}

impl Crew<'_> {
    /// Keeps a process at work in this place until the yard is closed.
    fn staff(&self, place: usize) {
        while !self.yard.is_closed() {
            let status = self.attend(place, self.spawn(place));
            if status.signal() == Some(Signal::SIGKILL as i32) {
                self.killed.fetch_add(1, Ordering::Relaxed);
            } else if !status.success() {
                self.fail(place, format!("a process ended with {status}"));
                return;
            }
        }
    }

    fn spawn(&self, place: usize) -> Child {
        this_program("worker")
            .env(SETUP, self.setup.name)
            .env(YARD, self.yard.root())
            .env(PLACE, place.to_string())
            .stdin(Stdio::piped()) // ends when we do
            .stdout(Stdio::null()) // what libtest says
            .spawn()
            .expect("the test's own program runs")
    }

    /// Waits until the process ends, or kills it when its time has come, whatever it is doing.
    fn attend(&self, place: usize, mut process: Child) -> ExitStatus {
        let life = self.setup.mishaps.life.map(|life| life.mul_f64(rand::random()));
        let dies = life.map(|life| now() + life);
        loop {
            if let Some(status) = process.try_wait().expect("it is our child") {
                return status;
            }
            let hung = self.hung.load(Ordering::Relaxed);
            let doomed = dies.is_some_and(|dies| dies < now()) && !self.yard.is_closed();
            if doomed || hung {
                let at = now(); // before the signal: it was alive then
                process.kill().expect("it is our child");
                let status = process.wait().expect("it is our child");
                // Entered when it is gone, so that nothing of its own comes after it.
                let seated = self.yard.has_seated(process.id());
                Journal::open(&self.yard.journal(place)).write(&Record::Killed { at, seated });
                if hung {
                    self.fail(place, "a process hung".to_owned());
                }
                return status;
            }
            sleep(A_MOMENT);
        }
    }

    fn fail(&self, place: usize, why: String) {
        Journal::open(&self.yard.journal(place)).write(&Record::Failed { why });
    }
}
