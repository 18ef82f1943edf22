//! Slots: up to a number of holders at once, each of which holds a lock of its own.

mod at_head;
mod attempt;
mod contend;
mod guard;
mod holders;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::guard::SlotGuard;
use crate::error::Error;
use crate::holder::Obstacle;
use crate::lock::Lock;
use crate::protocol::tenure::Tenure;
use crate::wait::limit::{WaitLimit, asking};
use crate::wait::park::{ThreadPark, run};

/// Up to a number of holders at once, on all machines together: a semaphore. For licences, ports or
/// GPUs, of which each holder gets one, and for jobs of which a file server bears only so many.
///
/// The slots of the set `PATH` are ordinary locks, `PATH.0` to `PATH.N-1`, so everything that is true
/// of a [`Lock`] is true of a slot: its lease, its takeover when its holder is dead, its keep-alive.
/// Any other program that locks one of these files occupies that slot. The methods acquire any slot:
/// one that is free, or else the one that becomes free first. Waiters of one machine form a queue;
/// machines among themselves are served in no particular order.
///
/// All contenders should agree on the number of slots. If they do not, there can be as many holders
/// as the largest number says: see [`holders`](Self::holders). So it can be raised while slots are
/// held. After it was lowered, holders of slots that are beyond it keep those until they release
/// them.
///
/// A `Slots` is a handle, which holds nothing itself. Threads that share it each get a slot of their
/// own, and so do clones.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("encode.lock");
/// use linklock::Slots;
///
/// let slots = Slots::new(&path, 2)?;
/// let (one, other) = (slots.lock()?, slots.clone().lock()?);
/// assert_eq!(one.slot() + other.slot(), 1); // 0 and 1
/// assert!(slots.clone().try_lock().is_err());
/// drop(one);
/// assert!(slots.try_lock().is_ok());
/// # Ok::<(), linklock::Error>(())
/// ```
pub struct Slots {
    path: PathBuf,
    /// The set's place in the host's queue. Nobody acquires this lock, which makes no file.
    queue: Lock,
    locks: Arc<[Lock]>,
}

impl Slots {
    pub(crate) fn of(path: PathBuf, queue: Lock, locks: Arc<[Lock]>) -> Slots {
        Slots { path, queue, locks }
    }

    /// Acquires a slot. Blocks until one is acquired, or for the default timeout if the options set
    /// one.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyLocked`] if this thread holds all slots through this handle; otherwise as for
    /// [`Lock::lock`]. The path of an error, if it concerns one slot only, is that slot's.
    pub fn lock(&self) -> Result<SlotGuard, Error> {
        self.acquire(WaitLimit::of(self.queue.timeout()))
    }

    /// Acquires a slot if one is free. Blocks for a few file operations for each slot.
    ///
    /// # Errors
    ///
    /// [`Error::Held`] with the holder of one of the slots; otherwise as for [`lock`](Self::lock).
    pub fn try_lock(&self) -> Result<SlotGuard, Error> {
        self.acquire(WaitLimit::None)
    }

    /// Acquires a slot if that is possible within `time`. Blocks for `time` at most, but does not
    /// interrupt a file operation that hangs.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] with the holder of one of the slots; otherwise as for
    /// [`lock`](Self::lock).
    pub fn try_lock_for(&self, time: Duration) -> Result<SlotGuard, Error> {
        self.acquire(WaitLimit::For(time))
    }

    /// Acquires a slot if that is possible before `deadline`. Blocks until then at most, but does not
    /// interrupt a file operation that hangs.
    ///
    /// # Errors
    ///
    /// As for [`try_lock_for`](Self::try_lock_for).
    pub fn try_lock_until(&self, deadline: Instant) -> Result<SlotGuard, Error> {
        self.try_lock_for(deadline.saturating_duration_since(Instant::now()))
    }

    /// Acquires a slot, and keeps waiting for as long as `go_on` returns `true`. It is called at
    /// least every 100 ms with the holder of one slot or another, and before the first wait. Blocks
    /// while it waits.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("encode.lock");
    /// use linklock::Slots;
    ///
    /// let slots = Slots::new(&path, 1)?;
    /// let held = slots.clone().lock()?;
    /// let refused = slots.lock_while(|obstacle| {
    ///     eprintln!("waiting: {obstacle}");
    ///     false
    /// });
    /// assert!(refused.is_err());
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if `go_on` returns `false`; otherwise as for [`lock`](Self::lock).
    pub fn lock_while(&self, go_on: impl FnMut(&Obstacle) -> bool) -> Result<SlotGuard, Error> {
        self.acquire(WaitLimit::While(&mut asking(go_on)))
    }

    fn acquire(&self, limit: WaitLimit<'_>) -> Result<SlotGuard, Error> {
        let thread = self.queue.thread();
        let (slot, tenure) = run(self.contend(limit, Some(thread), &ThreadPark))?;
        Ok(self.hold(slot, tenure, Some(thread)))
    }

    /// Makes this handle the holder of a slot, by a tenure of this thread's or, if it is `None`, of a
    /// task's.
    pub(crate) fn hold(&self, slot: usize, tenure: Tenure, thread: Option<u64>) -> SlotGuard {
        SlotGuard::new(slot, self.locks[slot].hold(tenure, thread))
    }

    /// The path that the names of the slots begin with. There is no such file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The slots: handles of their locks, in order. With them, one slot can be looked at, swept or
    /// broken.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("encode.lock");
    /// use linklock::{Slots, State};
    ///
    /// let slots = Slots::new(&path, 3)?;
    /// assert_eq!(slots.locks()[2].path(), path.with_file_name("encode.lock.2"));
    /// let guard = slots.lock()?;
    /// let states: Result<Vec<_>, _> = slots.locks().iter().map(|lock| lock.state()).collect();
    /// assert_eq!(states?.iter().filter(|state| **state != State::Unlocked).count(), 1);
    /// # Ok::<(), linklock::Error>(())
    /// ```
    #[must_use]
    pub fn locks(&self) -> &[Lock] {
        &self.locks
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn queue(&self) -> &Lock {
        &self.queue
    }
}

/// Its path and its number of slots: no file is looked at.
impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots")
            .field("path", &self.path)
            .field("slots", &self.locks.len())
            .finish_non_exhaustive()
    }
}

/// An independent handle with the same path and options, which holds no slot.
impl Clone for Slots {
    fn clone(&self) -> Slots {
        let Slots { path, queue, locks } = self;
        Slots { path: path.clone(), queue: queue.clone(), locks: locks.iter().cloned().collect() }
    }
}
