//! Requests about locks, with blocking calls.

use std::time::{Duration, SystemTime};

use super::Client;
use super::wake::run;
use crate::client::error::ClientError;
use crate::client::request::Request;
use crate::info::{LockId, LockInfo};

impl Client {
    /// All locks that are held.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn list(&self) -> Result<Vec<LockInfo>, ClientError> {
        run(self.session.list())
    }

    /// A lock that is held.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub fn get(&self, id: LockId) -> Result<LockInfo, ClientError> {
        run(self.session.ask(Request::get(id)))
    }

    /// Sets a lock's creator and expiry date; `None` leaves the value unchanged.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub fn update(
        &self,
        id: LockId,
        creator: Option<&str>,
        expires_at: Option<SystemTime>,
    ) -> Result<LockInfo, ClientError> {
        run(self.session.ask(Request::update(id, creator, expires_at)?))
    }

    /// Deletes a lock, whichever client holds it, and returns its last state. For your own lock use
    /// [`LockGuard::unlock`](crate::LockGuard::unlock).
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub fn delete(&self, id: LockId) -> Result<LockInfo, ClientError> {
        run(self.session.ask(Request::delete(id)))
    }

    /// Sets a lock to expire in 5 minutes, whether that is later or sooner than before.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub fn keep_alive(&self, id: LockId) -> Result<LockInfo, ClientError> {
        run(self.session.ask(Request::keep_alive(id)))
    }

    /// Sets a lock to expire after this time, whether that is later or sooner than before.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub fn keep_alive_for(&self, id: LockId, time: Duration) -> Result<LockInfo, ClientError> {
        run(self.session.ask(Request::keep_alive_for(id, time)))
    }

    /// Sets a lock to expire 5 minutes later than before. If no answer comes, the request is not
    /// repeated, since it may have been executed.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub fn add_to_expires_at(&self, id: LockId) -> Result<LockInfo, ClientError> {
        run(self.session.ask(Request::add_to_expires_at(id)))
    }

    /// Sets a lock to expire this much later than before; see
    /// [`add_to_expires_at`](Self::add_to_expires_at).
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub fn add_to_expires_at_for(
        &self,
        id: LockId,
        time: Duration,
    ) -> Result<LockInfo, ClientError> {
        run(self.session.ask(Request::add_to_expires_at_for(id, time)))
    }

    /// Checks whether the server answers. This needs no key.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn check_health(&self) -> Result<(), ClientError> {
        run(self.session.check_health())
    }
}
