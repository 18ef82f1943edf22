//! Acquiring a lock, blocking: see `contest`.

use std::thread;
use std::time::{Duration, Instant};

use super::Client;
use super::contest::{CLEAN_UP, Contest, Next};
use super::error::ClientError;
use super::guard::RelukkoGuard;
use super::listener::Listener;
use super::request::{Request, is_trusted, nil_lock};
use crate::info::LockInfo;

/// How often whoever waits is asked whether to go on.
const SLICE: Duration = Duration::from_millis(100);

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
        let contest = Contest::new(&self.inner.options, lock_name, creator);
        let mut contender = Contender { client: self, contest, patience, listener: None };
        let acquired = contender.contend();
        if acquired.is_err() {
            contender.clean_up();
        }
        acquired
    }
}

struct Contender<'a> {
    client: &'a Client,
    contest: Contest,
    patience: Patience<'a>,
    listener: Option<Listener>,
}

impl Contender<'_> {
    fn contend(&mut self) -> Result<RelukkoGuard, ClientError> {
        loop {
            let heard = self.listener.as_ref().map_or(0, Listener::heard);
            let error = match self.attempt() {
                Ok(guard) => return Ok(guard),
                Err(error) => error,
            };
            match self.contest.judge(error)? {
                Next::Wait(held) => {
                    if matches!(self.patience, Patience::None) {
                        return Err(held);
                    }
                    self.listen();
                    let is_connected = self.listener.as_ref().is_some_and(Listener::is_connected);
                    let pause = self.contest.next_poll(is_connected);
                    if !self.wait(pause, Some(heard)) {
                        return Err(self.contest.timed_out(None));
                    }
                }
                Next::Retry(delay, error) => {
                    if !self.wait(delay, None) {
                        return Err(self.contest.timed_out(Some(error)));
                    }
                }
            }
        }
    }

    /// Asks for the lock once.
    fn attempt(&self) -> Result<RelukkoGuard, ClientError> {
        let asked = Instant::now();
        match self.client.inner.http.ask(&self.contest.create(), self.limit()) {
            Ok(info) => Ok(RelukkoGuard::new(self.client, info, asked)),
            Err(error) => {
                let is_held = matches!(error, ClientError::Refused { status: 409, .. });
                if is_held && self.contest.is_uncertain {
                    if let Some(own) = self.find_own(self.limit())? {
                        // It was created before, but no earlier than we began.
                        return Ok(RelukkoGuard::new(self.client, own, self.contest.begun));
                    }
                }
                Err(error)
            }
        }
    }

    fn find_own(&self, limit: Duration) -> Result<Option<LockInfo>, ClientError> {
        Ok(self.contest.own(self.client.inner.http.ask(&Request::list(), limit)?))
    }

    /// Gives back what an unanswered attempt may have got.
    fn clean_up(&self) {
        if !self.contest.is_uncertain {
            return;
        }
        if let Ok(Some(own)) = self.find_own(CLEAN_UP) {
            let http = &self.client.inner.http;
            let _ = http.ask::<LockInfo>(&Request::delete(own.id), CLEAN_UP); // or it expires
        }
    }

    fn listen(&mut self) {
        let inner = &self.client.inner;
        if self.listener.is_none() && inner.http.proxy.is_none() {
            if let Some(pings) = inner.options.websocket {
                self.listener = Listener::start(&inner.http, &self.contest.lock_name, pings).ok();
            }
        }
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
        self.contest.limit(match self.patience {
            Patience::Until(deadline) => Some(deadline),
            _ => None,
        })
    }
}
