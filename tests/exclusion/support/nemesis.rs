//! The nemesis: a process dies in the middle of a takeover.
//!
//! A contender that observes a live lock reads the clock a few times and sleeps. One that takes
//! over reads it many times more: when it touches its claim, when it rechecks, when it makes sure
//! that the claim's lease still runs. So the clock knows when its caller has got that far, and can
//! kill it there: inside its seat, often enough.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use linklock::{Clock, SystemClock};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::kit::clock::now;
use crate::support::history::{History, Record};
use crate::support::setup::{Protocol, Setup, Shape};
use crate::support::workdir::Workdir;

/// How often an observation of a live lock, or of one in its slop, reads the clock, at most. If it
/// were more often, waiters would die all the time: most of the time would go into starting others,
/// and none would wait for long.
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

/// The clock of one contender. It also notices when the contender is kept from its next step for
/// too long.
#[derive(Debug)]
pub(crate) struct NemesisClock {
    nemesis: Arc<Nemesis>,
    /// The locks that its contender may be about to acquire.
    locks: Range<usize>,
    risk: f64,
    slop: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When a contender that is at work last read it.
    last: Option<Duration>,
    /// How often it was read since its contender slept, if it has.
    asked: Option<u32>,
}

impl NemesisClock {
    pub(crate) fn new(nemesis: Arc<Nemesis>, setup: &Setup, lock: usize) -> NemesisClock {
        let locks = match setup.shape {
            Shape::Slots(slots) => 0..slots as usize,
            Shape::Locks | Shape::RwLocks => lock..lock + 1,
        };
        let risk = setup.mishaps.killed_breaking;
        // flufl.lock's protocol does not use this clock.
        let slop = match setup.protocol {
            Protocol::Linklock(_) => setup.slop,
            Protocol::Flufl => Duration::MAX,
        };
        NemesisClock { nemesis, locks, risk, slop, state: Mutex::default() }
    }

    /// Watches what its contender does to the lock.
    pub(crate) fn watch<T>(&self, work: impl FnOnce() -> T) -> T {
        self.step(Some(now()));
        let done = work();
        self.step(Some(now()));
        *self.state() = State::default();
        done
    }

    /// The time between two reads is that of a step, or of a few.
    fn step(&self, at: Option<Duration>) {
        let last = std::mem::replace(&mut self.state().last, at);
        if let (Some(from), Some(to)) = (last, at) {
            if to.saturating_sub(from) > self.slop {
                for lock in self.locks.clone() {
                    self.nemesis.history.write(&Record::Stalled { lock, from, to });
                }
            }
        }
    }

    /// Whether its contender has done more since it slept than observe a held lock.
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
