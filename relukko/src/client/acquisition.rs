//! Acquiring a lock.
//!
//! 1. Request it. If it is free, the client acquires it without waiting.
//! 2. If it is held, listen on the WebSocket from then on. Each time the WebSocket connects, the
//!    client requests the lock again, since it may have been released before; so no wake-up is
//!    lost, now or after a reconnect. The client polls as well, since the server may not learn of
//!    everything that ends a lock.
//! 3. If no answer comes, the lock may be ours. Each attempt signs its request, so that the list of
//!    locks shows which one is its own.
//! 4. If the server is out of reach, retry until the deadline. Without a deadline, a waiter keeps
//!    retrying only if the server has answered before; if it never has, the address is more likely
//!    to be wrong.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::ClientError;
use super::holding::Holding;
use super::interface::Relukko;
use super::listener::Listener;
use super::request::{Request, is_trusted, nil_lock};
use super::session::Session;
use super::subscription::random;
use super::transport::{Bell, Transport};
use super::wait_limit::WaitLimit;
use super::waiter::{CLEAN_UP, Waiter};
use crate::info::LockInfo;

/// The first pause of a waiter that can only poll.
const FIRST_POLL: Duration = Duration::from_millis(250);

pub(super) struct Acquisition<T: Transport, W> {
    /// Its bell is rung by messages on the WebSocket.
    waiter: Waiter<T, W>,
    /// With the signature.
    creator: String,
    listener: Option<Listener<T>>,
    poll: Duration,
}

/// Acquires a lock, or returns why it could not; on failure this client does not hold it.
pub(super) async fn acquire<T: Transport, W: FnMut() -> bool>(
    session: Session<T>,
    lock_name: &str,
    creator: Option<&str>,
    limit: WaitLimit<W>,
    bell: Arc<Bell<T::Wake>>,
) -> Result<Holding<T>, ClientError> {
    if is_trusted() {
        return Ok(Holding::new(session, Relukko, nil_lock(lock_name, creator), Instant::now()));
    }
    let number = uuid::Uuid::new_v4().simple().to_string();
    let mut acquisition = Acquisition {
        waiter: Waiter::new(session, lock_name, limit, bell),
        creator: format!("{} #{}", creator.unwrap_or("linklock"), &number[..16]),
        listener: None,
        poll: FIRST_POLL,
    };
    let acquired = acquisition.run().await;
    if acquired.is_err() {
        acquisition.clean_up().await;
    }
    acquired
}

impl<T: Transport, W: FnMut() -> bool> Acquisition<T, W> {
    async fn run(&mut self) -> Result<Holding<T>, ClientError> {
        loop {
            let heard = self.waiter.bell.count();
            let (pause, error) = match self.attempt().await {
                Ok(holding) => return Ok(holding),
                Err(ClientError::Refused { status: 409, message }) => {
                    let held = self.waiter.held(message);
                    if self.waiter.is_impatient() {
                        return Err(held);
                    }
                    self.listen();
                    (self.next_poll(), held)
                }
                Err(error) => self.waiter.retry_after(error)?,
            };
            if !self.waiter.wait(pause, heard).await {
                return Err(self.waiter.timed_out(error));
            }
        }
    }

    /// Asks for the lock once.
    async fn attempt(&mut self) -> Result<Holding<T>, ClientError> {
        let (asked, limit) = (Instant::now(), self.waiter.attempt_limit());
        let request = Request::create(&self.waiter.lock_name, &self.creator);
        let error = match self.waiter.session.once(&request, limit).await {
            Ok(info) => return Ok(self.holding(info, asked)),
            Err(error) => error,
        };
        if error.is_conflict() && self.waiter.is_uncertain {
            if let Some(own) = self.find_own(self.waiter.attempt_limit()).await? {
                // It was created earlier, but not before this acquisition began.
                return Ok(self.holding(own, self.waiter.begun));
            }
        }
        Err(error)
    }

    fn holding(&self, info: LockInfo, asked: Instant) -> Holding<T> {
        Holding::new(self.waiter.session.clone(), Relukko, info, asked)
    }

    /// Listens on the WebSocket, unless it is listening already. Where it cannot, the waiter polls.
    fn listen(&mut self) {
        if self.listener.is_none() {
            let Waiter { session, lock_name, bell, .. } = &self.waiter;
            self.listener = Listener::start(session, lock_name, bell);
        }
    }

    /// About the poll interval while the WebSocket is up; otherwise growing step by step up to the
    /// interval.
    fn next_poll(&mut self) -> Duration {
        let longest = self.waiter.session.options.poll;
        let jitter = 0.75 + random() / 2.0;
        if self.listener.as_ref().is_some_and(Listener::is_connected) {
            self.poll = FIRST_POLL;
            return longest.mul_f64(jitter);
        }
        let poll = self.poll.min(longest);
        self.poll = poll * 2;
        poll.mul_f64(jitter)
    }

    /// The lock that an unanswered attempt has acquired, if any.
    async fn find_own(&mut self, limit: Duration) -> Result<Option<LockInfo>, ClientError> {
        let all: Vec<LockInfo> = self.waiter.session.once(&Request::list(), limit).await?;
        let is_own = |lock: &LockInfo| {
            lock.lock_name == self.waiter.lock_name && lock.creator.as_ref() == Some(&self.creator)
        };
        Ok(all.into_iter().find(is_own))
    }

    /// Releases the lock that an unanswered attempt may have acquired.
    async fn clean_up(&mut self) {
        if !self.waiter.is_uncertain {
            return;
        }
        if let Ok(Some(own)) = self.find_own(CLEAN_UP).await {
            let request = Request::delete(own.id);
            let _ = self.waiter.session.once::<LockInfo>(&request, CLEAN_UP).await; // or it expires
        }
    }
}
