//! The blocking guard, which holds a lock.

use std::fmt;
use std::time::Duration;

use super::held::Held;
use super::transport::Blocking;
use super::wake::run;
use crate::client::error::ClientError;
use crate::client::holding::Holding;
use crate::client::interface::Relukko;
use crate::info::{LockId, LockInfo};

/// A lock that is held. Dropping the guard deletes the lock, which takes a request whose failure
/// goes unreported; call [`unlock`](Self::unlock) to see it.
///
/// A lock is a lease, not a fence: a holder that cannot reach the server before its lease ends can
/// lose the lock to another client. The holder finds out at its next request, or from
/// [`keep_alive`](Self::keep_alive).
#[must_use = "dropping a guard deletes its lock at once: bind it to a name, even to `_guard`"]
pub struct LockGuard {
    held: Held<Relukko>,
}

impl LockGuard {
    pub(super) fn new(holding: Holding<Blocking>) -> LockGuard {
        LockGuard { held: Held::new(holding) }
    }

    /// The lock, as the server last described it.
    #[must_use]
    pub fn info(&self) -> LockInfo {
        self.held.info()
    }

    /// The lock's id.
    #[must_use]
    pub fn id(&self) -> LockId {
        self.held.id()
    }

    /// How much longer the lock is certain not to expire, by this machine's clock. Zero once that
    /// time has passed.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.held.remaining()
    }

    /// Renews the lease, so that the lock does not expire within this time. The lock never expires
    /// sooner than it would have.
    ///
    /// # Errors
    ///
    /// [`ClientError::Lost`] if the lock is gone; after any other error it may still be held, and
    /// you may try again while the lease runs.
    pub fn refresh(&self, lifetime: Duration) -> Result<(), ClientError> {
        run(self.held.refresh(lifetime))
    }

    /// Sets the lock to expire after this time, whether that is later or sooner than before. If
    /// this client dies, others wait that long.
    ///
    /// # Errors
    ///
    /// As for [`refresh`](Self::refresh).
    pub fn expire_in(&self, lifetime: Duration) -> Result<(), ClientError> {
        run(self.held.expire_in(lifetime))
    }

    /// Keeps the lock alive until the guard is dropped: a thread renews the lease, so that the lock
    /// never expires within two thirds of this time, and never sooner than it would have.
    ///
    /// If the lock is lost nevertheless, `on_lost` is called once, on that thread, with the reason:
    /// [`ClientError::Lost`], or [`ClientError::Expired`] if the server was out of reach until the
    /// lease ended. The callback should stop the work at once.
    ///
    /// A second call replaces the first.
    ///
    /// # Errors
    ///
    /// As for [`refresh`](Self::refresh), and [`ClientError::Invalid`] if no thread can be started
    /// or the time is less than a second.
    pub fn keep_alive(
        &self,
        lifetime: Duration,
        on_lost: impl FnOnce(ClientError) + Send + 'static,
    ) -> Result<(), ClientError> {
        run(self.held.keep_alive(lifetime, on_lost))
    }

    /// Deletes this lock, and no other lock of the same name.
    ///
    /// # Errors
    ///
    /// [`ClientError::Lost`] if the lock was gone already: what it guards may have changed in the
    /// meantime. Another error if the server could not be reached: then the lock ends when it
    /// expires.
    pub fn unlock(self) -> Result<(), ClientError> {
        self.held.unlock()
    }
}

impl fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.held.fmt(f)
    }
}
