//! Acquiring a lock, without blocking: see `contest`.
//!
//! Whoever waits may be dropped at any moment. So each attempt is a task of its own, which goes on
//! until it is known what came of it, and gives back what nobody waits for any more.

use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::AsyncClient;
use super::guard::AsyncRelukkoGuard;
use super::listener::Listener;
use crate::client::contest::{CLEAN_UP, Contest, Next};
use crate::client::error::ClientError;
use crate::client::request::{Request, is_trusted, nil_lock};
use crate::info::LockInfo;

type Acquired = Result<AsyncRelukkoGuard, ClientError>;

/// For how long to wait for a lock that is held.
#[derive(Clone, Copy)]
enum Patience {
    None,
    Until(Instant),
    Endless,
}

impl AsyncClient {
    /// Acquires a lock, and waits until it can be had.
    ///
    /// The server shows `creator`, with a number after it by which the client knows its own.
    ///
    /// Dropping the future calls the wait off and leaves no lock behind, as far as the server can be
    /// reached and the runtime goes on: what a request may have got by then is deleted by a task.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; in no case is the lock left held, as far as the server can be reached.
    pub async fn acquire(&self, lock_name: &str, creator: Option<&str>) -> Acquired {
        self.contend(lock_name, creator, Patience::Endless).await
    }

    /// Acquires a lock if it is free: one request, and retries if that fails. It may be dropped like
    /// [`acquire`](Self::acquire).
    ///
    /// # Errors
    ///
    /// [`ClientError::Held`], and otherwise as for [`acquire`](Self::acquire).
    pub async fn try_acquire(&self, lock_name: &str, creator: Option<&str>) -> Acquired {
        self.contend(lock_name, creator, Patience::None).await
    }

    /// Acquires a lock if it can be had within `time`, everything included: connecting, requests,
    /// retries and waiting. It is asked for at least once, and then for at least a second. It may be
    /// dropped like [`acquire`](Self::acquire).
    ///
    /// # Errors
    ///
    /// [`ClientError::TimedOut`], and otherwise as for [`acquire`](Self::acquire).
    pub async fn acquire_for(
        &self,
        lock_name: &str,
        creator: Option<&str>,
        time: Duration,
    ) -> Acquired {
        self.acquire_until(lock_name, creator, Instant::now() + time).await
    }

    /// [`acquire_for`](Self::acquire_for), with a moment instead of a time.
    ///
    /// # Errors
    ///
    /// As for [`acquire_for`](Self::acquire_for).
    pub async fn acquire_until(
        &self,
        lock_name: &str,
        creator: Option<&str>,
        deadline: Instant,
    ) -> Acquired {
        self.contend(lock_name, creator, Patience::Until(deadline)).await
    }

    async fn contend(
        &self,
        lock_name: &str,
        creator: Option<&str>,
        patience: Patience,
    ) -> Acquired {
        if is_trusted() {
            let lock = nil_lock(lock_name, creator);
            return Ok(AsyncRelukkoGuard::new(self, lock, Instant::now()));
        }
        let contest = Contest::new(&self.inner.options, lock_name, creator);
        let attempt = Attempt { client: self.clone(), contest };
        let mut contender = Contender { attempt, patience, listener: None, answer: None };
        let acquired = contender.contend().await;
        if acquired.is_err() {
            contender.attempt.clean_up().await;
        }
        contender.attempt.contest.is_uncertain = false; // all is known now
        acquired
    }
}

struct Contender {
    attempt: Attempt,
    patience: Patience,
    listener: Option<Listener>,
    /// What comes of the attempt that is under way.
    answer: Option<oneshot::Receiver<Acquired>>,
}

impl Contender {
    async fn contend(&mut self) -> Acquired {
        loop {
            let heard = self.listener.as_ref().map_or(0, Listener::heard);
            let error = match self.attempt().await {
                Ok(guard) => return Ok(guard),
                Err(error) => error,
            };
            match self.attempt.contest.judge(error)? {
                Next::Wait(held) => {
                    if matches!(self.patience, Patience::None) {
                        return Err(held);
                    }
                    self.listen();
                    let is_connected = self.listener.as_ref().is_some_and(Listener::is_connected);
                    let pause = self.attempt.contest.next_poll(is_connected);
                    let pause = self.cut(pause).unwrap_or_default();
                    match &mut self.listener {
                        Some(listener) => listener.wait(heard, pause).await,
                        None => sleep(pause).await,
                    }
                    if self.cut(pause).is_none() {
                        return Err(self.attempt.contest.timed_out(None));
                    }
                }
                Next::Retry(delay, error) => {
                    sleep(self.cut(delay).unwrap_or_default()).await;
                    if self.cut(delay).is_none() {
                        return Err(self.attempt.contest.timed_out(Some(error)));
                    }
                }
            }
        }
    }

