//! The keep-alive threads, which refresh the locks of this process.
//!
//! A refresh may hang for minutes, while a file server holds a request back; so may a callback for
//! a lost lock. Neither may delay another lock. So a thread that takes a lock to refresh first
//! makes sure that another thread is ready to take the next lock, and becomes ready again when it
//! is done, unless enough others are. While nothing hangs, that makes two threads; each lock that
//! hangs adds one.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::error::Error;
use crate::keep_alive::schedule::{Renewable, Schedule, next_refresh, refresh};
use crate::sys::fs::process_id;

/// The maximum number of threads that are ready. One would be enough; the second saves starting a
/// thread for each refresh, and exists already when the system cannot start another.
const READY: usize = 2;

/// How long the next lock waits for the refresh under way. Until then, locks that are due together
/// are refreshed one after the other, rather than by a thread each.
const HEAD_START: Duration = Duration::from_millis(1);

/// How long threads wait ready when no lock is left to keep alive.
const LINGER: Duration = Duration::from_secs(5);

/// Called, once, when a lock is lost.
pub(crate) type OnLost = Box<dyn FnOnce(Error) + Send>;

/// Keeps a lock alive until it is dropped.
#[derive(Debug)]
pub(crate) struct Renewing {
    renewer: Arc<Renewer>,
    number: u64,
}

impl Renewing {
    /// Refreshes the lock three times in each lifetime. A refresh that fails temporarily is tried
    /// again for as long as the lease runs.
    pub(crate) fn start<L>(renewable: &Arc<L>, on_lost: OnLost) -> io::Result<Renewing>
    where
        L: Renewable + 'static,
    {
        let renewer = Renewer::of(renewable.clock());
        let schedule = Schedule::begin(&**renewable);
        let weak = Arc::downgrade(renewable);
        let renewal = Renewal { renewable: weak, schedule, on_lost };
        let mut renewals = lock(&renewer.renewals);
        renewer.make_ready(&mut renewals)?;
        let number = renewals.add(renewal);
        drop(renewals);
        renewer.changed.notify_all();
        Ok(Renewing { renewer, number })
    }

    /// Adapts the schedule to a changed lifetime.
    pub(crate) fn reschedule(&self, renewable: &dyn Renewable) {
        lock(&self.renewer.renewals).reschedule(self.number, next_refresh(renewable));
        self.renewer.changed.notify_all();
    }
}

impl Drop for Renewing {
    fn drop(&mut self) {
        if self.renewer.pid == process_id() {
            let renewal = lock(&self.renewer.renewals).remove(self.number);
            drop(renewal); // with its callback, which may own another lock's guard
        }
    }
}

/// The renewers of this process: one, unless tests bring clocks of their own.
static RENEWERS: Mutex<Vec<Weak<Renewer>>> = Mutex::new(Vec::new());

/// The locks that are kept alive, and what their threads share.
#[derive(Debug)]
struct Renewer {
    /// The process that owns the threads: a forked child inherits only the memory.
    pid: u32,
    clock: Arc<dyn Clock>,
    renewals: Mutex<Renewals>,
    changed: Condvar,
    start_thread: fn(Arc<Renewer>) -> io::Result<()>,
}

#[derive(Debug, Default)]
struct Renewals {
    all: HashMap<u64, Renewal>,
    /// The due time of each lock, except locks that are being refreshed.
    due: BTreeSet<(Duration, u64)>,
    next_number: u64,
    /// How many threads wait for a lock to be due, or were started to do so.
    ready: usize,
    /// The lock that was taken last, and when; `None` once its refresh is done.
    latest: Option<(u64, Instant)>,
}

/// A lock that is kept alive.
struct Renewal {
    renewable: Weak<dyn Renewable>,
    schedule: Schedule,
    on_lost: OnLost,
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal").field("schedule", &self.schedule).finish_non_exhaustive()
    }
}

impl Renewals {
    fn add(&mut self, renewal: Renewal) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.due.insert((renewal.schedule.due, number));
        self.all.insert(number, renewal);
        number
    }

    fn remove(&mut self, number: u64) -> Option<Renewal> {
        let renewal = self.all.remove(&number)?;
        self.due.remove(&(renewal.schedule.due, number));
        Some(renewal)
    }

    /// Does nothing for a lock that is being refreshed: its next refresh is not yet scheduled.
    fn reschedule(&mut self, number: u64, due: Duration) {
        let Some(renewal) = self.all.get_mut(&number) else { return };
        if self.due.remove(&(renewal.schedule.due, number)) {
            renewal.schedule.due = due;
            self.due.insert((due, number));
        }
    }

    /// The time until a lock may be taken. `None` if no lock is waiting for its refresh.
    fn pause(&self, now: Duration) -> Option<Duration> {
        let (due, _) = self.due.first()?;
        let left_to_latest =
            self.latest.map(|(_, begun)| HEAD_START.saturating_sub(begun.elapsed()));
        Some(due.saturating_sub(now).max(left_to_latest.unwrap_or_default()))
    }

    /// Takes the lock that is due first. `None` if it is gone.
    fn take(&mut self) -> Option<(u64, Arc<dyn Renewable>)> {
        let (_, number) = self.due.pop_first()?;
        let renewable = self.all.get(&number)?.renewable.upgrade()?;
        self.latest = Some((number, Instant::now()));
        Some((number, renewable))
    }
}

