//! A held lock: refreshing it, keeping it alive, releasing it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::error::ClientError;
use super::lease::{Lease, check_lifetime, first_pause, later};
use super::request::Request;
use super::session::Session;
use super::transport::{Bell, Transport};
use crate::info::{LockId, LockInfo};

/// The core of a guard.
pub(super) struct Holding<T: Transport> {
    tenure: Arc<Tenure<T>>,
    keep_alive: Arc<Mutex<Option<KeepAlive<T>>>>,
}

struct Tenure<T> {
    session: Session<T>,
    lease: Mutex<Lease>,
}

/// Background work that keeps the lock alive until this is dropped.
struct KeepAlive<T: Transport> {
    end: Arc<Bell<T::Wake>>,
    _task: T::Task,
}

impl<T: Transport> Drop for KeepAlive<T> {
    fn drop(&mut self) {
        self.end.end();
    }
}

impl<T: Transport> Clone for Holding<T> {
    fn clone(&self) -> Holding<T> {
        Holding { tenure: self.tenure.clone(), keep_alive: self.keep_alive.clone() }
    }
}

impl<T: Transport> Holding<T> {
    /// `asked`: a moment no later than when the lock was requested.
    pub(super) fn new(session: Session<T>, info: LockInfo, asked: Instant) -> Holding<T> {
        let lease = Mutex::new(Lease::new(info, asked));
        Holding { tenure: Arc::new(Tenure { session, lease }), keep_alive: Arc::default() }
    }

    pub(super) fn info(&self) -> LockInfo {
        self.tenure.lease().info.clone()
    }

    pub(super) fn id(&self) -> LockId {
        self.tenure.lease().info.id
    }

    pub(super) fn remaining(&self) -> Duration {
        self.tenure.lease().remaining()
    }

    pub(super) async fn refresh(&self, lifetime: Duration) -> Result<(), ClientError> {
        let until = self.tenure.lease().limit();
        self.tenure.refresh(lifetime, until).await
    }

    pub(super) async fn expire_in(&self, lifetime: Duration) -> Result<(), ClientError> {
        let until = self.tenure.lease().limit();
        self.tenure.expire_in(lifetime, until).await
    }

    pub(super) async fn keep_alive(
        &self,
        lifetime: Duration,
        on_lost: impl FnOnce(ClientError) + Send + 'static,
    ) -> Result<(), ClientError> {
        check_lifetime(lifetime)?;
        self.refresh(lifetime).await?;
        let (tenure, end) = (self.tenure.clone(), Arc::new(Bell::default()));
        let ended = end.clone();
        let work = async move {
            if let Some(why) = tenure.keep(lifetime, &ended).await {
                on_lost(why);
            }
        };
        let spawned = self.tenure.session.transport.spawn("relukko-keep-alive", work);
        let task = spawned.map_err(|error| ClientError::Invalid {
            reason: format!("cannot start a thread to keep the lock alive: {error}"),
        })?;
        self.replace_keep_alive(Some(KeepAlive { end, _task: task }));
        Ok(())
    }

    /// Stops the keep-alive.
    pub(super) fn let_go(&self) {
        self.replace_keep_alive(None);
    }

    /// Deletes this lock, and no other lock of the same name.
    pub(super) async fn release(&self) -> Result<(), ClientError> {
        self.let_go();
        let info = self.info();
        if info.id == LockId::NIL {
            return Ok(());
        }
        self.tenure.session.delete_own(&info).await
    }

    fn replace_keep_alive(&self, next: Option<KeepAlive<T>>) {
        let mut keep_alive = self.keep_alive.lock().unwrap_or_else(PoisonError::into_inner);
        let last = std::mem::replace(&mut *keep_alive, next);
        drop(keep_alive);
        drop(last); // also drops its callback, which may own anything
    }
}

impl<T: Transport> Tenure<T> {
    fn lease(&self) -> MutexGuard<'_, Lease> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn refresh(&self, lifetime: Duration, until: Instant) -> Result<(), ClientError> {
        let id = self.lease().info.id;
        if id == LockId::NIL {
            self.lease().expires = later(Instant::now(), lifetime);
            return Ok(());
        }
        // The server's date may be later than the one we know: another client may have extended our
        // lock.
        let asked = Instant::now();
        let info = self.ask(&Request::get(id), until).await?;
        let expires = self.lease().on_our_clock(&info);
        if expires < later(asked, lifetime) {
            return self.expire_in(lifetime, until).await;
        }
        self.lease().renew(info, expires);
        Ok(())
    }

    async fn expire_in(&self, lifetime: Duration, until: Instant) -> Result<(), ClientError> {
        let id = self.lease().info.id;
        if id == LockId::NIL {
            self.lease().expires = later(Instant::now(), lifetime);
            return Ok(());
        }
        let asked = Instant::now();
        let info = self.ask(&Request::keep_alive_for(id, lifetime), until).await?;
        self.lease().renew(info, later(asked, lifetime));
        Ok(())
    }

    async fn ask(&self, request: &Request, until: Instant) -> Result<LockInfo, ClientError> {
        let answer = self.session.send(request, Some(until)).await;
        answer.map_err(|error| self.lease().explain(error))
    }

    /// Refreshes the lock until `end`, or returns why it is lost.
    async fn keep(&self, lifetime: Duration, end: &Bell<T::Wake>) -> Option<ClientError> {
        let mut pause = first_pause(lifetime);
        loop {
            end.pause(pause).await;
            if end.is_over() {
                return None;
            }
            let expires = self.lease().expires;
            let refreshed = self.refresh(lifetime, expires).await;
            if end.is_over() {
                return None;
            }
            match self.lease().after(refreshed, lifetime, expires) {
                Ok(next) => pause = next,
                Err(why) => return Some(why),
            }
        }
    }
}
