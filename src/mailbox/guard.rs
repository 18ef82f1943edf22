//! The guard: while it lives, its process holds the mailbox.

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::error::{Error, Operation};
use crate::keep_alive::schedule::Renewable;
use crate::keep_alive::thread::KeepAlive;
use crate::mailbox::mbox_file::MboxFile;
use crate::mailbox::tenure::MailboxTenure;

/// A mailbox that is locked, by fcntl(2) and by its dotlock. Dropping it releases both.
///
/// It is a lease of [30 s](crate::mailbox::LEASE): after that time without a
/// [`refresh`](Self::refresh) other programs may break the dotlock. Drop never panics, and reports
/// failures through the feature `tracing`. In a forked child, which holds nothing, it does nothing.
#[must_use = "dropping a guard unlocks its mailbox at once: bind it to a name, even to `_guard`"]
pub struct MailboxGuard {
    tenure: Arc<MailboxTenure>,
    kept_alive: Mutex<Option<KeepAlive>>,
}

impl MailboxGuard {
    pub(crate) fn new(tenure: Arc<MailboxTenure>) -> MailboxGuard {
        MailboxGuard { tenure, kept_alive: Mutex::default() }
    }

    /// The mailbox.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.tenure.context.mailbox
    }

    /// Its dotlock.
    #[must_use]
    pub fn dotlock_path(&self) -> &Path {
        &self.tenure.context.dotlock
    }

    /// The mailbox, open for reading and writing, at its start: the file that the fcntl(2) lock is
    /// on. `None` if there was no mailbox, or if it was not to be locked itself.
    ///
    /// Don't put another file in the mailbox's place: the lock is on this one. To shorten it, rewrite
    /// this file and truncate it.
    #[must_use]
    pub fn file(&self) -> Option<&File> {
        self.tenure.mailbox().and_then(MboxFile::file)
    }

    /// Touches the dotlock, so that the lease is 30 s again, and checks that it is still ours.
    ///
    /// Blocks for two file operations. Once the lease is over it also waits, for 30 s at most, for the
    /// lock that a program takes before it removes another's dotlock.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] if the dotlock is not ours any more: another may have written to the mailbox.
    /// [`Error::Expired`] if the lease is over and this process stood still each time it tried to renew
    /// it; [`Error::TimedOut`] if others were about to remove the dotlock for 30 s; [`Error::Io`] if a
    /// file operation failed.
    pub fn refresh(&self) -> Result<(), Error> {
        self.tenure.refresh()
    }

    /// Makes sure, without touching anything, that the dotlock is ours and that its lease runs.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] if it is not ours any more; [`Error::Expired`] if its lease is over, so that
    /// others may break it at any time; [`Error::Io`] if a file operation failed.
    pub fn verify(&self) -> Result<(), Error> {
        self.tenure.verify()
    }

    /// For how much longer others respect the dotlock, by this machine's clock. Zero once the lease
    /// is over.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.tenure.remaining()
    }

    /// Keeps the dotlock alive until the guard is dropped: from now on another thread touches it
    /// every 10 s. Behaves as [`LockGuard::keep_alive`](crate::LockGuard::keep_alive) does.
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
        let kept = KeepAlive::start(&self.tenure, Box::new(on_lost))
            .map_err(Error::io(Operation::KeepAlive, self.path()))?;
        *self.kept_alive.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        Ok(())
    }

    /// Unlocks the mailbox, and reports failures. Write all data to disk before
    /// ([`File::sync_data`]), so that the next holder, on another machine, sees it.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] if the dotlock was not ours any more: another may have written to the
    /// mailbox while we did. [`Error::Io`] if a file operation failed.
    pub fn unlock(self) -> Result<(), Error> {
        self.stop_keep_alive();
        self.tenure.release()
    }

    fn stop_keep_alive(&self) {
        if !self.tenure.is_ours() {
            return; // there is no thread to stop in a forked child, which may hang on its locks
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