impl Renewer {
    fn of(clock: &Arc<dyn Clock>) -> Arc<Renewer> {
        let mut renewers = lock(&RENEWERS);
        renewers.retain(|renewer| renewer.strong_count() > 0);
        let pid = process_id();
        let fits =
            |renewer: &Arc<Renewer>| renewer.pid == pid && Arc::ptr_eq(&renewer.clock, clock);
        if let Some(renewer) = renewers.iter().filter_map(Weak::upgrade).find(fits) {
            return renewer;
        }
        let renewer = Arc::new(Renewer::new(clock, start_thread));
        renewers.push(Arc::downgrade(&renewer));
        renewer
    }

    fn new(clock: &Arc<dyn Clock>, start_thread: fn(Arc<Renewer>) -> io::Result<()>) -> Renewer {
        Renewer {
            pid: process_id(),
            clock: clock.clone(),
            renewals: Mutex::default(),
            changed: Condvar::new(),
            start_thread,
        }
    }

    /// Makes sure that a thread is ready.
    fn make_ready(self: &Arc<Renewer>, renewals: &mut Renewals) -> io::Result<()> {
        if renewals.ready == 0 {
            (self.start_thread)(self.clone())?;
            renewals.ready = 1;
        }
        Ok(())
    }

    /// The loop of a thread that is counted as ready.
    fn run(self: Arc<Renewer>) {
        while let Some((number, renewable)) = self.next_due() {
            self.refresh(number, &*renewable);
            drop(renewable); // releases the lock, if its holder has dropped it meanwhile
            if !self.stand_ready() {
                return;
            }
        }
    }

    /// Waits until a lock is due, and leaves the next one to another thread. `None` if there has
    /// been no lock to keep alive for a while.
    fn next_due(self: &Arc<Renewer>) -> Option<(u64, Arc<dyn Renewable>)> {
        let mut renewals = lock(&self.renewals);
        loop {
            let pause = renewals.pause(self.clock.now());
            if pause == Some(Duration::ZERO) {
                let Some(taken) = renewals.take() else { continue };
                renewals.ready -= 1;
                // If the system cannot start a thread, the next lock waits for this one.
                let _ = self.make_ready(&mut renewals);
                drop(renewals);
                self.changed.notify_all(); // the next lock due may be another now
                return Some(taken);
            }
            let woken = self.changed.wait_timeout(renewals, pause.unwrap_or(LINGER));
            let (still, waited) = woken.unwrap_or_else(PoisonError::into_inner);
            renewals = still;
            if pause.is_none() && waited.timed_out() && renewals.all.is_empty() {
                renewals.ready -= 1;
                return None;
            }
        }
    }

    /// Counts the calling thread as ready, unless enough threads are.
    fn stand_ready(&self) -> bool {
        let mut renewals = lock(&self.renewals);
        let is_needed = renewals.ready < READY;
        if is_needed {
            renewals.ready += 1;
        } else {
            drop(renewals);
            self.changed.notify_all(); // the lock that was refreshed is due again
        }
        is_needed
    }

    fn refresh(&self, number: u64, renewable: &dyn Renewable) {
        let refreshed = refresh(renewable);
        let mut renewals = lock(&self.renewals);
        renewals.latest.take_if(|(latest, _)| *latest == number);
        let Some(renewal) = renewals.all.get_mut(&number) else { return }; // no longer kept alive
        let Err(why) = renewal.schedule.after(refreshed, renewable) else {
            let due = renewal.schedule.due;
            renewals.due.insert((due, number));
            return;
        };
        let renewal = renewals.remove(number);
        drop(renewals); // the callback may drop the guard
        if let Some(Renewal { on_lost, .. }) = renewal {
            // A lock that its holder has released since is not lost.
            if renewable.is_held() {
                let _ = catch_unwind(AssertUnwindSafe(|| on_lost(why)));
            }
        }
    }
}

fn start_thread(renewer: Arc<Renewer>) -> io::Result<()> {
    let thread = thread::Builder::new().name("linklock-renew".into());
    thread.spawn(move || renewer.run()).map(drop)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
