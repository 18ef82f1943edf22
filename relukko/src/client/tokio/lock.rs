//! Acquiring a lock, without blocking.
//!
//! A caller may drop the future at any moment. So the acquisition runs as a task, which continues
//! until the last request is answered, and releases the lock if the caller no longer waits for it.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Client;
use super::guard::LockGuard;
use super::wake::Count;
use crate::client::acquisition::acquire;
use crate::client::error::ClientError;
use crate::client::transport::{Bell, Transport};
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
        let bell = Arc::new(Bell::default());
        let _call_off = CallOff(bell.clone());
        let (session, url) = (self.session.clone(), self.session.transport.endpoint().url(""));
        let (lock_name, creator) = (lock_name.to_owned(), creator.map(str::to_owned));
        // If no caller takes the guard from the task, it is dropped with the task and deletes its
        // lock.
        let task = ::tokio::spawn(async move {
            let acquired = acquire(session, &lock_name, creator.as_deref(), limit, bell).await;
            acquired.map(LockGuard::new)
        });
        match task.await.map_err(::tokio::task::JoinError::try_into_panic) {
            Ok(acquired) => acquired,
            Err(Ok(panic)) => resume_unwind(panic),
            Err(Err(_)) => {
                let reason = "the runtime has ended the request".into();
                Err(ClientError::NoAnswer { url, reason })
            }
        }
    }
}

/// Cancels a wait when dropped.
struct CallOff(Arc<Bell<Count>>);

impl Drop for CallOff {
    fn drop(&mut self) {
        self.0.end();
    }
}
