//! Dying in the middle of breaking a lock.
//!
//! Who looks at a live lock asks the clock a few times and sleeps. Who breaks one asks it on and on:
//! when it touches its claim, when it looks again, when it makes sure that it is fresh. So the clock
//! knows when its caller has got that far, and can end it there: inside its seat, often enough.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use linklock::{Clock, SystemClock};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::kit::clock::now;
use crate::support::history::{History, Record};
use crate::support::setup::{Protocol, Setup};
use crate::support::workdir::Workdir;

/// How often a look at a live lock, or at one in its slop, asks the clock, at most. If it does more often,
/// waiters die at every turn: then most of the time goes into starting others, and nobody waits for long.
const A_LOOK: u32 = 14;

/// What befalls this process: any of its threads can end it.
#[derive(Debug)]
pub(crate) struct Nemesis {
    pub(crate) workdir: Workdir,
    pub(crate) history: History,
}

impl Nemesis {
    /// Ends this process, as `kill -9` does.
    pub(crate) fn die(&self) -> ! {
        self.history.write(&Record::Killed {
            at: now(),
            seated: self.workdir.has_seated(std::process::id()),
        });
        kill(Pid::this(), Signal::SIGKILL).expect("a process may kill itself");
        loop {
            std::thread::park();
        }
    }
}

/// The clock of one contender: it also notices when that is kept from its next step for too long.
#[derive(Debug)]
pub(crate) struct NemesisClock {
    nemesis: Arc<Nemesis>,
    lock: usize,
    risk: f64,
    slop: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When it was asked last by a contender that is at work.
    last: Option<Duration>,
    /// How often it was asked since its contender slept, if it has.
    asked: Option<u32>,
}

impl NemesisClock {
    pub(crate) fn new(nemesis: Arc<Nemesis>, setup: &Setup, lock: usize) -> NemesisClock {
        let risk = setup.mishaps.killed_breaking;
        // By flufl.lock's protocol nobody asks this clock, nor sleeps by it.
        let slop = match setup.protocol {
            Protocol::Linklock(_) => setup.slop,
            Protocol::Flufl => Duration::MAX,
        };
        NemesisClock { nemesis, lock, risk, slop, state: Mutex::default() }
    }

    /// Watches what its contender does to the lock.
    pub(crate) fn watch<T>(&self, work: impl FnOnce() -> T) -> T {
        self.step(Some(now()));
        let done = work();
        self.step(Some(now()));
        *self.state() = State::default();
        done
    }

    /// The time between two questions is that of a step, or of a few.
    fn step(&self, at: Option<Duration>) {
        let last = std::mem::replace(&mut self.state().last, at);
        if let (Some(from), Some(to)) = (last, at) {
            if to.saturating_sub(from) > self.slop {
                self.nemesis.history.write(&Record::Stalled { lock: self.lock, from, to });
            }
        }
    }

    /// Whether its contender has done more since it slept than look at a lock that is held.
    fn is_breaking(&self) -> bool {
        self.state().asked.as_mut().is_some_and(|asked| {
            *asked += 1;
            *asked > A_LOOK
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for NemesisClock {
    fn now(&self) -> Duration {
        if self.is_breaking() && rand::random_bool(self.risk) {
            self.nemesis.die();
        }
        let time = SystemClock.now();
        if self.state().last.is_some() {
            self.step(Some(time));
        }
        time
    }

    fn wall(&self) -> SystemTime {
        SystemClock.wall()
    }

    fn sleep(&self, time: Duration) {
        self.step(None);
        SystemClock.sleep(time);
        *self.state() = State { last: Some(now()), asked: Some(0) };
    }
}
