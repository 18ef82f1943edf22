//! What is asked of a server, and when it is asked again: for whoever blocks meanwhile and whoever
//! does not.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use ureq::http::Method;

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

/// A request, complete but for where it goes.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Value>,
    /// The lock that it is about.
    id: Option<LockId>,
    repeats: Repeats,
}

/// Whether a request may be repeated if it may have been executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeats {
    Harmlessly,
    Never,
}

impl Request {
    fn new(method: Method, path: &str) -> Request {
        let repeats = Repeats::Harmlessly;
        Request { method, path: path.to_owned(), body: None, id: None, repeats }
    }

    fn about(method: Method, id: LockId, what: &str) -> Request {
        Request { id: Some(id), ..Request::new(method, &format!("/v1/locks/{id}{what}")) }
    }

    fn with(self, body: Value) -> Request {
        Request { body: Some(body), ..self }
    }

    fn once(self) -> Request {
        Request { repeats: Repeats::Never, ..self }
    }

    pub(super) fn health() -> Request {
        Request::new(Method::GET, "/healthchecker")
    }

    pub(super) fn create(lock_name: &str, creator: &str) -> Request {
        let body = json!({ "lock_name": lock_name, "creator": creator });
        Request::new(Method::POST, "/v1/locks/").with(body)
    }

    pub(super) fn list() -> Request {
        Request::new(Method::GET, "/v1/locks/")
    }

    pub(super) fn get(id: LockId) -> Request {
        Request::about(Method::GET, id, "")
    }

    pub(super) fn update(
        id: LockId,
        creator: Option<&str>,
        expires_at: Option<SystemTime>,
    ) -> Result<Request, ClientError> {
        let expires_at = match expires_at.map(timestamp::format) {
            Some(None) => {
                let reason = "expires_at is no date between 1970 and 9999".to_owned();
                return Err(ClientError::Invalid { reason });
            }
            date => date.flatten(),
        };
        let body = json!({ "creator": creator, "expires_at": expires_at });
        Ok(Request::about(Method::PUT, id, "").with(body))
    }

    pub(super) fn delete(id: LockId) -> Request {
        Request::about(Method::DELETE, id, "")
    }

    pub(super) fn keep_alive(id: LockId) -> Request {
        Request::about(Method::GET, id, "/keep_alive")
    }

    pub(super) fn keep_alive_for(id: LockId, time: Duration) -> Request {
        Request::about(Method::PUT, id, "/keep_alive").with(seconds(time))
    }

    pub(super) fn add_to_expires_at(id: LockId) -> Request {
        Request::about(Method::GET, id, "/add_to_expire_at").once()
    }

    pub(super) fn add_to_expires_at_for(id: LockId, time: Duration) -> Request {
        Request::about(Method::PUT, id, "/add_to_expire_at").with(seconds(time)).once()
    }

    /// 404 means that there is no such lock, if it was about one.
    fn explain(&self, error: ClientError) -> ClientError {
        match (error, self.id) {
            (ClientError::Refused { status: 404, .. }, Some(id)) => ClientError::NotFound(id),
            (error, _) => error,
        }
    }
}

fn seconds(time: Duration) -> Value {
    json!({ "seconds": time.as_secs_f64() })
}

/// The delays before further tries.
#[derive(Clone, Debug)]
pub(super) struct Retries {
    options: Retry,
    left: u32,
    delay: f64,
    /// A try may have been executed though it failed.
    is_uncertain: bool,
}

impl Retries {
    pub(super) fn new(options: Retry) -> Retries {
        let (left, delay) = (options.tries - 1, options.delay.as_secs_f64());
        Retries { options, left, delay, is_uncertain: false }
    }

    /// How long to wait until that request is tried again after this error, with so much time left,
    /// or what to say of it.
    pub(super) fn after(
        &mut self,
        request: &Request,
        error: ClientError,
        left: Option<Duration>,
    ) -> Result<Duration, ClientError> {
        self.is_uncertain |= error.is_uncertain();
        if !error.is_passing() || (request.repeats == Repeats::Never && error.is_uncertain()) {
            return Err(request.explain(error));
        }
        let delay = self.next().filter(|delay| left.is_none_or(|left| *delay < left));
        delay.ok_or(error)
    }

    /// What came of deleting one's own lock: that it is gone may be the work of a first try whose
    /// answer was lost.
    pub(super) fn deleted(
        &self,
        lock: &LockInfo,
        answer: Result<Value, ClientError>,
    ) -> Result<(), ClientError> {
        match answer {
            Err(ClientError::NotFound(_)) if self.is_uncertain => Ok(()),
            Err(ClientError::NotFound(id)) => {
                Err(ClientError::Lost { lock_name: lock.lock_name.clone(), id })
            }
            answer => answer.map(|_| ()),
        }
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
