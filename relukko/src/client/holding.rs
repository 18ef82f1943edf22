//! A held lock: refreshing it, keeping it alive, releasing it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::error::ClientError;
use super::interface::{Described, Interface, Relukko};
use super::lease::{Lease, check_lifetime, first_pause, later};
use super::request::Request;
use super::session::Session;
use super::transport::{Bell, Transport};
use crate::info::LockId;

/// The core of a guard.
pub(super) struct Holding<T: Transport, I: Interface = Relukko> {
    tenure: Arc<Tenure<T, I>>,
    keep_alive: Arc<Mutex<Option<KeepAlive<T>>>>,
}

struct Tenure<T, I: Interface> {
    session: Session<T>,
    interface: I,
    lease: Mutex<Lease<I::Info>>,
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

impl<T: Transport, I: Interface> Clone for Holding<T, I> {
    fn clone(&self) -> Holding<T, I> {
        Holding { tenure: self.tenure.clone(), keep_alive: self.keep_alive.clone() }
    }
}

impl<T: Transport, I: Interface> Holding<T, I> {
    /// `asked`: a moment no later than when the lock was requested.
    pub(super) fn new(
        session: Session<T>,
        interface: I,
        info: I::Info,
        asked: Instant,
    ) -> Holding<T, I> {
        let lease = Mutex::new(Lease::new(info, asked));
        let tenure = Arc::new(Tenure { session, interface, lease });
        Holding { tenure, keep_alive: Arc::default() }
    }

    /// A lock that was just renewed for this long, by a request at this moment or later.
    pub(super) fn renewed(
        session: Session<T>,
        interface: I,
        info: I::Info,
        asked: Instant,
        lifetime: Duration,
    ) -> Holding<T, I> {
        let holding = Holding::new(session, interface, info.clone(), asked);
        holding.tenure.lease().renew(info, later(asked, lifetime));
        holding
    }

    pub(super) fn interface(&self) -> &I {
        &self.tenure.interface
    }

    pub(super) fn info(&self) -> I::Info {
        self.tenure.lease().info.clone()
    }

    pub(super) fn id(&self) -> LockId {
        self.tenure.lease().info.id()
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
        let (info, id) = (self.info(), self.id());
        if id == LockId::NIL {
            return Ok(());
        }
        self.tenure.session.delete_own(info.name(), self.tenure.interface.release(id)).await
    }

    /// Describes the lock for the `Debug` of its guard.
    pub(super) fn fmt_guard(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockGuard")
            .field("info", &self.info())
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }

    fn replace_keep_alive(&self, next: Option<KeepAlive<T>>) {
        let mut keep_alive = self.keep_alive.lock().unwrap_or_else(PoisonError::into_inner);
        let last = std::mem::replace(&mut *keep_alive, next);
        drop(keep_alive);
        drop(last); // also drops its callback, which may own anything
    }
}

impl<T: Transport, I: Interface> Tenure<T, I> {
    fn lease(&self) -> MutexGuard<'_, Lease<I::Info>> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn refresh(&self, lifetime: Duration, until: Instant) -> Result<(), ClientError> {
        let id = self.lease().info.id();
        let Some(look) = self.interface.look(id).filter(|_| id != LockId::NIL) else {
            return self.expire_in(lifetime, until).await;
        };
        // The server's date may be later than the one we know: another client may have extended our
        // lock.
        let asked = Instant::now();
        let info = self.ask(&look, until).await?;
        let expires = self.lease().on_our_clock(&info);
        if expires < later(asked, lifetime) {
            return self.expire_in(lifetime, until).await;
        }
        self.lease().renew(info, expires);
        Ok(())
    }

    async fn expire_in(&self, lifetime: Duration, until: Instant) -> Result<(), ClientError> {
        let id = self.lease().info.id();
        if id == LockId::NIL {
            self.lease().expires = later(Instant::now(), lifetime);
            return Ok(());
        }
        let asked = Instant::now();
        let info = self.ask(&self.interface.renew(id, lifetime), until).await?;
        let granted = self.interface.granted(&info, lifetime);
        self.lease().renew(info, later(asked, granted));
        Ok(())
    }

    async fn ask(&self, request: &Request, until: Instant) -> Result<I::Info, ClientError> {
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
