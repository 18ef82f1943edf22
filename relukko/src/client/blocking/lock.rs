//! Acquiring a lock, with blocking calls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Client;
use super::guard::LockGuard;
use super::wake::run;
use crate::client::acquisition::acquire;
use crate::client::error::ClientError;
use crate::client::transport::Bell;
use crate::client::wait_limit::WaitLimit;

impl Client {
    /// Acquires a lock, and blocks until it is free.
    ///
    /// The server shows `creator` followed by a number, by which the client recognizes its own
    /// lock.
    ///
    /// Threads that share a client wait for each other, as other programs do. A client belongs to no
    /// single lock, and does not notice if a thread asks for a lock that it holds itself: that
    /// thread waits for ever.
    ///
    /// # Errors
    ///
    /// [`ClientError`]. After an error the lock is not held, as far as the server can be reached.
    pub fn lock(&self, lock_name: &str, creator: Option<&str>) -> Result<LockGuard, ClientError> {
        self.acquire(lock_name, creator, WaitLimit::<fn() -> bool>::Endless)
    }

    /// Acquires a lock if it is free. Blocks for one request, and for retries if that fails.
    ///
    /// # Errors
    ///
    /// [`ClientError::Held`], and otherwise as for [`lock`](Self::lock).
    pub fn try_lock(
        &self,
        lock_name: &str,
        creator: Option<&str>,
    ) -> Result<LockGuard, ClientError> {
        self.acquire(lock_name, creator, WaitLimit::<fn() -> bool>::None)
    }

    /// Acquires a lock if it becomes free within `time`, which includes connecting, requests and
    /// retries. The client requests the lock at least once, even if that takes a second longer.
    ///
    /// # Errors
    ///
    /// [`ClientError::TimedOut`], and otherwise as for [`lock`](Self::lock).
    pub fn try_lock_for(
        &self,
        lock_name: &str,
        creator: Option<&str>,
        time: Duration,
    ) -> Result<LockGuard, ClientError> {
        self.acquire(lock_name, creator, WaitLimit::within(time))
    }

    /// Like [`try_lock_for`](Self::try_lock_for), with a deadline.
    ///
    /// # Errors
    ///
    /// As for [`try_lock_for`](Self::try_lock_for).
    pub fn try_lock_until(
        &self,
        lock_name: &str,
        creator: Option<&str>,
        deadline: Instant,
    ) -> Result<LockGuard, ClientError> {
        self.acquire(lock_name, creator, WaitLimit::<fn() -> bool>::Until(deadline))
    }

    /// Acquires a lock, and waits as long as `go_on` returns true. `go_on` is called about every
    /// 100 ms, except during a request.
    ///
    /// # Errors
    ///
    /// [`ClientError::TimedOut`] once `go_on` returns false, and otherwise as for
    /// [`lock`](Self::lock).
    pub fn lock_while(
        &self,
        lock_name: &str,
        creator: Option<&str>,
        go_on: impl FnMut() -> bool,
    ) -> Result<LockGuard, ClientError> {
        self.acquire(lock_name, creator, WaitLimit::While(go_on))
    }

    fn acquire(
        &self,
        lock_name: &str,
        creator: Option<&str>,
        limit: WaitLimit<impl FnMut() -> bool>,
    ) -> Result<LockGuard, ClientError> {
        let (session, bell) = (self.session.clone(), Arc::new(Bell::default()));
        run(acquire(session, lock_name, creator, limit, bell)).map(LockGuard::new)
    }
}
