//! Shared locks: any number of readers at once, or one writer. A composition of locks: the protocol of
//! one lock is all that touches a file.

mod guard;
mod read;
mod readers;
mod write;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::guard::{ReadGuard, WriteGuard};
pub(crate) use self::readers::Readers;
use crate::error::Error;
use crate::guard::LockGuard;
use crate::holder::{Holder, Obstacle};
use crate::lock::Lock;
use crate::wait::limit::{WaitLimit, asking};
use crate::wait::park::{ThreadPark, run};

/// A lock that any number of readers hold at once, or one writer, on all machines together: as
/// [`std::sync::RwLock`], for files that many programs read and some replace.
///
/// Readers and writers are made of ordinary locks. A reader takes the lock file `PATH` for a moment,
/// acquires a lock of its own beside it, `PATH.read.NUMBER`, and releases `PATH`. A writer takes
/// `PATH`, keeps it, and waits until each reader has released its lock, or that lock was taken over
/// as any lock is: because its lease is over, or its process provably dead. So readers and writers
/// are served in the order in which they get `PATH`, and no stream of readers keeps a writer waiting.
///
/// Every program that reads or writes must use this type, or `linklock run`, which does. A plain
/// [`Lock`](crate::Lock) with this path, flufl.lock among them, excludes writers and keeps new readers
/// out, but does not wait for those that are in.
///
/// An `RwLock` is a handle, which holds nothing itself. Threads that share it are readers and writers
/// like processes, and so do clones. A reader that wants to write must release the lock first: two
/// readers that waited for each other to leave would wait for ever, so there is no upgrade. A writer
/// can become a reader: see [`WriteGuard::downgrade`].
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("cache.lock");
/// use linklock::RwLock;
///
/// let cache = RwLock::new(&path)?;
/// let (one, other) = (cache.read()?, cache.clone().read()?);
/// assert!(cache.clone().try_write().is_err());
/// drop((one, other));
/// let guard = cache.write()?;
/// assert!(cache.clone().try_read().is_err());
/// guard.unlock()?;
/// # Ok::<(), linklock::Error>(())
/// ```
pub struct RwLock {
    /// The lock file, as a writer takes it.
    writer: Lock,
    /// The same lock file, as a reader takes it for a moment.
    entrance: Lock,
    readers: Arc<Readers>,
}

impl RwLock {
    pub(crate) fn of(writer: Lock, entrance: Lock, readers: Readers) -> RwLock {
        RwLock { writer, entrance, readers: Arc::new(readers) }
    }

    /// Acquires the lock as a reader. Blocks until that is done, or for the default timeout if the
    /// options set one: while a writer holds the lock, or waits for the readers before it.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyLocked`] if this thread holds the lock through this handle, as a reader or as
    /// a writer: a writer that waits for it would keep it out. Otherwise as for [`Lock::lock`].
    pub fn read(&self) -> Result<ReadGuard, Error> {
        self.begin_read(self.usual())
    }

    /// Acquires the lock as a reader if no writer holds it or waits for its readers. Blocks for a few
    /// file operations, and while other readers do the same.
    ///
    /// # Errors
    ///
    /// [`Error::Held`] with the writer; otherwise as for [`read`](Self::read).
    pub fn try_read(&self) -> Result<ReadGuard, Error> {
        self.begin_read(WaitLimit::None)
    }

    /// Acquires the lock as a reader if that is possible within `time`. Blocks for `time` at most, but
    /// does not interrupt a file operation that hangs.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] with the writer; otherwise as for [`read`](Self::read).
    pub fn try_read_for(&self, time: Duration) -> Result<ReadGuard, Error> {
        self.begin_read(WaitLimit::For(time))
    }

    /// Acquires the lock as a reader if that is possible before `deadline`. Blocks until then at most,
    /// but does not interrupt a file operation that hangs.
    ///
    /// # Errors
    ///
    /// As for [`try_read_for`](Self::try_read_for).
    pub fn try_read_until(&self, deadline: Instant) -> Result<ReadGuard, Error> {
        self.try_read_for(deadline.saturating_duration_since(Instant::now()))
    }

