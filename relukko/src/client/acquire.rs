//! Acquiring a lock.
//!
//! 1. Ask for it. Whoever finds it free waits for nothing.
//! 2. Held: listen on the WebSocket from now on. That it is connected is a reason to ask again, since
//!    the lock may have been released before; so no wake-up is lost, here or whenever it has to be
//!    connected anew. A waiter polls as well, since not everything that ends a lock may be told.
//! 3. No answer: the lock may be ours. Each attempt signs what it asks for, so that it can be told.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use ureq::http::Method;

use super::Client;
use super::error::ClientError;
use super::guard::RelukkoGuard;
use super::listener::Listener;
use super::requests::{Retries, is_trusted, nil_lock};
use crate::info::LockInfo;

/// How often whoever waits is asked whether to go on.
const SLICE: Duration = Duration::from_millis(100);
/// The first pause of one who has nothing but polling.
const FIRST_POLL: Duration = Duration::from_millis(250);
/// How long is spent, after all else, on not leaving a lock that nobody knows of.
const CLEAN_UP: Duration = Duration::from_secs(2);

/// For how long to wait for a lock that is held.
enum Patience<'a> {
    None,
    Until(Instant),
    While(&'a mut dyn FnMut() -> bool),
    Endless,
}

impl Client {
    /// Acquires a lock, and blocks until it can be had.
    ///
    /// The server shows `creator`, with a number after it by which the client knows its own.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; in no case is the lock left held, as far as the server can be reached.
    pub fn acquire(
        &self,
        lock_name: &str,
        creator: Option<&str>,
    ) -> Result<RelukkoGuard, ClientError> {
        self.contend(lock_name, creator, Patience::Endless)
    }

    /// Acquires a lock if it is free. Blocks for one request, and for retries if that fails.
    ///
    /// # Errors
    ///
    /// [`ClientError::Held`], and otherwise as for [`acquire`](Self::acquire).
    pub fn try_acquire(
        &self,
        lock_name: &str,
        creator: Option<&str>,
    ) -> Result<RelukkoGuard, ClientError> {
        self.contend(lock_name, creator, Patience::None)
    }

    /// Acquires a lock if it can be had within `time`, everything included: connecting, requests,
    /// retries and waiting. It is asked for at least once, and then for at least a second.
    ///
    /// # Errors
    ///
    /// [`ClientError::TimedOut`], and otherwise as for [`acquire`](Self::acquire).
    pub fn acquire_for(
        &self,
        lock_name: &str,
        creator: Option<&str>,
        time: Duration,
    ) -> Result<RelukkoGuard, ClientError> {
        self.acquire_until(lock_name, creator, Instant::now() + time)
    }

    /// [`acquire_for`](Self::acquire_for), with a moment instead of a time.
    ///
    /// # Errors
    ///
    /// As for [`acquire_for`](Self::acquire_for).
    pub fn acquire_until(
        &self,
        lock_name: &str,
        creator: Option<&str>,
        deadline: Instant,
    ) -> Result<RelukkoGuard, ClientError> {
        self.contend(lock_name, creator, Patience::Until(deadline))
    }

    /// Acquires a lock, and goes on waiting while `go_on` says so, which is asked about every 100 ms
    /// while there is no request under way.
    ///
    /// # Errors
    ///
    /// [`ClientError::TimedOut`] when `go_on` says no, and otherwise as for
    /// [`acquire`](Self::acquire).
    pub fn acquire_while(
        &self,
        lock_name: &str,
        creator: Option<&str>,
        mut go_on: impl FnMut() -> bool,
    ) -> Result<RelukkoGuard, ClientError> {
        self.contend(lock_name, creator, Patience::While(&mut go_on))
    }

    fn contend<'a>(
        &'a self,
        lock_name: &'a str,
        creator: Option<&str>,
        patience: Patience<'a>,
    ) -> Result<RelukkoGuard, ClientError> {
        if is_trusted() {
            return Ok(RelukkoGuard::new(self, nil_lock(lock_name, creator), Instant::now()));
        }
        let mut contender = Contender::new(self, lock_name, creator, patience);
        let acquired = contender.contend();
        if acquired.is_err() {
            contender.clean_up();
        }
        acquired
    }
}

struct Contender<'a> {
    client: &'a Client,
    lock_name: &'a str,
    /// Signed.
    creator: String,
    patience: Patience<'a>,
    begun: Instant,
    listener: Option<Listener>,
    /// An attempt went unanswered: the lock may have become ours, or may yet.
    is_uncertain: bool,
    poll: Duration,
}

