//! The guard: while it lives, its process holds the mailbox.

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::error::{Error, Operation};
use crate::keep_alive::report::KeepAlive;
use crate::keep_alive::schedule::Renewable;
use crate::keep_alive::thread::Renewing;
use crate::mailbox::mbox_file::MboxFile;
use crate::mailbox::tenure::MailboxTenure;

/// A locked mailbox: by fcntl(2) and by its dotlock. Dropping the guard releases both.
///
/// The guard has a lease of [30 s](crate::mailbox::LEASE): after that time without a
/// [`refresh`](Self::refresh) other programs may break the dotlock. Dropping it never panics, and
/// reports failures through the feature `tracing`. In a forked child, which does not hold the lock,
/// a guard has no effect.
#[must_use = "dropping a guard unlocks its mailbox at once: bind it to a name, even to `_guard`"]
pub struct MailboxGuard {
    tenure: Arc<MailboxTenure>,
    kept_alive: Mutex<Option<Renewing>>,
}

impl MailboxGuard {
    pub(crate) fn new(tenure: Arc<MailboxTenure>) -> MailboxGuard {
        MailboxGuard { tenure, kept_alive: Mutex::default() }
    }

    /// The path of the mailbox.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.tenure.context.mailbox
    }

    /// The path of its dotlock.
    #[must_use]
    pub fn dotlock_path(&self) -> &Path {
        &self.tenure.context.dotlock
    }

    /// The mailbox, open for reading and writing, positioned at its start: the file that the
    /// fcntl(2) lock is on. `None` if there was no mailbox, or if the options exclude it from
    /// locking.
    ///
    /// Don't replace the mailbox by another file, because the lock is on this one. To shorten the
    /// mailbox, rewrite this file and truncate it.
    #[must_use]
    pub fn file(&self) -> Option<&File> {
        self.tenure.mailbox().and_then(MboxFile::file)
    }

    /// Touches the dotlock, which extends the lease to 30 s from now, and checks that it is still
    /// ours.
    ///
    /// Blocks for two file operations. After the end of the lease it also waits, for 30 s at most,
    /// for the lock that a program takes before it removes another program's dotlock.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] if the dotlock is no longer ours: another program may have written to the
    /// mailbox. [`Error::Expired`] if the lease is over and this process stalled each time it tried
    /// to renew it; [`Error::TimedOut`] if other programs were about to remove the dotlock for 30
    /// s; [`Error::Io`] if a file operation failed.
    pub fn refresh(&self) -> Result<(), Error> {
        self.tenure.refresh()
    }

    /// Checks that the dotlock is ours and that its lease runs, without touching it.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] if it is no longer ours; [`Error::Expired`] if its lease is over, so that
    /// other programs may break it at any time; [`Error::Io`] if a file operation failed.
    pub fn verify(&self) -> Result<(), Error> {
        self.tenure.verify()
    }

    /// How much longer other programs respect the dotlock, by this machine's clock. Zero once the
    /// lease is over.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.tenure.remaining()
    }

    /// Keeps the dotlock alive until the guard is dropped: from now on a background thread touches
    /// it every 10 s. Otherwise it behaves as
    /// [`LockGuard::keep_alive`](crate::LockGuard::keep_alive) does.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let mbox = dir.path().join("joe");
    /// let guard = linklock::mailbox::MailboxLock::new(&mbox)?.lock()?;
    /// guard.keep_alive(|why| eprintln!("stop: {why}"))?;
    /// // ... a long rewrite of the mailbox ...
    /// guard.unlock()?;
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the thread can't be started.
    pub fn keep_alive(&self, on_lost: impl FnOnce(Error) + Send + 'static) -> Result<(), Error> {
        let kept = Renewing::start(&self.tenure, Box::new(on_lost))
            .map_err(Error::io(Operation::KeepAlive, self.path()))?;
        *self.kept_alive.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        Ok(())
    }

    /// Keeps the dotlock alive as [`keep_alive`](Self::keep_alive) does, and returns a value that
    /// reports its loss instead of calling a function: see
    /// [`LockGuard::kept_alive`](crate::LockGuard::kept_alive).
    ///
    /// # Errors
    ///
    /// As for [`keep_alive`](Self::keep_alive).
    pub fn kept_alive(&self) -> Result<KeepAlive, Error> {
        let (kept, on_lost) = KeepAlive::begin();
        self.keep_alive(on_lost)?;
        Ok(kept)
    }

    /// Unlocks the mailbox, and reports failures. Write all data to disk before
    /// ([`File::sync_data`]), so that the next holder, on another machine, sees it.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] if the dotlock was no longer ours: another program may have written to the
    /// mailbox while we did. [`Error::Io`] if a file operation failed.
    pub fn unlock(self) -> Result<(), Error> {
        self.stop_keep_alive();
        self.tenure.release()
    }

    fn stop_keep_alive(&self) {
        if !self.tenure.is_ours() {
            return; // a forked child has no such thread, and could hang on its mutexes
        }
        *self.kept_alive.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl fmt::Debug for MailboxGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailboxGuard")
            .field("path", &self.path())
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}

impl Drop for MailboxGuard {
    fn drop(&mut self) {
        if self.tenure.is_held() {
            self.stop_keep_alive();
            self.tenure.close();
        }
    }
}
