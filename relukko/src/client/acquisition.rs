//! Acquiring a lock.
//!
//! 1. Request it. If it is free, the client acquires it without waiting.
//! 2. If it is held, listen on the WebSocket from then on. Each time the WebSocket connects, the
//!    client requests the lock again, since it may have been released before; so no wake-up is
//!    lost, now or after a reconnect. The client polls as well, since the server may not learn of
//!    everything that ends a lock.
//! 3. If no answer comes, the lock may be ours. Each attempt signs its request, so that the list of
//! 4. If the server is out of reach, retry until the deadline. Without a deadline, a waiter keeps
//!    retrying only if the server has answered before; if it never has, the address is more likely
//!    to be wrong.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::ClientError;
use super::holding::Holding;
use super::listener::Listener;
use super::request::{Request, is_trusted, nil_lock};
use super::retry::Retries;
use super::session::Session;
use super::subscription::random;
use super::transport::{Bell, Transport};
use super::wait_limit::WaitLimit;
use crate::info::LockInfo;

/// The first pause of a waiter that can only poll.
const FIRST_POLL: Duration = Duration::from_millis(250);
/// How much longer an attempt may take, after everything else, to avoid leaving a lock behind that
/// no client knows of.
const CLEAN_UP: Duration = Duration::from_secs(2);
/// How long one attempt may take even if no time is left.
const ONE_ATTEMPT: Duration = Duration::from_secs(1);

pub(super) struct Acquisition<T: Transport, W> {
    session: Session<T>,
    lock_name: String,
    /// With the signature.
    creator: String,
    limit: WaitLimit<W>,
    /// Rung by messages on the WebSocket; ended when the caller cancels the wait.
    bell: Arc<Bell<T::Wake>>,
    listener: Option<Listener<T>>,
    begun: Instant,
    /// An attempt went unanswered: the lock may be ours already, or may become so later.
    is_uncertain: bool,
    /// The server has answered that the lock is held.
    was_answered: bool,
    retries: Retries,
    poll: Duration,
}

/// What to do after an attempt that failed.
enum Next {
    /// The lock is held, as the error says: wait until it ends.
    Wait(ClientError),
    /// Try again after a delay.
    Retry(Duration, ClientError),
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
        return Ok(Holding::new(session, nil_lock(lock_name, creator), Instant::now()));
    }
    let number = uuid::Uuid::new_v4().simple().to_string();
    let mut acquisition = Acquisition {
        lock_name: lock_name.to_owned(),
        creator: format!("{} #{}", creator.unwrap_or("linklock"), &number[..16]),
        limit,
        bell,
        listener: None,
        begun: Instant::now(),
        is_uncertain: false,
        was_answered: false,
        retries: Retries::new(session.options.retry),
        poll: FIRST_POLL,
        session,
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
            let heard = self.bell.count();
            let error = match self.attempt().await {
                Ok(holding) => return Ok(holding),
                Err(error) => error,
            };
            let (pause, error) = match self.next(error)? {
                Next::Wait(held) if matches!(self.limit, WaitLimit::None) => return Err(held),
                Next::Wait(held) => {
                    self.listen();
                    (self.next_poll(), held)
                }
                Next::Retry(delay, error) => (delay, error),
            };
            if !self.wait(pause, heard).await {
                return Err(self.timed_out(error));
            }
        }
    }

    /// Asks for the lock once.
    async fn attempt(&mut self) -> Result<Holding<T>, ClientError> {
        let asked = Instant::now();
        let request = Request::create(&self.lock_name, &self.creator);
        let error = match self.session.once(&request, self.attempt_limit()).await {
            Ok(info) => return Ok(Holding::new(self.session.clone(), info, asked)),
            Err(error) => error,
        };
        if error.is_conflict() && self.is_uncertain {
            if let Some(own) = self.find_own(self.attempt_limit()).await? {
                // It was created earlier, but not before this acquisition began.
                return Ok(Holding::new(self.session.clone(), own, self.begun));
            }
        }
        Err(error)
    }

    /// What to do after this error, or the error itself if retrying is useless.
    fn next(&mut self, error: ClientError) -> Result<Next, ClientError> {
        match error {
            ClientError::Refused { status: 409, message } => {
                self.was_answered = true;
                self.retries = Retries::new(self.session.options.retry);
                Ok(Next::Wait(ClientError::Held { lock_name: self.lock_name.clone(), message }))
            }
            error if error.is_passing() => {
                self.is_uncertain |= error.is_uncertain();
                let delay = if self.is_persistent() {
                    Some(self.retries.next_of_any_number())
                } else {
                    self.retries.next()
                };
                match delay {
                    Some(delay) => Ok(Next::Retry(delay, error)),
                    None => Err(error),
                }
            }
            error => Err(error),
        }
    }

    /// Whether retries continue until the limit.
    fn is_persistent(&self) -> bool {
        match self.limit {
            WaitLimit::None => false,
            WaitLimit::Until(_) => true,
            WaitLimit::While(_) | WaitLimit::Endless => self.was_answered,
        }
    }

    /// Listens on the WebSocket, unless it is listening already. Where it cannot, the waiter polls.
    fn listen(&mut self) {
        if self.listener.is_none() {
            self.listener = Listener::start(&self.session, &self.lock_name, &self.bell);
        }
    }

    /// About the poll interval while the WebSocket is up; otherwise growing step by step up to the
    /// interval.
    fn next_poll(&mut self) -> Duration {
        let longest = self.session.options.poll;
        let jitter = 0.75 + random() / 2.0;
        if self.listener.as_ref().is_some_and(Listener::is_connected) {
            self.poll = FIRST_POLL;
            return longest.mul_f64(jitter);
        }
        let poll = self.poll.min(longest);
        self.poll = poll * 2;
        poll.mul_f64(jitter)
    }

    /// Waits for `time`, or until the bell's count exceeds `heard`. Returns false if the wait is
    /// over.
    async fn wait(&mut self, time: Duration, heard: u64) -> bool {
        let begun = Instant::now();
        loop {
            let left = self.limit.left(Instant::now());
            if left.is_zero() || self.bell.is_over() {
                return false;
            }
            let pause = time.saturating_sub(begun.elapsed()).min(left);
            if pause.is_zero() || self.bell.count() > heard {
                return true;
            }
            self.bell.wait_past(heard, pause).await;
        }
    }

    fn attempt_limit(&self) -> Duration {
        let longest = self.session.options.request_timeout;
        let deadline = self.limit.deadline();
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        left.map_or(longest, |left| left.max(ONE_ATTEMPT).min(longest))
    }

    fn timed_out(&self, last: ClientError) -> ClientError {
        let (lock_name, waited) = (self.lock_name.clone(), self.begun.elapsed());
        ClientError::TimedOut { lock_name, waited, last: Box::new(last) }
    }

    /// The lock that an unanswered attempt has acquired, if any.
    async fn find_own(&mut self, limit: Duration) -> Result<Option<LockInfo>, ClientError> {
        let all: Vec<LockInfo> = self.session.once(&Request::list(), limit).await?;
        let is_own = |lock: &LockInfo| {
            lock.lock_name == self.lock_name && lock.creator.as_ref() == Some(&self.creator)
        };
        Ok(all.into_iter().find(is_own))
    }

    /// Releases the lock that an unanswered attempt may have acquired.
    async fn clean_up(&mut self) {
        if !self.is_uncertain {
            return;
        }
        if let Ok(Some(own)) = self.find_own(CLEAN_UP).await {
            let request = Request::delete(own.id);
            let _ = self.session.once::<LockInfo>(&request, CLEAN_UP).await; // or it expires
        }
    }
}
