//! Keep-alive: threads that refresh locks, one for each file system, so that a mount that hangs
//! holds up nobody else's.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::clock::Clock;
use crate::error::Error;
use crate::fs::process_id;
use crate::upkeep::{Leased, Upkeep, next_refresh, refresh};

/// What is called, once, when a lock is lost.
pub(crate) type OnLost = Box<dyn FnOnce(Error) + Send>;

/// Keeps a lock alive until it is dropped.
#[derive(Debug)]
pub(crate) struct KeepAlive {
    keeper: Arc<Keeper>,
    number: u64,
}

impl KeepAlive {
    /// Refreshes the lock three times in each lifetime. A refresh that fails for the time being
    /// is tried again for as long as the lease runs.
    pub(crate) fn start<L>(leased: &Arc<L>, on_lost: OnLost) -> io::Result<KeepAlive>
    where
        L: Leased + 'static,
    {
        // Held until the lock is added: a keeper without any ends.
        let mut keepers = lock(&KEEPERS);
        let keeper = Keeper::of(&**leased, &mut keepers)?;
        let upkeep = Upkeep::begin(&**leased);
        let weak = Arc::downgrade(leased);
        let ward = Ward { leased: weak, upkeep, on_lost };
        let number = lock(&keeper.wards).add(ward);
        keeper.changed.notify_one();
        Ok(KeepAlive { keeper, number })
    }
}

impl KeepAlive {
    /// The lease was changed: keep to the new one.
    pub(crate) fn reschedule(&self, leased: &dyn Leased) {
        lock(&self.keeper.wards).schedule(self.number, next_refresh(leased));
        self.keeper.changed.notify_one();
    }
}

impl Drop for KeepAlive {
    fn drop(&mut self) {
        if self.keeper.pid == process_id() {
            lock(&self.keeper.wards).all.remove(&self.number);
        }
    }
}

/// All the keepers of this process. Each ends when it has nothing left to keep.
static KEEPERS: Mutex<Vec<Arc<Keeper>>> = Mutex::new(Vec::new());

/// One thread and the locks that it keeps alive.
#[derive(Debug)]
struct Keeper {
    /// The process that has the thread: a forked child inherits only the memory.
    pid: u32,
    dev: u64,
    clock: Arc<dyn Clock>,
    wards: Mutex<Wards>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Wards {
    all: HashMap<u64, Ward>,
    /// When each is to be refreshed, soonest first; and when some would have been that are no
    /// longer kept, or were refreshed by their holders.
    due: BinaryHeap<Reverse<(Duration, u64)>>,
    next_number: u64,
}

/// A lock to be kept alive.
struct Ward {
    leased: Weak<dyn Leased>,
    upkeep: Upkeep,
    on_lost: OnLost,
}

impl fmt::Debug for Ward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ward").field("upkeep", &self.upkeep).finish_non_exhaustive()
    }
}

impl Wards {
    fn add(&mut self, ward: Ward) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.due.push(Reverse((ward.upkeep.due, number)));
        self.all.insert(number, ward);
        number
    }

    fn schedule(&mut self, number: u64, due: Duration) {
        if let Some(ward) = self.all.get_mut(&number) {
            ward.upkeep.due = due;
            self.due.push(Reverse((due, number)));
        }
    }

    fn is_due(&self, number: u64, due: Duration) -> bool {
        self.all.get(&number).is_some_and(|ward| ward.upkeep.due == due)
    }
}

impl Keeper {
    /// The keeper for the lock's file system, with a thread that runs.
    fn of(leased: &dyn Leased, keepers: &mut Vec<Arc<Keeper>>) -> io::Result<Arc<Keeper>> {
        let (pid, dev, clock) = (process_id(), leased.dev(), leased.clock());
        let fits = |keeper: &&Arc<Keeper>| {
            keeper.pid == pid && keeper.dev == dev && Arc::ptr_eq(&keeper.clock, clock)
        };
        if let Some(keeper) = keepers.iter().find(fits) {
            return Ok(keeper.clone());
        }
        let (wards, changed) = (Mutex::default(), Condvar::new());
        let keeper = Arc::new(Keeper { pid, dev, clock: clock.clone(), wards, changed });
        let thread = std::thread::Builder::new().name("linklock-keeper".into());
        let kept = keeper.clone();
        thread.spawn(move || kept.run())?;
        keepers.push(keeper.clone());
        Ok(keeper)
    }

