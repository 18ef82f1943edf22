//! The guard: whoever has it holds the lock.

use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::Client;
use super::error::ClientError;
use super::lease::{Lease, check_lifetime, first_pause};
use super::request::Request;
use crate::info::{LockId, LockInfo};

/// A lock that is held. Dropping it deletes the lock, which takes a request; what fails then can't
/// be told, so better [`unlock`](Self::unlock) it.
///
/// It is a lease, not a fence: a holder that can't reach the server until the lease is over can be
/// succeeded, and learns so at the next request, or through [`keep_alive`](Self::keep_alive).
#[must_use = "dropping a guard deletes its lock at once: bind it to a name, even to `_guard`"]
pub struct RelukkoGuard {
    shared: Arc<Shared>,
    is_done: bool,
}

struct Shared {
    client: Client,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    lease: Lease,
    /// Counts what was told to keep the lock alive: only the last does.
    keeper: u64,
    is_over: bool,
}

impl RelukkoGuard {
    pub(super) fn new(client: &Client, info: LockInfo, asked: Instant) -> RelukkoGuard {
        let state = State { lease: Lease::new(info, asked), keeper: 0, is_over: false };
        let (client, state, changed) = (client.clone(), Mutex::new(state), Condvar::new());
        RelukkoGuard { shared: Arc::new(Shared { client, state, changed }), is_done: false }
    }

    /// What the server said of the lock last.
    #[must_use]
    pub fn info(&self) -> LockInfo {
        self.shared.lock().lease.info.clone()
    }

    /// The lock's id.
    #[must_use]
    pub fn id(&self) -> LockId {
        self.shared.lock().lease.info.id
    }

    /// For how much longer the lock is sure not to expire, by this machine's clock. Zero once that
    /// is over.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.shared.lock().lease.remaining()
    }

    /// Sees to it that the lock does not expire within this time. It never expires sooner than
    /// it would have.
    ///
    /// # Errors
    ///
    /// [`ClientError::Lost`] if the lock is gone; others if that can't be told, in which case it may
    /// be tried again while the lease runs.
    pub fn refresh(&self, lifetime: Duration) -> Result<(), ClientError> {
        let until = self.shared.lock().lease.limit();
        self.shared.refresh(lifetime, until)
    }

    /// Keeps the lock alive until the guard is dropped: from now on another thread lets it never
    /// expire within two thirds of this time, and never sooner than it would have.
    ///
    /// If the lock is lost nevertheless, `on_lost` is called once, on that thread, with the reason:
    /// [`ClientError::Lost`], or [`ClientError::Expired`] if the server was out of reach until the
    /// lease was over. It should stop the work at once.
    ///
    /// Asked again, it replaces what it was told.
    ///
    /// # Errors
    ///
    /// What [`refresh`](Self::refresh) says, and [`ClientError::Invalid`] if there can't be another
    /// thread or the time is less than a second.
    pub fn keep_alive(
        &self,
        lifetime: Duration,
        on_lost: impl FnOnce(ClientError) + Send + 'static,
    ) -> Result<(), ClientError> {
        check_lifetime(lifetime)?;
        self.refresh(lifetime)?;
        let number = {
            let mut state = self.shared.lock();
            state.keeper += 1;
            self.shared.changed.notify_all();
            state.keeper
        };
        let shared = self.shared.clone();
        let thread = thread::Builder::new().name("relukko-keeper".into());
        let spawned = thread.spawn(move || {
            if let Some(why) = shared.keep(number, lifetime) {
                on_lost(why);
            }
        });
        spawned.map(|_| ()).map_err(|error: io::Error| ClientError::Invalid {
            reason: format!("failed to start a thread to keep the lock alive: {error}"),
        })
    }

    /// Deletes the lock, this one and no other of its name.
    ///
    /// # Errors
    ///
    /// [`ClientError::Lost`] if it was gone already: what it guards may have changed while we
    /// worked on it. Others if the server can't be told: then it ends as it expires.
    pub fn unlock(mut self) -> Result<(), ClientError> {
        self.finish()
    }

    fn finish(&mut self) -> Result<(), ClientError> {
        self.is_done = true;
        let info = {
            let mut state = self.shared.lock();
            state.is_over = true;
            self.shared.changed.notify_all();
            state.lease.info.clone()
        };
        if info.id == LockId::NIL {
            return Ok(());
        }
        self.shared.client.delete_own(&info)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refresh(&self, lifetime: Duration, until: Instant) -> Result<(), ClientError> {
        let id = self.lock().lease.info.id;
        if id == LockId::NIL {
            self.lock().lease.expires = Instant::now() + lifetime;
            return Ok(());
        }
        // What it says now may be later than what we know: somebody prolonged it for us.
        let asked = Instant::now();
        let mut info = self.ask(&Request::get(id), until)?;
        let mut expires = self.lock().lease.on_our_clock(&info);
        if expires < asked + lifetime {
            let asked = Instant::now();
            info = self.ask(&Request::keep_alive_for(id, lifetime), until)?;
            expires = asked + lifetime;
        }
        let mut state = self.lock();
        state.lease.info = info;
        state.lease.expires = expires;
        Ok(())
    }

    fn ask(&self, request: &Request, until: Instant) -> Result<LockInfo, ClientError> {
        self.client.send(request, Some(until)).map_err(|error| self.lock().lease.explain(error))
    }

    /// Refreshes the lock until that is no longer asked for, or says why it is lost.
    fn keep(&self, number: u64, lifetime: Duration) -> Option<ClientError> {
        let mut pause = first_pause(lifetime);
        loop {
            let state = self.lock();
            let goes_on = |state: &mut State| state.keeper == number && !state.is_over;
            let waited = self.changed.wait_timeout_while(state, pause, goes_on);
            let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if !goes_on(&mut state) {
                return None;
            }
            let expires = state.lease.expires;
            drop(state);
            let refreshed = self.refresh(lifetime, expires);
            let mut state = self.lock();
            if !goes_on(&mut state) {
                return None;
            }
            match state.lease.after(refreshed, lifetime, expires) {
                Ok(next) => pause = next,
                Err(why) => {
                    state.is_over = true;
                    return Some(why);
                }
            }
        }
    }
}

impl Drop for RelukkoGuard {
    fn drop(&mut self) {
        if !self.is_done {
            let _ = self.finish(); // or it expires
        }
    }
}

impl fmt::Debug for RelukkoGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelukkoGuard")
            .field("info", &self.info())
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}
