//! The guard of the client that does not block: whoever has it holds the lock.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::AsyncClient;
use crate::client::error::ClientError;
use crate::client::lease::{Lease, check_lifetime, first_pause};
use crate::client::request::Request;
use crate::info::{LockId, LockInfo};

/// A lock that is held. Dropping it has a task delete the lock, which takes a runtime that goes on
/// for as long; what fails then can't be told, so better [`unlock`](Self::unlock) it.
///
/// It is a lease, not a fence: a holder that can't reach the server until the lease is over can be
/// succeeded, and learns so at the next request, or through [`keep_alive`](Self::keep_alive).
#[must_use = "dropping a guard deletes its lock at once: bind it to a name, even to `_guard`"]
pub struct AsyncRelukkoGuard {
    shared: Arc<Shared>,
    runtime: Handle,
    keeper: Mutex<Option<AbortHandle>>,
    is_done: bool,
}

struct Shared {
    client: AsyncClient,
    lease: Mutex<Lease>,
}

impl AsyncRelukkoGuard {
    /// Called on a runtime.
    pub(super) fn new(client: &AsyncClient, info: LockInfo, asked: Instant) -> AsyncRelukkoGuard {
        let (client, lease) = (client.clone(), Mutex::new(Lease::new(info, asked)));
        AsyncRelukkoGuard {
            shared: Arc::new(Shared { client, lease }),
            runtime: Handle::current(),
            keeper: Mutex::default(),
            is_done: false,
        }
    }

    /// What the server said of the lock last.
    #[must_use]
    pub fn info(&self) -> LockInfo {
        self.shared.lease().info.clone()
    }

    /// The lock's id.
    #[must_use]
    pub fn id(&self) -> LockId {
        self.shared.lease().info.id
    }

    /// For how much longer the lock is sure not to expire, by this machine's clock. Zero once that
    /// is over.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.shared.lease().remaining()
    }

    /// Sees to it that the lock does not expire within this time. It never expires sooner than
    /// it would have.
    ///
    /// # Errors
    ///
    /// [`ClientError::Lost`] if the lock is gone; others if that can't be told, in which case it may
    /// be tried again while the lease runs.
    pub async fn refresh(&self, lifetime: Duration) -> Result<(), ClientError> {
        let until = self.shared.lease().limit();
        self.shared.refresh(lifetime, until).await
    }

    /// Keeps the lock alive until the guard is dropped: from now on a task lets it never expire
    /// within two thirds of this time, and never sooner than it would have.
    ///
    /// If the lock is lost nevertheless, `on_lost` is called once, in that task, with the reason:
    /// [`ClientError::Lost`], or [`ClientError::Expired`] if the server was out of reach until the
    /// lease was over. It should stop the work at once. Whoever blocks the runtime keeps the task
    /// from running, too.
    ///
    /// Asked again, it replaces what it was told.
    ///
    /// # Errors
    ///
    /// What [`refresh`](Self::refresh) says, and [`ClientError::Invalid`] if the time is less than a
    /// second.
    pub async fn keep_alive(
        &self,
        lifetime: Duration,
        on_lost: impl FnOnce(ClientError) + Send + 'static,
    ) -> Result<(), ClientError> {
        check_lifetime(lifetime)?;
        self.refresh(lifetime).await?;
        let shared = self.shared.clone();
        let task = self.runtime.spawn(async move { on_lost(shared.keep(lifetime).await) });
        self.replace_keeper(Some(task.abort_handle()));
        Ok(())
    }

    /// Deletes the lock, this one and no other of its name. If the future is dropped, a task does.
    ///
    /// # Errors
    ///
    /// [`ClientError::Lost`] if it was gone already: what it guards may have changed while we
    /// worked on it. Others if the server can't be told: then it ends as it expires.
    pub async fn unlock(mut self) -> Result<(), ClientError> {
        self.replace_keeper(None);
        let unlocked = self.shared.delete().await;
        self.is_done = true;
        unlocked
    }

    fn replace_keeper(&self, next: Option<AbortHandle>) {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = std::mem::replace(&mut *keeper, next) {
            last.abort();
        }
    }
}

impl Shared {
    fn lease(&self) -> MutexGuard<'_, Lease> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn refresh(&self, lifetime: Duration, until: Instant) -> Result<(), ClientError> {
        let id = self.lease().info.id;
        if id == LockId::NIL {
            self.lease().expires = Instant::now() + lifetime;
            return Ok(());
        }
        // What it says now may be later than what we know: somebody prolonged it for us.
        let asked = Instant::now();
        let mut info = self.ask(&Request::get(id), until).await?;
        let mut expires = self.lease().on_our_clock(&info);
        if expires < asked + lifetime {
            let asked = Instant::now();
            info = self.ask(&Request::keep_alive_for(id, lifetime), until).await?;
            expires = asked + lifetime;
        }
        let mut lease = self.lease();
        lease.info = info;
        lease.expires = expires;
        Ok(())
    }

    async fn ask(&self, request: &Request, until: Instant) -> Result<LockInfo, ClientError> {
        let answer = self.client.send(request, Some(until)).await;
        answer.map_err(|error| self.lease().explain(error))
    }

    /// Refreshes the lock until it is lost, and says why it is.
    async fn keep(&self, lifetime: Duration) -> ClientError {
        let mut pause = first_pause(lifetime);
        loop {
            sleep(pause).await;
            let expires = self.lease().expires;
            let refreshed = self.refresh(lifetime, expires).await;
            match self.lease().after(refreshed, lifetime, expires) {
                Ok(next) => pause = next,
                Err(why) => return why,
            }
        }
    }

    async fn delete(&self) -> Result<(), ClientError> {
        let info = self.lease().info.clone();
        if info.id == LockId::NIL {
            return Ok(());
        }
        self.client.delete_own(&info).await
    }
}

impl Drop for AsyncRelukkoGuard {
    fn drop(&mut self) {
        self.replace_keeper(None);
        if !self.is_done {
            let shared = self.shared.clone();
            self.runtime.spawn(async move {
                let _ = shared.delete().await; // or it expires
            });
        }
    }
}

impl fmt::Debug for AsyncRelukkoGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncRelukkoGuard")
            .field("info", &self.info())
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}
