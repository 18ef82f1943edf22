//! The slots of the tokio face: a handle, as in the blocking face.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::acquire::{AsyncWaitLimit, drive};
use super::guard::SlotGuard;
use super::pool::leave_to_pool;
use crate::error::Error;
use crate::wait::limit::WaitLimit;
use crate::wait::yielding::Yielding;

/// Up to a number of holders at once, on all machines together: [`linklock::Slots`](crate::Slots),
/// but its methods are futures. See [the module](crate::tokio) for what they need, and what happens
/// to a future that is dropped.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("encode.lock");
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
/// use linklock::tokio::Slots;
///
/// let slots = Slots::new(&path, 2)?;
/// let tasks = [1, 2, 3, 4].map(|_| {
///     let slots = slots.clone();
///     tokio::spawn(async move {
///         let guard = slots.lock().await?;
///         // ... two at a time, on GPU guard.slot() ...
///         guard.into_guard().unlock().await
///     })
/// });
/// for task in tasks {
///     task.await.expect("no task panics")?;
/// }
/// # Ok::<(), linklock::Error>(())
/// # })?;
/// # Ok::<(), linklock::Error>(())
/// ```
#[derive(Clone)]
pub struct Slots {
    /// `None` only while this is being dropped.
    blocking: Option<Arc<crate::Slots>>,
}

impl Slots {
    /// A set of this many slots with the default options. To set options, make a
    /// [`linklock::Slots`](crate::LockOptions::slots) and convert it.
    ///
    /// # Errors
    ///
    /// As for [`linklock::Slots::new`](crate::Slots::new).
    pub fn new(path: impl Into<PathBuf>, slots: u32) -> Result<Slots, Error> {
        crate::Slots::new(path, slots).map(Slots::from)
    }

    /// Acquires a slot. Waits until one is acquired, or for the default timeout if the options set
    /// one.
    ///
    /// # If it is dropped
    ///
    /// As for [`Lock::lock`](super::Lock::lock).
    ///
    /// # Errors
    ///
    /// As for [`Lock::lock`](super::Lock::lock).
    ///
    /// # Panics
    ///
    /// As for [`Lock::lock`](super::Lock::lock).
    pub async fn lock(&self) -> Result<SlotGuard, Error> {
        self.acquire(WaitLimit::of(self.shared().queue().timeout())).await
    }

    /// Acquires a slot if one is free, which takes a few file operations for each slot.
    ///
    /// # If it is dropped
    ///
    /// As for [`lock`](Self::lock).
    ///
    /// # Errors
    ///
    /// [`Error::Held`] with the holder of one of the slots; otherwise as for [`lock`](Self::lock).
    ///
    /// # Panics
    ///
    /// As for [`lock`](Self::lock).
    pub async fn try_lock(&self) -> Result<SlotGuard, Error> {
        self.acquire(WaitLimit::None).await
    }

    /// Acquires a slot if that is possible within `time`, counted from when a thread of the pool
    /// begins the acquisition.
    ///
    /// # If it is dropped
    ///
    /// As for [`lock`](Self::lock).
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] with the holder of one of the slots; otherwise as for
    /// [`lock`](Self::lock).
    ///
    /// # Panics
    ///
    /// As for [`lock`](Self::lock).
    pub async fn try_lock_for(&self, time: Duration) -> Result<SlotGuard, Error> {
        self.acquire(WaitLimit::For(time)).await
    }

    /// Acquires a slot if that is possible before `deadline`.
    ///
    /// # If it is dropped
    ///
    /// As for [`lock`](Self::lock).
    ///
    /// # Errors
    ///
    /// As for [`try_lock_for`](Self::try_lock_for).
    ///
    /// # Panics
    ///
    /// As for [`lock`](Self::lock).
    pub async fn try_lock_until(&self, deadline: Instant) -> Result<SlotGuard, Error> {
        self.try_lock_for(deadline.saturating_duration_since(Instant::now())).await
    }

    async fn acquire(&self, limit: AsyncWaitLimit) -> Result<SlotGuard, Error> {
        let slots = self.shared();
        let contender = slots.clone();
        let contention =
            |parker: Arc<Yielding>| async move { contender.contend(limit, None, &*parker).await };
        let (slot, tenure) = drive(&slots.queue().context, contention).await?;
        let guard = slots.hold(slot, tenure, None).into_guard();
        Ok(SlotGuard::new(slot, guard.into()))
    }

    /// The path that the names of the slots begin with.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.shared().path()
    }

    /// The blocking handle, for everything else.
    #[must_use]
    pub fn as_blocking(&self) -> &crate::Slots {
        self.shared()
    }

    fn shared(&self) -> &Arc<crate::Slots> {
        self.blocking.as_ref().expect("the handle exists until it is dropped")
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        leave_to_pool(self.blocking.take()); // its locks may have kept claims
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_blocking().fmt(f)
    }
}

impl From<crate::Slots> for Slots {
    fn from(slots: crate::Slots) -> Slots {
        Slots { blocking: Some(Arc::new(slots)) }
    }
}
