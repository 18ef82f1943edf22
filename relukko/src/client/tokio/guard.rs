//! The asynchronous guard, which holds a lock.

use std::fmt;
use std::time::Duration;

use super::held::Held;
use super::transport::Tokio;
use crate::client::error::ClientError;
use crate::client::holding::Holding;
use crate::client::interface::Relukko;
use crate::info::{LockId, LockInfo};

/// A lock that is held. When the guard is dropped, a task deletes the lock, for which the runtime
/// must keep running; a failure goes unreported. Call [`unlock`](Self::unlock) to see it.
///
/// A lock is a lease, not a fence: a holder that cannot reach the server before its lease ends can
/// lose the lock to another client. The holder finds out at its next request, or from
/// [`keep_alive`](Self::keep_alive).
#[must_use = "dropping a guard deletes its lock at once: bind it to a name, even to `_guard`"]
pub struct LockGuard {
    held: Held<Relukko>,
}

impl LockGuard {
    /// Must be called on a runtime.
    pub(super) fn new(holding: Holding<Tokio>) -> LockGuard {
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

    /// Like [`LockGuard::refresh`](crate::LockGuard::refresh).
    ///
    /// # Errors
    ///
    /// [`ClientError::Lost`] if the lock is gone; after any other error it may still be held, and
    /// you may try again while the lease runs.
    pub async fn refresh(&self, lifetime: Duration) -> Result<(), ClientError> {
        self.held.refresh(lifetime).await
    }

    /// Like [`LockGuard::expire_in`](crate::LockGuard::expire_in).
    ///
    /// # Errors
    ///
    /// As for [`refresh`](Self::refresh).
    pub async fn expire_in(&self, lifetime: Duration) -> Result<(), ClientError> {
        self.held.expire_in(lifetime).await
    }

    /// Keeps the lock alive until the guard is dropped: a task renews the lease, so that the lock
    /// never expires within two thirds of this time, and never sooner than it would have.
    ///
    /// If the lock is lost nevertheless, `on_lost` is called once, in that task, with the reason:
    /// [`ClientError::Lost`], or [`ClientError::Expired`] if the server was out of reach until the
    /// lease ended. The callback should stop the work at once. Work that blocks the runtime's
    /// threads keeps that task from running, too.
    ///
    /// A second call replaces the first.
    ///
    /// # Errors
    ///
    /// As for [`refresh`](Self::refresh), and [`ClientError::Invalid`] if the time is less than a
    /// second.
    pub async fn keep_alive(
        &self,
        lifetime: Duration,
        on_lost: impl FnOnce(ClientError) + Send + 'static,
    ) -> Result<(), ClientError> {
        self.held.keep_alive(lifetime, on_lost).await
    }

    /// Deletes this lock, and no other lock of the same name. If the future is dropped, a task
    /// deletes it.
    ///
    /// # Errors
    ///
    /// [`ClientError::Lost`] if the lock was gone already: what it guards may have changed in the
    /// meantime. Another error if the server could not be reached: then the lock ends when it
    /// expires.
    pub async fn unlock(self) -> Result<(), ClientError> {
        self.held.unlock().await
    }
}

impl fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.held.fmt(f)
    }
}
