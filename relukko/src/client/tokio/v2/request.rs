//! A request for a lock.

use std::fmt;
use std::time::{Duration, Instant};

use super::LockGuard;
use crate::client::error::ClientError;
use crate::client::queueing::acquire;
use crate::client::session::Session;
use crate::client::tenure::Terms;
use crate::client::tokio::cancel::in_task;
use crate::client::tokio::transport::Tokio;
use crate::client::wait_limit::WaitLimit;
use crate::info::Access;

/// A request for a lock: see [`Client::request`](super::Client::request). Like
/// [`v2::LockRequest`](crate::v2::LockRequest), but the methods that send it are futures.
///
/// A future may be dropped, which cancels the wait and leaves no lock behind, as far as the server can be
/// reached and the runtime keeps running: a task releases a lock that a request may have acquired by then.
#[derive(Clone)]
#[must_use = "a request has no effect until it is sent"]
pub struct LockRequest {
    session: Session<Tokio>,
    terms: Terms,
}

impl LockRequest {
    pub(super) fn new(session: Session<Tokio>, name: String) -> LockRequest {
        LockRequest {
            session,
            terms: Terms { name, slots: None, access: None, lifetime: None, who: None, note: None },
        }
    }

    /// How long the lock lasts, unless it is renewed: at least a second, and at most as long as the
    /// server allows. Without this the server chooses: 10 minutes by default.
    pub fn lifetime(mut self, lifetime: Duration) -> LockRequest {
        self.terms.lifetime = Some(lifetime);
        self
    }

    /// Asks for any slot of a set instead: see
    /// [`v2::LockRequest::slots`](crate::v2::LockRequest::slots).
    pub fn slots(mut self, number: u32) -> LockRequest {
        self.terms.slots = Some(number);
        self
    }

    /// Asks for the lock to read or to write: see
    /// [`v2::LockRequest::access`](crate::v2::LockRequest::access).
    pub fn access(mut self, access: Access) -> LockRequest {
        self.terms.access = Some(access);
        self
    }

    /// How the holder calls itself, for people who look at the lock.
    pub fn who(mut self, who: impl Into<String>) -> LockRequest {
        self.terms.who = Some(who.into());
        self
    }

    /// A note about the work, for people who look at the lock.
    pub fn note(mut self, note: impl Into<String>) -> LockRequest {
        self.terms.note = Some(note.into());
        self
    }

    /// Like [`v2::LockRequest::lock`](crate::v2::LockRequest::lock).
    ///
    /// # Errors
    ///
    /// [`ClientError`]. After an error the lock is not held, as far as the server can be reached.
    pub async fn lock(&self) -> Result<LockGuard, ClientError> {
        self.acquire(WaitLimit::<fn() -> bool>::Endless).await
    }

    /// Like [`v2::LockRequest::try_lock`](crate::v2::LockRequest::try_lock).
    ///
    /// # Errors
    ///
    /// [`ClientError::Held`], and otherwise as for [`lock`](Self::lock).
    pub async fn try_lock(&self) -> Result<LockGuard, ClientError> {
        self.acquire(WaitLimit::<fn() -> bool>::None).await
    }

    /// Like [`v2::LockRequest::try_lock_for`](crate::v2::LockRequest::try_lock_for).
    ///
    /// # Errors
    ///
    /// [`ClientError::TimedOut`], and otherwise as for [`lock`](Self::lock).
    pub async fn try_lock_for(&self, time: Duration) -> Result<LockGuard, ClientError> {
        self.acquire(WaitLimit::within(time)).await
    }

    /// Like [`v2::LockRequest::try_lock_until`](crate::v2::LockRequest::try_lock_until).
    ///
    /// # Errors
    ///
    /// As for [`try_lock_for`](Self::try_lock_for).
    pub async fn try_lock_until(&self, deadline: Instant) -> Result<LockGuard, ClientError> {
        self.acquire(WaitLimit::<fn() -> bool>::Until(deadline)).await
    }

    /// Like [`v2::LockRequest::lock_while`](crate::v2::LockRequest::lock_while).
    ///
    /// # Errors
    ///
    /// [`ClientError::TimedOut`] once `go_on` returns false, and otherwise as for
    /// [`lock`](Self::lock).
    pub async fn lock_while(
        &self,
        go_on: impl FnMut() -> bool + Send + 'static,
    ) -> Result<LockGuard, ClientError> {
        self.acquire(WaitLimit::While(go_on)).await
    }

    async fn acquire(
        &self,
        limit: WaitLimit<impl FnMut() -> bool + Send + 'static>,
    ) -> Result<LockGuard, ClientError> {
        let (session, terms) = (self.session.clone(), self.terms.clone());
        in_task(&self.session.transport, async move |bell| {
            acquire(session, terms, limit, bell).await.map(LockGuard::new)
        })
        .await
    }
}

impl fmt::Debug for LockRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LockRequest").field(&self.terms).finish()
    }
}
