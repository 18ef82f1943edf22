//! One contender for a lock, by either protocol, for a slot of a set, or as a reader or a writer.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use linklock::{
    Clock, Error, Lock, LockGuard, LockOptions, ReadGuard, RwLock, SlotGuard, Slots, WriteGuard,
};

use crate::kit::clock::now;
use crate::kit::process::Process;
use crate::support::flufl::{FluflError, FluflLock};
use crate::support::setup::{Protocol, Setup, Shape};
use crate::support::workdir::Workdir;

/// A contender that waits for this long is wedged: all others need the lock for seconds only.
const WEDGED: Duration = Duration::from_secs(60);

/// The share of readers among those that read or write.
const READERS: f64 = 0.75;

#[derive(Debug)]
pub(crate) enum Contender {
    Linklock { lock: Box<Lock>, guard: Option<LockGuard>, last_token: PathBuf },
    Slots { slots: Slots, guard: Option<SlotGuard> },
    RwLock { lock: Box<RwLock>, guard: Option<LockGuard>, reads: bool },
    Flufl(FluflLock),
}

impl Contender {
    pub(crate) fn new(
        setup: &Setup,
        workdir: &Workdir,
        number: usize,
        clock: Arc<dyn Clock>,
    ) -> Contender {
        let path = workdir.lock(number);
        let policy = match setup.protocol {
            Protocol::Linklock(policy) => policy,
            Protocol::Flufl => {
                let (lifetime, slop) = (setup.lifetime, setup.slop);
                return Contender::Flufl(FluflLock::new(&path, lifetime, slop, setup.polling));
            }
        };
        let mut options = options(setup, &path)
            .stale(policy)
            .polling(setup.polling.0, setup.polling.1)
            .timeout(WEDGED)
            .keep_claim(setup.keep_claim)
            .fencing(setup.fencing)
            .clock(clock);
        if setup.hosts_of_their_own {
            options = options.host_name(Process::this().to_string());
        }
        match setup.shape {
            Shape::Slots(slots) => {
                let slots = options.slots(slots).expect("a valid set");
                Contender::Slots { slots, guard: None }
            }
            Shape::RwLocks => {
                let lock = Box::new(options.rw_lock().expect("a valid lock"));
                Contender::RwLock { lock, guard: None, reads: false }
            }
            Shape::Locks => {
                let lock = Box::new(options.build().expect("a valid lock"));
                Contender::Linklock { lock, guard: None, last_token: workdir.last_token(number) }
            }
        }
    }

    /// The number of the slot that it holds, if it is in a set.
    pub(crate) fn slot(&self) -> Option<usize> {
        match self {
            Contender::Slots { guard, .. } => guard.as_ref().map(SlotGuard::slot),
            _ => None,
        }
    }

    /// Whether it shares the lock with others that read.
    pub(crate) fn reads(&self) -> bool {
        matches!(self, Contender::RwLock { reads: true, .. })
    }

    /// Waits for the lock, and returns when the lease ends.
    pub(crate) fn acquire(&mut self) -> Result<Duration, String> {
        match self {
            Contender::Linklock { lock, guard, last_token } => {
                let held = guard.insert(lock.lock().map_err(|error| error.to_string())?);
                if let Some(token) = held.token() {
                    note_token(last_token, token)?;
                }
                Ok(lease_end(held))
            }
            Contender::Slots { slots, guard } => {
                Ok(lease_end(guard.insert(slots.lock().map_err(|error| error.to_string())?)))
            }
            Contender::RwLock { lock, guard, reads } => loop {
                *reads = rand::random_bool(READERS);
                let acquired = if *reads {
                    lock.read().map(ReadGuard::into_guard)
                } else {
                    lock.write().map(WriteGuard::into_guard)
                };
                match acquired {
                    Ok(held) => return Ok(lease_end(guard.insert(held))),
                    Err(error) if error.is_lost() => {} // it stalled while it waited for readers
                    Err(error) => return Err(error.to_string()),
                }
            },
            Contender::Flufl(lock) => loop {
                match lock.lock(WEDGED) {
                    Ok(()) => return Ok(lock.lease_ends()),
                    // It thought that it had lost the lock, and finds that it still holds it.
                    Err(FluflError::AlreadyLocked) => drop(lock.unlock()),
                    Err(error) => return Err(error.to_string()),
                }
            },
        }
    }

    /// Renews a lease that is over; `None` if another process has taken over.
    pub(crate) fn renew(&mut self) -> Result<Option<Duration>, String> {
        match self {
            Contender::Linklock { guard, .. } | Contender::RwLock { guard, .. } => {
                refresh(guard.as_ref().expect("it has the lock"))
            }
            Contender::Slots { guard, .. } => refresh(guard.as_ref().expect("it has a slot")),
            Contender::Flufl(lock) => {
                let held = lock.is_locked().map_err(|error| error.to_string())?;
                Ok(held.then(|| lock.lease_ends()))
            }
        }
    }

    /// Releases the lock; false if another process had taken over.
    pub(crate) fn release(&mut self) -> Result<bool, String> {
        match self {
            Contender::Linklock { guard, .. } | Contender::RwLock { guard, .. } => {
                let guard = guard.take().expect("it has the lock");
                guard.unlock_if_held().map_err(|error| error.to_string())
            }
            Contender::Slots { guard, .. } => {
                let guard = guard.take().expect("it has a slot").into_guard();
                guard.unlock_if_held().map_err(|error| error.to_string())
            }
            Contender::Flufl(lock) => match lock.unlock() {
                Err(FluflError::NotLocked) => Ok(false),
                unlocked => unlocked.map(|()| true).map_err(|error| error.to_string()),
            },
        }
    }
}

/// The options that all contenders for a lock or a slot must agree on.
pub(crate) fn options(setup: &Setup, path: &Path) -> LockOptions {
    Lock::options(path).lifetime(setup.lifetime).clock_slop(setup.slop)
}

fn refresh(held: &LockGuard) -> Result<Option<Duration>, String> {
    match held.refresh() {
        Ok(()) => Ok(Some(lease_end(held))),
        Err(Error::Lost { .. }) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Compares a holder's fencing token with that of the last holder that lived to write it down.
fn note_token(path: &Path, token: u64) -> Result<(), String> {
    let last = fs::read_to_string(path).unwrap_or_default().parse().unwrap_or(0);
    if token <= last {
        return Err(format!("token {token} after {last}"));
    }
    fs::write(path, token.to_string()).map_err(|error| error.to_string())
}

/// Read in this order, it is never later than the lease's end.
fn lease_end(guard: &LockGuard) -> Duration {
    let asked = now();
    asked + guard.remaining()
}
