//! A client that waits for a lock: for how long, and when it retries what has failed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::ClientError;
use super::retry::Retries;
use super::session::Session;
use super::transport::{Bell, Transport};
use super::wait_limit::WaitLimit;

/// How much longer an attempt may take, after everything else, to avoid leaving a lock behind that
/// no client knows of.
pub(super) const CLEAN_UP: Duration = Duration::from_secs(2);
/// How long one attempt may take even if no time is left.
const ONE_ATTEMPT: Duration = Duration::from_secs(1);

pub(super) struct Waiter<T: Transport, W> {
    pub(super) session: Session<T>,
    pub(super) lock_name: String,
    limit: WaitLimit<W>,
    /// Rung when there is a reason to request the lock; ended when the caller cancels the wait.
    pub(super) bell: Arc<Bell<T::Wake>>,
    pub(super) begun: Instant,
    /// An attempt went unanswered: the lock may be ours already, or may become so later.
    pub(super) is_uncertain: bool,
    /// The server has answered that the lock is held.
    was_answered: bool,
    retries: Retries,
}

impl<T: Transport, W: FnMut() -> bool> Waiter<T, W> {
    pub(super) fn new(
        session: Session<T>,
        lock_name: &str,
        limit: WaitLimit<W>,
        bell: Arc<Bell<T::Wake>>,
    ) -> Waiter<T, W> {
        Waiter {
            lock_name: lock_name.to_owned(),
            limit,
            bell,
            begun: Instant::now(),
            is_uncertain: false,
            was_answered: false,
            retries: Retries::new(session.options.retry),
            session,
        }
    }

    /// Whether the caller does not want to wait.
    pub(super) fn is_impatient(&self) -> bool {
        matches!(self.limit, WaitLimit::None)
    }

    /// Whether the caller decides again and again whether to go on.
    pub(super) fn is_conditional(&self) -> bool {
        matches!(self.limit, WaitLimit::While(_))
    }

    /// The server has answered that the lock is held. Returns what that is as an error.
    pub(super) fn held(&mut self, message: String) -> ClientError {
        self.was_answered = true;
        self.retries = Retries::new(self.session.options.retry);
        ClientError::Held { lock_name: self.lock_name.clone(), message }
    }

    /// The delay before the next attempt after this error, or the error itself if retrying is useless.
    pub(super) fn retry_after(
        &mut self,
        error: ClientError,
    ) -> Result<(Duration, ClientError), ClientError> {
        if !error.is_passing() {
            return Err(error);
        }
        self.is_uncertain |= error.is_uncertain();
        let delay = if self.is_persistent() {
            Some(self.retries.next_of_any_number())
        } else {
            self.retries.next()
        };
        match delay {
            Some(delay) => Ok((delay, error)),
            None => Err(error),
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

    /// Waits for `time`, or until the bell's count exceeds `heard`. Returns false if the wait is
    /// over.
    pub(super) async fn wait(&mut self, time: Duration, heard: u64) -> bool {
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

    /// The time until the deadline, if there is one.
    pub(super) fn left(&self) -> Option<Duration> {
        self.limit.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    pub(super) fn attempt_limit(&self) -> Duration {
        let longest = self.session.options.request_timeout;
        self.left().map_or(longest, |left| left.max(ONE_ATTEMPT).min(longest))
    }

    pub(super) fn timed_out(&self, last: ClientError) -> ClientError {
        let (lock_name, waited) = (self.lock_name.clone(), self.begun.elapsed());
        ClientError::TimedOut { lock_name, waited, last: Box::new(last) }
    }
}