    /// Asks for the lock once, in a task.
    async fn attempt(&mut self) -> Acquired {
        let (tell, answer) = oneshot::channel();
        let (attempt, deadline) = (self.attempt.clone(), self.deadline());
        tokio::spawn(async move {
            if let Err(unheard) = tell.send(attempt.run(deadline).await) {
                attempt.give_back(unheard).await;
            }
        });
        let answer = self.answer.insert(answer).await;
        self.answer = None;
        answer.unwrap_or_else(|_| {
            let url = self.attempt.client.inner.server.url("");
            Err(ClientError::NoAnswer { url, reason: "the task that asked was ended".into() })
        })
    }

    fn listen(&mut self) {
        let inner = &self.attempt.client.inner;
        if self.listener.is_none() && inner.server.proxy.is_none() {
            if let Some(pings) = inner.options.websocket {
                let lock_name = &self.attempt.contest.lock_name;
                self.listener = Listener::start(&inner.server, lock_name, pings).ok();
            }
        }
    }

    /// No longer than until the deadline. `None` if that is over.
    fn cut(&self, pause: Duration) -> Option<Duration> {
        let left = self.deadline().map(|it| it.saturating_duration_since(Instant::now()));
        left.map_or(Some(pause), |left| (!left.is_zero()).then(|| pause.min(left)))
    }

    fn deadline(&self) -> Option<Instant> {
        match self.patience {
            Patience::Until(deadline) => Some(deadline),
            Patience::None | Patience::Endless => None,
        }
    }
}

/// It was dropped before all was known, or all is known and there is nothing to do.
impl Drop for Contender {
    fn drop(&mut self) {
        let unheard = self.answer.take().and_then(|mut answer| {
            answer.close(); // from now on the task knows that nobody waits
            answer.try_recv().ok()
        });
        let is_uncertain = self.attempt.contest.is_uncertain;
        if unheard.is_none() && !is_uncertain {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            let attempt = self.attempt.clone();
            runtime.spawn(async move {
                match unheard {
                    Some(unheard) => attempt.give_back(unheard).await,
                    None => attempt.clean_up().await,
                }
            });
        }
    }
}

/// What each attempt needs.
#[derive(Clone)]
struct Attempt {
    client: AsyncClient,
    contest: Contest,
}

impl Attempt {
    async fn run(&self, deadline: Option<Instant>) -> Acquired {
        let asked = Instant::now();
        let limit = self.contest.limit(deadline);
        match self.client.ask_once(&self.contest.create(), limit).await {
            Ok(info) => Ok(AsyncRelukkoGuard::new(&self.client, info, asked)),
            Err(error) => {
                let is_held = matches!(error, ClientError::Refused { status: 409, .. });
                if is_held && self.contest.is_uncertain {
                    if let Some(own) = self.find_own(self.contest.limit(deadline)).await? {
                        // It was created before, but no earlier than we began.
                        return Ok(AsyncRelukkoGuard::new(&self.client, own, self.contest.begun));
                    }
                }
                Err(error)
            }
        }
    }

    async fn find_own(&self, limit: Duration) -> Result<Option<LockInfo>, ClientError> {
        Ok(self.contest.own(self.client.ask_once(&Request::list(), limit).await?))
    }

    /// Deletes what nobody waits for any more.
    async fn give_back(mut self, unheard: Acquired) {
        match unheard {
            Ok(guard) => {
                let _ = guard.unlock().await; // or it expires
            }
            Err(error) => {
                self.contest.is_uncertain |= error.is_uncertain();
                self.clean_up().await;
            }
        }
    }

    /// Gives back what an unanswered attempt may have got.
    async fn clean_up(&self) {
        if !self.contest.is_uncertain {
            return;
        }
        if let Ok(Some(own)) = self.find_own(CLEAN_UP).await {
            let request = Request::delete(own.id);
            let _ = self.client.ask_once::<LockInfo>(&request, CLEAN_UP).await; // or it expires
        }
    }
}
