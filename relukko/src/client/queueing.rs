//! Acquiring a lock of `/v2/`, for which clients stand in line at the server.
//!
//! 1. Request it. If it is free, the client acquires it without waiting.
//! 2. If it is held, the server answers with a place in the line: a date. The client requests the lock
//!    again with that date, and the server answers when the lock is this client's, or after a while.
//!    The date keeps the place from one request to the next, and over a restart of the server.
//! 3. If no answer comes, the lock may be ours. The same secret gets the same lock, so the client
//!    repeats the request.
//! 4. If the server is out of reach, retry as for a lock of `/v1/`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::error::ClientError;
use super::holding::Holding;
use super::interface::Own;
use super::request::Request;
use super::secret::Secret;
use super::session::Session;
use super::tenure::{Answer, LockInfo, Page, Terms};
use super::transport::{Bell, Transport};
use super::wait_limit::WaitLimit;
use super::waiter::{CLEAN_UP, Waiter};
use crate::info::{Access, LockId};

/// How long a request stands in line. The server would allow a minute.
const LONG: Duration = Duration::from_secs(30);
/// The same, if the caller is asked between requests whether to go on.
const SHORT: Duration = Duration::from_millis(500);
/// Between requests that a server answers sooner than it was asked to: one that is about to stop.
const PAUSE: Duration = Duration::from_millis(250);
/// How much of a lease may be over when its holder learns of it.
const WORN: u32 = 6;

struct Queueing<T: Transport, W> {
    waiter: Waiter<T, W>,
    terms: Terms,
    secret: Secret,
    /// The place in the line.
    since: Option<String>,
}

/// Acquires a lock, or returns why it could not; on failure this client does not hold it.
pub(super) async fn acquire<T: Transport, W: FnMut() -> bool>(
    session: Session<T>,
    terms: Terms,
    limit: WaitLimit<W>,
    bell: Arc<Bell<T::Wake>>,
) -> Result<Holding<T, Own>, ClientError> {
    let waiter = Waiter::new(session, &terms.name, limit, bell);
    let mut queueing = Queueing { waiter, terms, secret: Secret::random(), since: None };
    let acquired = queueing.run().await;
    if acquired.is_err() {
        queueing.clean_up().await;
    }
    acquired
}

// Each method borrows it alone: what the caller asks may be `Send` without being `Sync`.
impl<T: Transport, W: FnMut() -> bool> Queueing<T, W> {
    async fn run(&mut self) -> Result<Holding<T, Own>, ClientError> {
        loop {
            let heard = self.waiter.bell.count();
            let (begun, wait, was_in_line) = (Instant::now(), self.wait(), self.since.is_some());
            let (pause, error) = match self.attempt(wait).await {
                Ok(Answer::Granted(info)) => match self.hold(*info, begun).await {
                    Ok(holding) => return Ok(holding),
                    Err(error) => self.waiter.retry_after(error)?,
                },
                Ok(Answer::Place { since }) => {
                    self.since = Some(since);
                    let held = self.waiter.held("others hold it or wait for it".to_owned());
                    let is_early = was_in_line && begun.elapsed() < wait / 2;
                    (if is_early { PAUSE } else { Duration::ZERO }, held)
                }
                Err(ClientError::Refused { status: 409, message }) => {
                    return Err(self.waiter.held(message));
                }
                Err(error) => self.waiter.retry_after(error)?,
            };
            if !self.waiter.wait(pause, heard).await {
                return Err(self.timed_out(error).await);
            }
        }
    }

    /// How long the next request stands in line.
    fn wait(&self) -> Duration {
        let longest = match () {
            () if self.waiter.is_impatient() => Duration::ZERO,
            () if self.waiter.is_conditional() => SHORT,
            () => LONG,
        };
        self.waiter.left().map_or(longest, |left| left.max(Duration::from_millis(1)).min(longest))
    }

    /// Asks for the lock once.
    async fn attempt(&mut self, wait: Duration) -> Result<Answer, ClientError> {
        let request = Request::acquire(&self.terms, &self.secret, wait, self.since.as_deref());
        // The server answers when the wait is over.
        let limit = self.waiter.session.options.request_timeout + wait;
        let left = self.waiter.left().map_or(limit, |left| left + CLEAN_UP);
        let answer = self.waiter.session.once(&request, limit.min(left)).await?;
        match &answer {
            Answer::Granted(info) if info.access != self.terms.access => {
                self.release(info.id).await;
                let url = self.waiter.session.server();
                Err(ClientError::Unsupported { url })
            }
            _ => Ok(answer),
        }
    }

    /// The lock that was requested at this moment, or later if an earlier request was unanswered.
    async fn hold(
        &mut self,
        info: LockInfo,
        asked: Instant,
    ) -> Result<Holding<T, Own>, ClientError> {
        let lifetime = info.lifetime.unwrap_or_default();
        let asked = if self.waiter.is_uncertain { self.waiter.begun } else { asked };
        let session = self.waiter.session.clone();
        let holding = Holding::new(session, Own(self.secret.clone()), info, asked);
        if asked.elapsed() > lifetime / WORN {
            self.waiter.is_uncertain = true; // whether the lock is still ours
            holding.refresh(lifetime).await?;
        }
        Ok(holding)
    }

    /// Names the holder, if the server does.
    async fn timed_out(&mut self, last: ClientError) -> ClientError {
        let ClientError::Held { lock_name, mut message } = last else {
            return self.waiter.timed_out(last);
        };
        if let Some(who) = self.holder(&lock_name).await {
            message = format!("already held by {who}");
        }
        self.waiter.timed_out(ClientError::Held { lock_name, message })
    }

    /// Who is in the way: the lock's holder, or for a writer one of the readers that it waits for.
    async fn holder(&mut self, lock_name: &str) -> Option<String> {
        let mut requests = vec![Request::find(lock_name)];
        if self.terms.access == Some(Access::Write) {
            requests.push(Request::readers(lock_name));
        }
        for request in requests {
            let page: Page = self.waiter.session.once(&request, CLEAN_UP).await.ok()?;
            if let Some(lock) = page.locks.into_iter().find(|lock| !lock.is_waiting()) {
                return lock.who;
            }
        }
        None
    }

    /// Releases the lock that an unanswered attempt may have acquired. If there is none, this acquires
    /// it for a moment where it is free.
    async fn clean_up(&mut self) {
        if !self.waiter.is_uncertain {
            return;
        }
        let again = Request::acquire(&self.terms, &self.secret, Duration::ZERO, None);
        if let Ok(Answer::Granted(own)) = self.waiter.session.once(&again, CLEAN_UP).await {
            self.release(own.id).await;
        }
    }

    async fn release(&mut self, id: LockId) {
        let release = Request::release(id, &self.secret);
        let _ = self.waiter.session.once::<Value>(&release, CLEAN_UP).await; // or it expires
    }
}
