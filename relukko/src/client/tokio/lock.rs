//! Acquiring a lock, without blocking.

use std::time::{Duration, Instant};

use super::Client;
use super::cancel::in_task;
use super::guard::LockGuard;
use crate::client::acquisition::acquire;
use crate::client::error::ClientError;
use crate::client::wait_limit::WaitLimit;

impl Client {
    /// Like [`Client::lock`](crate::Client::lock).
    ///
    /// Dropping the future cancels the wait and leaves no lock behind, as far as the server can be
    /// reached and the runtime keeps running: a task deletes a lock that a request may have
    /// acquired by then.
    ///
    /// # Errors
    ///
    /// [`ClientError`]. After an error the lock is not held, as far as the server can be reached.
    pub async fn lock(
        &self,
        lock_name: &str,
        creator: Option<&str>,
    ) -> Result<LockGuard, ClientError> {
        self.acquire(lock_name, creator, WaitLimit::<fn() -> bool>::Endless).await
    }

    /// Like [`Client::try_lock`](crate::Client::try_lock). The future may be dropped, as with
    /// [`lock`](Self::lock).
    ///
    /// # Errors
    ///
    /// [`ClientError::Held`], and otherwise as for [`lock`](Self::lock).
    pub async fn try_lock(
        &self,
        lock_name: &str,
        creator: Option<&str>,
    ) -> Result<LockGuard, ClientError> {
        self.acquire(lock_name, creator, WaitLimit::<fn() -> bool>::None).await
    }

    /// Like [`Client::try_lock_for`](crate::Client::try_lock_for). The future may be dropped, as
    /// with [`lock`](Self::lock).
    ///
    /// # Errors
    ///
    /// [`ClientError::TimedOut`], and otherwise as for [`lock`](Self::lock).
    pub async fn try_lock_for(
        &self,
        lock_name: &str,
        creator: Option<&str>,
        time: Duration,
    ) -> Result<LockGuard, ClientError> {
        self.acquire(lock_name, creator, WaitLimit::within(time)).await
    }

    /// Like [`Client::try_lock_until`](crate::Client::try_lock_until). The future may be dropped,
    /// as with [`lock`](Self::lock).
    ///
    /// # Errors
    ///
    /// As for [`try_lock_for`](Self::try_lock_for).
    pub async fn try_lock_until(
        &self,
        lock_name: &str,
        creator: Option<&str>,
        deadline: Instant,
    ) -> Result<LockGuard, ClientError> {
        self.acquire(lock_name, creator, WaitLimit::<fn() -> bool>::Until(deadline)).await
    }

    /// Like [`Client::lock_while`](crate::Client::lock_while). The future may be dropped, as with
    /// [`lock`](Self::lock).
    ///
    /// # Errors
    ///
    /// [`ClientError::TimedOut`] once `go_on` returns false, and otherwise as for
    /// [`lock`](Self::lock).
    pub async fn lock_while(
        &self,
        lock_name: &str,
        creator: Option<&str>,
        go_on: impl FnMut() -> bool + Send + 'static,
    ) -> Result<LockGuard, ClientError> {
        self.acquire(lock_name, creator, WaitLimit::While(go_on)).await
    }

    async fn acquire(
        &self,
        lock_name: &str,
        creator: Option<&str>,
        limit: WaitLimit<impl FnMut() -> bool + Send + 'static>,
    ) -> Result<LockGuard, ClientError> {
        let session = self.session.clone();
        let (lock_name, creator) = (lock_name.to_owned(), creator.map(str::to_owned));
        in_task(&self.session.transport, async move |bell| {
            let acquired = acquire(session, &lock_name, creator.as_deref(), limit, bell).await;
            acquired.map(LockGuard::new)
        })
        .await
    }
}
