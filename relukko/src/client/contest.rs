//! What whoever wants a lock goes by: what to ask for, and what to make of the answer. It does
//! nothing itself, neither ask nor wait.
//!
//! 1. Ask for it. Whoever finds it free waits for nothing.
//! 2. Held: listen on the WebSocket from now on. That it is connected is a reason to ask again, since
//!    the lock may have been released before; so no wake-up is lost, here or whenever it has to be
//!    connected anew. A waiter polls as well, since not everything that ends a lock may be told.
//! 3. No answer: the lock may be ours. Each attempt signs what it asks for, so that it can be told.

use std::time::{Duration, Instant};

use super::error::ClientError;
use super::options::{ClientOptions, Retry};
use super::request::{Request, Retries};
use crate::info::LockInfo;

/// The first pause of one who has nothing but polling.
const FIRST_POLL: Duration = Duration::from_millis(250);
/// How long is spent, after all else, on not leaving a lock that nobody knows of.
pub(super) const CLEAN_UP: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
pub(super) struct Contest {
    pub(super) lock_name: String,
    /// Signed.
    creator: String,
    pub(super) begun: Instant,
    /// An attempt went unanswered: the lock may have become ours, or may yet.
    pub(super) is_uncertain: bool,
    poll: Duration,
    longest_poll: Duration,
    request_timeout: Duration,
    retry: Retry,
    retries: Retries,
}

/// What to do after an attempt that failed.
pub(super) enum Next {
    /// Wait for the holder: this is what to say of it if there is to be no waiting.
    Wait(ClientError),
    /// Try again after a delay.
    Retry(Duration, ClientError),
}

impl Contest {
    pub(super) fn new(options: &ClientOptions, lock_name: &str, creator: Option<&str>) -> Contest {
        let number = uuid::Uuid::new_v4().simple().to_string();
        Contest {
            lock_name: lock_name.to_owned(),
            creator: format!("{} #{}", creator.unwrap_or("linklock"), &number[..16]),
            begun: Instant::now(),
            is_uncertain: false,
            poll: FIRST_POLL,
            longest_poll: options.poll,
            request_timeout: options.request_timeout,
            retry: options.retry,
            retries: Retries::new(options.retry),
        }
    }

    pub(super) fn create(&self) -> Request {
        Request::create(&self.lock_name, &self.creator)
    }

    /// What a lock that is ours is told by.
    pub(super) fn own(&self, all: Vec<LockInfo>) -> Option<LockInfo> {
        let is_own = |lock: &LockInfo| {
            lock.lock_name == self.lock_name && lock.creator.as_ref() == Some(&self.creator)
        };
        all.into_iter().find(is_own)
    }

    /// What to do after such an error, if anything.
    pub(super) fn judge(&mut self, error: ClientError) -> Result<Next, ClientError> {
        match error {
            ClientError::Refused { status: 409, message } => {
                self.retries = Retries::new(self.retry);
                Ok(Next::Wait(ClientError::Held { lock_name: self.lock_name.clone(), message }))
            }
            error if error.is_passing() => {
                self.is_uncertain |= error.is_uncertain();
                match self.retries.next() {
                    Some(delay) => Ok(Next::Retry(delay, error)),
                    None => Err(error),
                }
            }
            error => Err(error),
        }
    }

    /// Around the interval while the WebSocket is up, and up to it, step by step, otherwise.
    pub(super) fn next_poll(&mut self, is_connected: bool) -> Duration {
        let jitter = 0.75 + random() / 2.0;
        if is_connected {
            self.poll = FIRST_POLL;
            return self.longest_poll.mul_f64(jitter);
        }
        let poll = self.poll.min(self.longest_poll);
        self.poll = poll * 2;
        poll.mul_f64(jitter)
    }

    /// How long a request may take.
    pub(super) fn limit(&self, deadline: Option<Instant>) -> Duration {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        // Even with no time left there is one attempt, which needs some.
        let left = left.map(|left| left.max(Duration::from_secs(1)));
        left.map_or(self.request_timeout, |left| left.min(self.request_timeout))
    }

    pub(super) fn timed_out(&self, last: Option<ClientError>) -> ClientError {
        let (lock_name, waited) = (self.lock_name.clone(), self.begun.elapsed());
        ClientError::TimedOut { lock_name, waited, last: last.map(Box::new) }
    }
}

/// From 0 to 1.
pub(super) fn random() -> f64 {
    let (bits, _, _, _) = uuid::Uuid::new_v4().as_fields(); // all of these 32 are random
    f64::from(bits) / f64::from(u32::MAX)
}
