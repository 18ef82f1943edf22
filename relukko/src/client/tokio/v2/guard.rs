//! The asynchronous guard of a lock with a secret.

use std::fmt;
use std::time::Duration;

use ::tokio::runtime::Handle;

use crate::client::error::ClientError;
use crate::client::holding::Holding;
use crate::client::interface::Own;
use crate::client::secret::Secret;
use crate::client::tenure::LockInfo;
use crate::client::tokio::transport::Tokio;
use crate::info::LockId;

/// A lock that is held. When the guard is dropped, a task releases the lock, for which the runtime must
/// keep running; a failure goes unreported. Call [`unlock`](Self::unlock) to see it.
///
/// A lock is a lease: a holder that cannot reach the server before its lease ends can lose the lock to
/// another client. The holder finds out at its next request, or from
/// [`keep_alive`](Self::keep_alive). What the lock protects can reject a holder that has not found out
/// by its [fencing token](Self::token).
#[must_use = "dropping a guard releases its lock at once: bind it to a name, even to `_guard`"]
pub struct LockGuard {
    holding: Holding<Tokio, Own>,
    runtime: Handle,
    is_done: bool,
}

impl LockGuard {
    /// Must be called on a runtime.
    pub(super) fn new(holding: Holding<Tokio, Own>) -> LockGuard {
        LockGuard { holding, runtime: Handle::current(), is_done: false }
    }

    /// The lock, as the server last described it.
    #[must_use]
    pub fn info(&self) -> LockInfo {
        self.holding.info()
    }

    /// The lock's id.
    #[must_use]
    pub fn id(&self) -> LockId {
        self.holding.id()
    }

    /// The secret that shows the server that the lock is this holder's.
    #[must_use]
    pub fn secret(&self) -> Secret {
        self.holding.interface().0.clone()
    }

    /// The fencing token: higher than those of all tenures of the lock before. `None` if the server
    /// gives none.
    #[must_use]
    pub fn token(&self) -> Option<u64> {
        self.holding.info().token
    }

    /// The number of the slot, if one [was asked for](super::LockRequest::slots).
    #[must_use]
    pub fn slot(&self) -> Option<u32> {
        self.holding.info().slot
    }

    /// How much longer the lock is certain not to expire, by this machine's clock. Zero once that
    /// time has passed.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.holding.remaining()
    }

    /// Renews the lease for the lock's lifetime. Success shows that the lock is still held.
    ///
    /// # Errors
    ///
    /// [`ClientError::Lost`] if the lock is gone; after any other error it may still be held, and
    /// you may try again while the lease runs.
    pub async fn refresh(&self) -> Result<(), ClientError> {
        self.refresh_for(self.lifetime()).await
    }

    /// Renews the lease for this time, whether it then ends later or sooner than before. From now on
    /// it is the lock's lifetime, within the limits of the server.
    ///
    /// # Errors
    ///
    /// As for [`refresh`](Self::refresh).
    pub async fn refresh_for(&self, lifetime: Duration) -> Result<(), ClientError> {
        self.holding.refresh(lifetime).await
    }

    /// Keeps the lock alive until the guard is dropped: a task renews the lease at each third of the
    /// lock's lifetime, and at once.
    ///
    /// If the lock is lost nevertheless, `on_lost` is called once, in that task, with the reason:
    /// [`ClientError::Lost`], or [`ClientError::Expired`] if the server was out of reach until the
    /// lease ended. The callback should stop the work at once. Work that blocks the runtime's threads
    /// keeps that task from running, too.
    ///
    /// A second call replaces the first.
    ///
    /// # Errors
    ///
    /// As for [`refresh`](Self::refresh).
    pub async fn keep_alive(
        &self,
        on_lost: impl FnOnce(ClientError) + Send + 'static,
    ) -> Result<(), ClientError> {
        self.holding.keep_alive(self.lifetime(), on_lost).await
    }

    /// Ends the guard and leaves the lock held: until its lease ends, or for a guard that
    /// [`adopt`](super::Client::adopt) makes of the id and the secret. It is not kept alive meanwhile.
    #[must_use = "without the secret the lock can only be waited for"]
    pub fn detach(mut self) -> (LockId, Secret) {
        self.holding.let_go();
        self.is_done = true;
        (self.id(), self.secret())
    }

    /// Releases this lock, and no other lock of the same name. If the future is dropped, a task
    /// releases it.
    ///
    /// # Errors
    ///
    /// [`ClientError::Lost`] if the lock was gone already: what it guards may have changed in the
    /// meantime. Another error if the server could not be reached: then the lock ends when it
    /// expires.
    pub async fn unlock(mut self) -> Result<(), ClientError> {
        let released = self.holding.release().await;
        self.is_done = true;
        released
    }

    fn lifetime(&self) -> Duration {
        self.holding.info().lifetime.unwrap_or(Duration::from_secs(1))
    }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        self.holding.let_go();
        if !self.is_done {
            let holding = self.holding.clone();
            self.runtime.spawn(async move {
                let _ = holding.release().await; // or it expires
            });
        }
    }
}

impl fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockGuard")
            .field("info", &self.info())
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}
