//! What a handle shows of its lock without acquiring it.

use std::time::SystemTime;

use crate::error::Error;
use crate::holder::{Holder, Obstacle, State};
use crate::lock::Lock;
use crate::protocol::observe::{Observation, observe, unreadable};
use crate::sys::process::Life;

impl Lock {
    /// Whether this handle holds the lock and its lease runs, as far as the file server knows.
    /// Unlike flufl.lock's `is_locked`, this does not refresh the lock. Blocks for one check
    /// of the lock file, if the handle has a guard.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// let lock = linklock::Lock::new(&path)?;
    /// assert!(!lock.is_locked()?);
    /// let guard = lock.lock()?;
    /// assert!(lock.is_locked()?);
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if that cannot be determined.
    pub fn is_locked(&self) -> Result<bool, Error> {
        match self.tenure().map(|tenure| tenure.verify()) {
            None | Some(Err(Error::Lost { .. } | Error::Expired { .. })) => Ok(false),
            Some(Ok(())) => Ok(true),
            Some(Err(error)) => Err(error),
        }
    }

    /// The process that holds the lock; `None` if the lock is free. flufl.lock: `details`. Blocks
    /// for one read of the lock file.
    ///
    /// # Errors
    ///
    /// [`Error::Held`] if the file of that name is not a lock or cannot be read; [`Error::Io`].
    pub fn holder(&self) -> Result<Option<Holder>, Error> {
        let obstacle = match observe(&self.context)? {
            Observation::Free => return Ok(None),
            Observation::Held(_, holder) => return Ok(Some(holder)),
            Observation::NotALock => Obstacle::NotALock,
            Observation::Unreadable(error) => {
                unreadable(&self.context, self.context.machine.find(self.path())?.as_ref(), error)
            }
        };
        Err(Error::Held { path: self.path().into(), obstacle: Box::new(obstacle) })
    }

    /// What can be inferred about the lock without holding it. flufl.lock: `state`. Blocks for one
    /// read of the lock file.
    ///
    /// Whether a lease is expired is decided by the file server's time if this handle has ever
    /// acquired the lock, and by this machine's date otherwise.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// use linklock::{Lock, State};
    ///
    /// let lock = Lock::new(&path)?;
    /// assert_eq!(lock.state()?, State::Unlocked);
    /// let guard = lock.lock()?;
    /// assert_eq!(lock.state()?, State::Ours);
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a file operation failed.
    pub fn state(&self) -> Result<State, Error> {
        let (held, holder) = match observe(&self.context)? {
            Observation::Free => return Ok(State::Unlocked),
            Observation::NotALock | Observation::Unreadable(_) => return Ok(State::Unknown),
            Observation::Held(held, holder) => (held, holder),
        };
        let this = self.context.machine.processes.this();
        let same_host = holder.host() == self.host_name();
        Ok(match (same_host && held.claim.process() == this, holder.is_expired()) {
            (true, false) => State::Ours,
            (true, true) => State::OursExpired,
            (false, _) if holder.life() == Life::Dead => State::Stale,
            (false, true) => State::TheirsExpired,
            (false, false) => State::Unknown,
        })
    }

    /// When the holder's lease ends, in the file server's time; `None` if the lock is free. Blocks
    /// for one read of the lock file. flufl.lock: `expiration`.
    ///
    /// # Errors
    ///
    /// As for [`holder`](Self::holder).
    pub fn expires_at(&self) -> Result<Option<SystemTime>, Error> {
        Ok(self.holder()?.map(|holder| holder.expires_at()))
    }
}
