//! The guard of a lock with a secret.

use std::fmt;
use std::time::Duration;

use super::{LockInfo, Secret};
use crate::client::blocking::held::Held;
use crate::client::blocking::transport::Blocking;
use crate::client::blocking::wake::run;
use crate::client::error::ClientError;
use crate::client::holding::Holding;
use crate::client::interface::Own;
use crate::info::LockId;

/// A lock that is held. Dropping the guard releases the lock, which takes a request whose failure goes
/// unreported; call [`unlock`](Self::unlock) to see it.
///
/// A lock is a lease: a holder that cannot reach the server before its lease ends can lose the lock to
/// another client. The holder finds out at its next request, or from
/// [`keep_alive`](Self::keep_alive). What the lock protects can reject a holder that has not found out
/// by its [fencing token](Self::token).
#[must_use = "dropping a guard releases its lock at once: bind it to a name, even to `_guard`"]
pub struct LockGuard {
    held: Held<Own>,
}

impl LockGuard {
    pub(super) fn new(holding: Holding<Blocking, Own>) -> LockGuard {
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

    /// The secret that shows the server that the lock is this holder's.
    #[must_use]
    pub fn secret(&self) -> Secret {
        self.held.interface().0.clone()
    }

    /// The fencing token: higher than those of all tenures of the lock before. `None` if the server
    /// gives none.
    #[must_use]
    pub fn token(&self) -> Option<u64> {
        self.held.info().token
    }

    /// The number of the slot, if one [was asked for](super::LockRequest::slots).
    #[must_use]
    pub fn slot(&self) -> Option<u32> {
        self.held.info().slot
    }

    /// How much longer the lock is certain not to expire, by this machine's clock. Zero once that
    /// time has passed.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.held.remaining()
    }

    /// Renews the lease for the lock's lifetime. Success shows that the lock is still held.
    ///
    /// # Errors
    ///
    /// [`ClientError::Lost`] if the lock is gone; after any other error it may still be held, and
    /// you may try again while the lease runs.
    pub fn refresh(&self) -> Result<(), ClientError> {
        self.refresh_for(self.lifetime())
    }

    /// Renews the lease for this time, whether it then ends later or sooner than before. From now on
    /// it is the lock's lifetime, within the limits of the server.
    ///
    /// # Errors
    ///
    /// As for [`refresh`](Self::refresh).
    pub fn refresh_for(&self, lifetime: Duration) -> Result<(), ClientError> {
        run(self.held.refresh(lifetime))
    }

    /// Keeps the lock alive until the guard is dropped: a thread renews the lease at each third of the
    /// lock's lifetime, and at once.
    ///
    /// If the lock is lost nevertheless, `on_lost` is called once, on that thread, with the reason:
    /// [`ClientError::Lost`], or [`ClientError::Expired`] if the server was out of reach until the
    /// lease ended. The callback should stop the work at once.
    ///
    /// A second call replaces the first.
    ///
    /// # Errors
    ///
    /// As for [`refresh`](Self::refresh), and [`ClientError::Invalid`] if no thread can be started.
    pub fn keep_alive(
        &self,
        on_lost: impl FnOnce(ClientError) + Send + 'static,
    ) -> Result<(), ClientError> {
        run(self.held.keep_alive(self.lifetime(), on_lost))
    }

    /// Ends the guard and leaves the lock held: until its lease ends, or for a guard that
    /// [`adopt`](super::Client::adopt) makes of the id and the secret. It is not kept alive meanwhile.
    #[must_use = "without the secret the lock can only be waited for"]
    pub fn detach(self) -> (LockId, Secret) {
        let own = (self.id(), self.secret());
        self.held.let_go();
        own
    }

    /// Releases this lock, and no other lock of the same name.
    ///
    /// # Errors
    ///
    /// [`ClientError::Lost`] if the lock was gone already: what it guards may have changed in the
    /// meantime. Another error if the server could not be reached: then the lock ends when it
    /// expires.
    pub fn unlock(self) -> Result<(), ClientError> {
        self.held.unlock()
    }

    fn lifetime(&self) -> Duration {
        self.held.info().lifetime.unwrap_or(Duration::from_secs(1))
    }
}

impl fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.held.fmt(f)
    }
}