impl Contender<'_> {
    fn new<'a>(
        client: &'a Client,
        lock_name: &'a str,
        creator: Option<&str>,
        patience: Patience<'a>,
    ) -> Contender<'a> {
        let number = uuid::Uuid::new_v4().simple().to_string();
        Contender {
            client,
            lock_name,
            creator: format!("{} #{}", creator.unwrap_or("linklock"), &number[..16]),
            patience,
            begun: Instant::now(),
            listener: None,
            is_uncertain: false,
            poll: FIRST_POLL,
        }
    }

    fn contend(&mut self) -> Result<RelukkoGuard, ClientError> {
        let mut retries = Retries::new(self.client.inner.options.retry);
        loop {
            let heard = self.listener.as_ref().map_or(0, Listener::heard);
            let error = match self.attempt() {
                Ok(guard) => return Ok(guard),
                Err(error) => error,
            };
            match error {
                ClientError::Held { .. } => {
                    retries = Retries::new(self.client.inner.options.retry);
                    if matches!(self.patience, Patience::None) {
                        return Err(error);
                    }
                    self.listen();
                    let pause = self.next_poll();
                    if !self.wait(pause, Some(heard)) {
                        return Err(self.timed_out(None));
                    }
                }
                error if error.is_passing() => {
                    self.is_uncertain |= error.is_uncertain();
                    let Some(delay) = retries.next() else { return Err(error) };
                    if !self.wait(delay, None) {
                        return Err(self.timed_out(Some(error)));
                    }
                }
                error => return Err(error),
            }
        }
    }

    /// Asks for the lock once.
    fn attempt(&self) -> Result<RelukkoGuard, ClientError> {
        let asked = Instant::now();
        let body = json!({ "lock_name": self.lock_name, "creator": self.creator });
        let http = &self.client.inner.http;
        let limit = self.limit();
        match http.ask::<LockInfo>(&Method::POST, "/v1/locks/", Some(&body), limit) {
            Ok(info) => Ok(RelukkoGuard::new(self.client, info, asked)),
            Err(ClientError::Refused { status: 409, message }) => {
                if self.is_uncertain {
                    if let Some(own) = self.find_own(self.limit())? {
                        // It was created before, but no earlier than we began.
                        return Ok(RelukkoGuard::new(self.client, own, self.begun));
                    }
                }
                Err(ClientError::Held { lock_name: self.lock_name.to_owned(), message })
            }
            Err(error) => Err(error),
        }
    }

    fn find_own(&self, limit: Duration) -> Result<Option<LockInfo>, ClientError> {
        let http = &self.client.inner.http;
        let all = http.ask::<Vec<LockInfo>>(&Method::GET, "/v1/locks/", None, limit)?;
        let is_own = |lock: &LockInfo| {
            lock.lock_name == self.lock_name && lock.creator.as_ref() == Some(&self.creator)
        };
        Ok(all.into_iter().find(is_own))
    }

    /// Gives back what an unanswered attempt may have got.
    fn clean_up(&self) {
        if !self.is_uncertain {
            return;
        }
        if let Ok(Some(own)) = self.find_own(CLEAN_UP) {
            let path = format!("/v1/locks/{}", own.id);
            let http = &self.client.inner.http;
            let _ = http.ask::<LockInfo>(&Method::DELETE, &path, None, CLEAN_UP); // or it expires
        }
    }

    fn listen(&mut self) {
        let inner = &self.client.inner;
        if self.listener.is_none() && !inner.http.is_proxied {
            if let Some(pings) = inner.options.websocket {
                self.listener = Listener::start(&inner.http, self.lock_name, pings).ok();
            }
        }
    }

    /// Around the interval while the WebSocket is up, and up to it, step by step, otherwise.
    fn next_poll(&mut self) -> Duration {
        let most = self.client.inner.options.poll;
        if self.listener.as_ref().is_some_and(Listener::is_connected) {
            self.poll = FIRST_POLL;
            return most.mul_f64(0.75 + random() / 2.0);
        }
        let poll = self.poll.min(most);
        self.poll = poll * 2;
        poll.mul_f64(0.75 + random() / 2.0)
    }

    /// Waits, unless something was heard since that number of wake-ups. False if patience ends.
    fn wait(&mut self, time: Duration, heard: Option<u64>) -> bool {
        let until = Instant::now() + time;
        loop {
            let now = Instant::now();
            let left = match &mut self.patience {
                Patience::None | Patience::Endless => Duration::MAX,
                Patience::Until(deadline) => deadline.saturating_duration_since(now),
                Patience::While(go_on) => {
                    if go_on() {
                        SLICE
                    } else {
                        Duration::ZERO
                    }
                }
            };
            if left.is_zero() {
                return false;
            }
            let pause = until.saturating_duration_since(now).min(left);
            if pause.is_zero() {
                return true;
            }
            match (&self.listener, heard) {
                (Some(listener), Some(heard)) => {
                    if listener.wait(heard, pause) {
                        return true;
                    }
                }
                _ => thread::sleep(pause),
            }
        }
    }

    /// How long a request may take.
    fn limit(&self) -> Duration {
        let most = self.client.inner.options.request_timeout;
        match self.patience {
            // Even with no time left there is one attempt, which needs some.
            Patience::Until(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                left.max(Duration::from_secs(1)).min(most)
            }
            _ => most,
        }
    }

    fn timed_out(&self, last: Option<ClientError>) -> ClientError {
        let (lock_name, waited) = (self.lock_name.to_owned(), self.begun.elapsed());
        ClientError::TimedOut { lock_name, waited, last: last.map(Box::new) }
    }
}

/// From 0 to 1.
pub(super) fn random() -> f64 {
    let (bits, _, _, _) = uuid::Uuid::new_v4().as_fields(); // all of these 32 are random
    f64::from(bits) / f64::from(u32::MAX)
}