    fn run(self: Arc<Keeper>) {
        while let Some(number) = self.next_due() {
            let ward = lock(&self.wards).all.get(&number).map(|ward| ward.leased.clone());
            if let Some(leased) = ward.and_then(|leased| leased.upgrade()) {
                self.refresh(number, &*leased);
            }
        }
    }

    /// Waits until a lock is due, or until there is none left to keep.
    fn next_due(&self) -> Option<u64> {
        let mut wards = lock(&self.wards);
        loop {
            let Some(&Reverse((due, number))) = wards.due.peek() else {
                drop(wards);
                // In this order, as in `KeepAlive::start`.
                let mut keepers = lock(&KEEPERS);
                wards = lock(&self.wards);
                if wards.due.is_empty() {
                    keepers.retain(|keeper| !std::ptr::eq(&raw const **keeper, self));
                    return None;
                }
                continue;
            };
            if !wards.is_due(number, due) {
                wards.due.pop();
                continue;
            }
            match due.saturating_sub(self.clock.now()) {
                Duration::ZERO => {
                    wards.due.pop();
                    return Some(number);
                }
                left => {
                    let woken = self.changed.wait_timeout(wards, left);
                    wards = woken.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    fn refresh(&self, number: u64, leased: &dyn Leased) {
        let refreshed = refresh(leased);
        let mut wards = lock(&self.wards);
        let Some(ward) = wards.all.get_mut(&number) else { return }; // no longer kept
        match ward.upkeep.after(refreshed, leased) {
            Ok(()) => {
                let due = ward.upkeep.due;
                wards.schedule(number, due);
            }
            Err(why) => {
                let ward = wards.all.remove(&number);
                drop(wards); // whatever is called may drop the guard
                if let Some(Ward { on_lost, .. }) = ward {
                    // Others are kept alive by this thread, whatever becomes of this one.
                    let _ = catch_unwind(AssertUnwindSafe(|| on_lost(why)));
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::clock::SystemClock;

    /// A lock that can't be refreshed for the time being.
    struct Troubled {
        dev: u64,
        lifetime: Duration,
        clock: Arc<dyn Clock>,
    }

    impl Leased for Troubled {
        fn refresh(&self) -> Result<(), Error> {
            let trouble = io::Error::from_raw_os_error(libc::EIO);
            Err(Error::io(crate::error::Operation::Touch, self.path())(trouble))
        }

        fn remaining(&self) -> Duration {
            self.lifetime
        }

        fn overdue(&self) -> Duration {
            Duration::ZERO
        }

        fn lifetime(&self) -> Duration {
            self.lifetime
        }

        fn path(&self) -> &Path {
            Path::new("/shared/lock")
        }

        fn dev(&self) -> u64 {
            self.dev
        }

        fn clock(&self) -> &Arc<dyn Clock> {
            &self.clock
        }
    }

    fn keep(lock: Troubled) -> (Arc<Troubled>, KeepAlive) {
        let lock = Arc::new(lock);
        let kept = KeepAlive::start(&lock, Box::new(|error| panic!("{error}"))).unwrap();
        (lock, kept)
    }

    #[test]
    fn all_locks_on_one_file_system_have_one_keeper() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let lifetime = Duration::from_secs(36_000);
        let on = |dev| keep(Troubled { dev, lifetime, clock: clock.clone() });
        let (one, another, elsewhere) = (on(1), on(1), on(2));
        assert!(Arc::ptr_eq(&one.1.keeper, &another.1.keeper));
        assert!(!Arc::ptr_eq(&one.1.keeper, &elsewhere.1.keeper));
    }

    /// In a second, but several times in the lease.
    #[test]
    fn a_refresh_that_failed_is_tried_again_soon() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        for (lifetime, pause) in [(36_000, Duration::from_secs(1)), (2, Duration::from_millis(200))]
        {
            let lifetime = Duration::from_secs(lifetime);
            let (lock, kept) = keep(Troubled { dev: 3, lifetime, clock: clock.clone() });
            let before = clock.now();
            kept.keeper.refresh(kept.number, &*lock);
            let due = super::lock(&kept.keeper.wards).all[&kept.number].upkeep.due;
            assert!(due >= before + pause && due <= clock.now() + pause, "{lifetime:?}: {due:?}");
        }
    }
}