    /// Acquires the lock as a reader, and keeps waiting for as long as `go_on` returns `true`. It is
    /// called at least every 100 ms, and before the first wait. Blocks while it waits.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if `go_on` returns `false`; otherwise as for [`read`](Self::read).
    pub fn read_while(&self, go_on: impl FnMut(&Obstacle) -> bool) -> Result<ReadGuard, Error> {
        self.begin_read(WaitLimit::While(&mut asking(go_on)))
    }

    /// Takes the lock file for a moment, as a reader does on its way in, if no writer holds it or waits for
    /// its readers. Blocks for a few file operations, and while other readers do the same.
    ///
    /// This is for programs that keep readers' locks by themselves, as `linklock serve` does for its clients:
    /// acquire a lock with a reader's path while the returned guard holds the lock file, then unlock
    /// that guard. If this succeeds, a writer waits for the reader's lock. If it fails with
    /// [`Error::Lost`], a writer may have come before the reader's lock was there: release that, and
    /// begin again. All other programs use [`read`](Self::read).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("cache.lock");
    /// use linklock::{Lock, RwLock};
    ///
    /// let cache = RwLock::new(&path)?;
    /// let entrance = cache.try_enter()?;
    /// let reader = Lock::new(path.with_extension("lock.read.0123456789abcdef"))?.try_lock()?;
    /// entrance.unlock()?;
    /// assert!(cache.try_write().is_err());
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`try_read`](Self::try_read).
    pub fn try_enter(&self) -> Result<LockGuard, Error> {
        let thread = self.writer.thread();
        self.must_not_wait_for_itself(thread)?;
        let tenure = run(self.take_entrance(&ThreadPark))?;
        Ok(self.entrance.hold(tenure, Some(thread)))
    }

    /// Acquires the lock as its writer. Blocks until no other writer and no reader holds it, or for
    /// the default timeout if the options set one. From when the other writers have gone, readers
    /// that come wait for this writer.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read); and [`Error::Lost`] if a stall of this process longer than the
    /// lifetime made it lose its place while it waited for readers.
    pub fn write(&self) -> Result<WriteGuard, Error> {
        self.begin_write(self.usual())
    }

    /// Acquires the lock as its writer if nobody holds it. Blocks for a few file operations.
    ///
    /// # Errors
    ///
    /// [`Error::Held`] with the writer or one of the readers; otherwise as for
    /// [`write`](Self::write).
    pub fn try_write(&self) -> Result<WriteGuard, Error> {
        self.begin_write(WaitLimit::None)
    }

    /// Acquires the lock as its writer if that is possible within `time`. Blocks for `time` at most,
    /// but does not interrupt a file operation that hangs.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] with the writer or one of the readers; otherwise as for
    /// [`write`](Self::write).
    pub fn try_write_for(&self, time: Duration) -> Result<WriteGuard, Error> {
        self.begin_write(WaitLimit::For(time))
    }

    /// Acquires the lock as its writer if that is possible before `deadline`. Blocks until then at
    /// most, but does not interrupt a file operation that hangs.
    ///
    /// # Errors
    ///
    /// As for [`try_write_for`](Self::try_write_for).
    pub fn try_write_until(&self, deadline: Instant) -> Result<WriteGuard, Error> {
        self.try_write_for(deadline.saturating_duration_since(Instant::now()))
    }

    /// Acquires the lock as its writer, and keeps waiting for as long as `go_on` returns `true`. It is
    /// called at least every 100 ms with the writer or reader that is waited for, and before the
    /// first wait. Blocks while it waits.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("cache.lock");
    /// use linklock::RwLock;
    ///
    /// let cache = RwLock::new(&path)?;
    /// let reader = cache.clone().read()?;
    /// let refused = cache.write_while(|obstacle| {
    ///     eprintln!("waiting: {obstacle}");
    ///     false
    /// });
    /// assert!(refused.is_err());
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if `go_on` returns `false`; otherwise as for [`write`](Self::write).
    pub fn write_while(&self, go_on: impl FnMut(&Obstacle) -> bool) -> Result<WriteGuard, Error> {
        self.begin_write(WaitLimit::While(&mut asking(go_on)))
    }

    fn usual(&self) -> WaitLimit<'static> {
        WaitLimit::of(self.writer.timeout())
    }

    fn begin_read(&self, limit: WaitLimit<'_>) -> Result<ReadGuard, Error> {
        let thread = self.writer.thread();
        self.must_not_wait_for_itself(thread)?;
        let reading = run(self.enter(limit, &ThreadPark))?;
        Ok(ReadGuard::new(self.readers.hold(reading, Some(thread))))
    }

    fn begin_write(&self, limit: WaitLimit<'_>) -> Result<WriteGuard, Error> {
        let thread = self.writer.thread();
        self.must_not_wait_for_itself(thread)?;
        let tenure = run(self.exclude(limit, &ThreadPark))?;
        Ok(WriteGuard::new(self.writer.hold(tenure, Some(thread)), self.readers.clone()))
    }

    fn must_not_wait_for_itself(&self, thread: u64) -> Result<(), Error> {
        if self.writer.is_held_by(thread) || self.readers.is_held_by(thread) {
            return Err(Error::AlreadyLocked { path: self.path().into() });
        }
        Ok(())
    }

    /// The readers that hold the lock. Lists the directory; blocks for a few file operations for each
    /// reader.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("cache.lock");
    /// use linklock::RwLock;
    ///
    /// let cache = RwLock::new(&path)?;
    /// let reader = cache.read()?;
    /// assert_eq!(cache.readers()?[0].pid(), std::process::id());
    /// assert_eq!(cache.writer()?, None);
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the directory cannot be listed, or a lock file cannot be read.
    pub fn readers(&self) -> Result<Vec<Holder>, Error> {
        self.readers.holders()
    }

    /// The locks of the readers that hold the lock: handles, with which one reader can be looked at or
    /// broken. Lists the directory; blocks while it does.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the directory cannot be listed.
    pub fn reader_locks(&self) -> Result<Vec<Lock>, Error> {
        Ok(self.readers.list()?.into_iter().map(|reader| reader.0).collect())
    }

    /// The lock file as a lock by itself, to be looked at, swept or broken. (Its own
    /// methods to acquire it do not wait for readers.)
    #[must_use]
    pub fn as_lock(&self) -> &Lock {
        &self.writer
    }

    /// The writer that holds the lock, or waits for the readers that are in; a program that holds it
    /// as a plain lock counts as one. Blocks for one or two file operations.
    ///
    /// # Errors
    ///
    /// As for [`Lock::holder`].
    pub fn writer(&self) -> Result<Option<Holder>, Error> {
        Ok(self.writer.holder()?.filter(|holder| !holder.is_entering()))
    }

    /// Removes what dead readers and writers have left beside the lock: the locks of readers that are
    /// stale, and the leftovers that [`Lock::sweep`] removes. A writer does the first by itself.
    /// Lists the directory; blocks for a few file operations for each of them. Returns how many
    /// readers' locks were removed.
    ///
    /// # Errors
    ///
    /// As for [`Lock::sweep`].
    pub fn sweep(&self) -> Result<usize, Error> {
        self.writer.sweep()?;
        self.readers.sweep()
    }

    /// The path of the lock file, with which the names of the readers' locks begin.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.writer.path()
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn parts(&self) -> (&Lock, &Arc<Readers>) {
        (&self.writer, &self.readers)
    }
}

/// Its path: no file is looked at.
impl fmt::Debug for RwLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RwLock").field("path", &self.path()).finish_non_exhaustive()
    }
}

/// An independent handle with the same path and options, which does not hold the lock.
impl Clone for RwLock {
    fn clone(&self) -> RwLock {
        let RwLock { writer, entrance, readers } = self;
        RwLock::of(writer.clone(), entrance.clone(), readers.handle())
    }
}
