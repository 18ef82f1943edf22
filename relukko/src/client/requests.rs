//! What can be asked of a server about locks that there are.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use ureq::http::Method;

use super::Client;
use super::error::ClientError;
use super::options::Retry;
use crate::info::{LockId, LockInfo};
use crate::timestamp;

const TRUST_ME: &str = "RELUKKO_TRUST_ME_IT_IS_LOCKED";

/// Whether no server is to be asked anything.
pub(super) fn is_trusted() -> bool {
    std::env::var_os(TRUST_ME).is_some_and(|value| !value.is_empty())
}

/// The lock that everything is when nobody is asked.
pub(super) fn nil_lock(lock_name: &str, creator: Option<&str>) -> LockInfo {
    let now = timestamp::whole_microseconds(SystemTime::now());
    LockInfo {
        id: LockId::NIL,
        lock_name: lock_name.to_owned(),
        creator: creator.map(str::to_owned),
        ip: None,
        expires_at: now + Duration::from_secs(86_400),
        created_at: now,
        updated_at: now,
    }
}

/// Whether a request may be repeated if it may have been executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeats {
    Harmlessly,
    Never,
}

impl Client {
    /// All locks that are held.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn list(&self) -> Result<Vec<LockInfo>, ClientError> {
        if is_trusted() {
            return Ok(vec![nil_lock("", None)]);
        }
        self.retrying(Repeats::Harmlessly, None, |limit| {
            self.inner.http.ask(&Method::GET, "/v1/locks/", None, limit)
        })
    }

    /// A lock that is held.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub fn get(&self, id: LockId) -> Result<LockInfo, ClientError> {
        self.ask(&Method::GET, id, "", None, Repeats::Harmlessly)
    }

    /// Sets who created a lock and when it expires; what is `None` stays.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub fn update(
        &self,
        id: LockId,
        creator: Option<&str>,
        expires_at: Option<SystemTime>,
    ) -> Result<LockInfo, ClientError> {
        let expires_at = match expires_at.map(timestamp::format) {
            Some(None) => {
                let reason = "expires_at is no date between 1970 and 9999".to_owned();
                return Err(ClientError::Invalid { reason });
            }
            date => date.flatten(),
        };
        let body = json!({ "creator": creator, "expires_at": expires_at });
        self.ask(&Method::PUT, id, "", Some(&body), Repeats::Harmlessly)
    }

    /// Deletes a lock, whoever's it is, and says what it was. [`RelukkoGuard::unlock`] is for one's
    /// own.
    ///
    /// [`RelukkoGuard::unlock`]: crate::RelukkoGuard::unlock
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub fn delete(&self, id: LockId) -> Result<LockInfo, ClientError> {
        self.ask(&Method::DELETE, id, "", None, Repeats::Harmlessly)
    }

    /// Lets a lock expire in 5 minutes, be that later than it would have or sooner.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub fn keep_alive(&self, id: LockId) -> Result<LockInfo, ClientError> {
        self.ask(&Method::GET, id, "/keep_alive", None, Repeats::Harmlessly)
    }

    /// Lets a lock expire after this time, be that later than it would have or sooner.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub fn keep_alive_for(&self, id: LockId, time: Duration) -> Result<LockInfo, ClientError> {
        let body = seconds(time);
        self.ask(&Method::PUT, id, "/keep_alive", Some(&body), Repeats::Harmlessly)
    }

    /// Lets a lock expire 5 minutes later than it would have. If no answer comes this is not tried
    /// again, since it may have been done.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub fn add_to_expires_at(&self, id: LockId) -> Result<LockInfo, ClientError> {
        self.ask(&Method::GET, id, "/add_to_expire_at", None, Repeats::Never)
    }

    /// Lets a lock expire by so much later than it would have; see
    /// [`add_to_expires_at`](Self::add_to_expires_at).
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub fn add_to_expires_at_for(
        &self,
        id: LockId,
        time: Duration,
    ) -> Result<LockInfo, ClientError> {
        let body = seconds(time);
        self.ask(&Method::PUT, id, "/add_to_expire_at", Some(&body), Repeats::Never)
    }

    /// Whether the server answers. It needs no key for that.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn check_health(&self) -> Result<(), ClientError> {
        self.retrying(Repeats::Harmlessly, None, |limit| {
            self.inner.http.ask::<Value>(&Method::GET, "/healthchecker", None, limit).map(|_| ())
        })
    }

    /// Deletes a lock of one's own, which may have been done by a first request whose answer was
    /// lost.
    pub(super) fn delete_own(&self, lock: &LockInfo) -> Result<(), ClientError> {
        let mut may_be_done = false;
        let path = format!("/v1/locks/{}", lock.id);
        let deleted = self.retrying(Repeats::Harmlessly, None, |limit| {
            let deleted = self.inner.http.ask::<Value>(&Method::DELETE, &path, None, limit);
            match deleted {
                Err(ClientError::Refused { status: 404, .. }) if may_be_done => Ok(Value::Null),
                deleted => {
                    may_be_done |= deleted.as_ref().is_err_and(ClientError::is_uncertain);
                    deleted
                }
            }
        });
        match deleted {
            Err(ClientError::Refused { status: 404, .. }) => {
                Err(ClientError::Lost { lock_name: lock.lock_name.clone(), id: lock.id })
            }
            deleted => deleted.map(|_| ()),
        }
    }

    /// Keeps a lock of one's own alive, with at most so much time for it.
    pub(super) fn prolong(
        &self,
        id: LockId,
        time: Duration,
        until: Instant,
    ) -> Result<LockInfo, ClientError> {
        let (path, body) = (format!("/v1/locks/{id}/keep_alive"), seconds(time));
        self.retrying(Repeats::Harmlessly, Some(until), |limit| {
            self.inner
                .http
                .ask(&Method::PUT, &path, Some(&body), limit)
                .map_err(|error| not_found(id, error))
        })
    }

    /// [`get`](Self::get), with at most so much time for it.
    pub(super) fn get_until(&self, id: LockId, until: Instant) -> Result<LockInfo, ClientError> {
        let path = format!("/v1/locks/{id}");
        self.retrying(Repeats::Harmlessly, Some(until), |limit| {
            self.inner
                .http
                .ask(&Method::GET, &path, None, limit)
                .map_err(|error| not_found(id, error))
        })
    }

    fn ask(
        &self,
        method: &Method,
        id: LockId,
        what: &str,
        body: Option<&Value>,
        repeats: Repeats,
    ) -> Result<LockInfo, ClientError> {
        if is_trusted() {
            return Ok(nil_lock("", None));
        }
        let path = format!("/v1/locks/{id}{what}");
        self.retrying(repeats, None, |limit| {
            self.inner.http.ask(method, &path, body, limit).map_err(|error| not_found(id, error))
        })
    }

    /// Tries what may fail for now several times, with growing delays.
    fn retrying<T>(
        &self,
        repeats: Repeats,
        until: Option<Instant>,
        mut ask: impl FnMut(Duration) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let options = &self.inner.options;
        let mut retries = Retries::new(options.retry);
        let left = || until.map(|until| until.saturating_duration_since(Instant::now()));
        loop {
            let limit =
                left().map_or(options.request_timeout, |left| left.min(options.request_timeout));
            let error = match ask(limit) {
                Err(error) if error.is_passing() => error,
                done => return done,
            };
            if repeats == Repeats::Never && error.is_uncertain() {
                return Err(error);
            }
            match retries.next() {
                Some(delay) if left().is_none_or(|left| delay < left) => thread::sleep(delay),
                _ => return Err(error),
            }
        }
    }
}

/// The delays before further tries.
#[derive(Debug)]
pub(super) struct Retries {
    options: Retry,
    left: u32,
    delay: f64,
}

impl Retries {
    pub(super) fn new(options: Retry) -> Retries {
        Retries { options, left: options.tries - 1, delay: options.delay.as_secs_f64() }
    }
}

impl Iterator for Retries {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        let most = self.options.max_delay;
        let delay = Duration::try_from_secs_f64(self.delay).unwrap_or(most).min(most);
        self.delay *= self.options.backoff;
        Some(delay)
    }
}

fn seconds(time: Duration) -> Value {
    json!({ "seconds": time.as_secs_f64() })
}

fn not_found(id: LockId, error: ClientError) -> ClientError {
    match error {
        ClientError::Refused { status: 404, .. } => ClientError::NotFound(id),
        error => error,
    }
}
