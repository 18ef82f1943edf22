//! What can be asked of a server about locks that there are.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Client;
use super::error::ClientError;
use super::request::{Request, Retries, is_trusted, nil_lock};
use crate::info::{LockId, LockInfo};

impl Client {
    /// All locks that are held.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn list(&self) -> Result<Vec<LockInfo>, ClientError> {
        if is_trusted() {
            return Ok(vec![nil_lock("", None)]);
        }
        self.send(&Request::list(), None)
    }

    /// A lock that is held.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub fn get(&self, id: LockId) -> Result<LockInfo, ClientError> {
        self.ask(&Request::get(id))
    }

    /// Sets who created a lock and when it expires; what is `None` stays.
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
        self.ask(&Request::update(id, creator, expires_at)?)
    }

    /// Deletes a lock, whoever's it is, and says what it was. [`RelukkoGuard::unlock`] is for one's
    /// own.
    ///
    /// [`RelukkoGuard::unlock`]: crate::RelukkoGuard::unlock
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub fn delete(&self, id: LockId) -> Result<LockInfo, ClientError> {
        self.ask(&Request::delete(id))
    }

    /// Lets a lock expire in 5 minutes, be that later than it would have or sooner.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub fn keep_alive(&self, id: LockId) -> Result<LockInfo, ClientError> {
        self.ask(&Request::keep_alive(id))
    }

    /// Lets a lock expire after this time, be that later than it would have or sooner.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub fn keep_alive_for(&self, id: LockId, time: Duration) -> Result<LockInfo, ClientError> {
        self.ask(&Request::keep_alive_for(id, time))
    }

    /// Lets a lock expire 5 minutes later than it would have. If no answer comes this is not tried
    /// again, since it may have been done.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub fn add_to_expires_at(&self, id: LockId) -> Result<LockInfo, ClientError> {
        self.ask(&Request::add_to_expires_at(id))
    }

    /// Lets a lock expire by so much later than it would have; see
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
        self.ask(&Request::add_to_expires_at_for(id, time))
    }

    /// Whether the server answers. It needs no key for that.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn check_health(&self) -> Result<(), ClientError> {
        self.send::<Value>(&Request::health(), None).map(|_| ())
    }

    /// Deletes a lock of one's own.
    pub(super) fn delete_own(&self, lock: &LockInfo) -> Result<(), ClientError> {
        let mut retries = Retries::new(self.inner.options.retry);
        let answer = self.retrying(&Request::delete(lock.id), None, &mut retries);
        retries.deleted(lock, answer)
    }

    /// Asks about a lock, if anything is asked.
    fn ask(&self, request: &Request) -> Result<LockInfo, ClientError> {
        if is_trusted() {
            return Ok(nil_lock("", None));
        }
        self.send(request, None)
    }

    /// Asks, with at most so much time for it all.
    pub(super) fn send<T: DeserializeOwned>(
        &self,
        request: &Request,
        until: Option<Instant>,
    ) -> Result<T, ClientError> {
        self.retrying(request, until, &mut Retries::new(self.inner.options.retry))
    }

    /// Tries what may fail for now several times, with growing delays.
    fn retrying<T: DeserializeOwned>(
        &self,
        request: &Request,
        until: Option<Instant>,
        retries: &mut Retries,
    ) -> Result<T, ClientError> {
        let most = self.inner.options.request_timeout;
        let left = || until.map(|until| until.saturating_duration_since(Instant::now()));
        loop {
            let limit = left().map_or(most, |left| left.min(most));
            match self.inner.http.ask(request, limit) {
                Ok(answer) => return Ok(answer),
                Err(error) => thread::sleep(retries.after(request, error, left())?),
            }
        }
    }
}
