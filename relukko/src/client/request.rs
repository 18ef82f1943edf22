//! The requests of the interface.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use ureq::http::Method;

use super::error::ClientError;
use crate::info::{LockId, LockInfo};
use crate::timestamp;

const TRUST_ME: &str = "RELUKKO_TRUST_ME_IT_IS_LOCKED";

/// Whether the environment asks for no requests.
pub(super) fn is_trusted() -> bool {
    std::env::var_os(TRUST_ME).is_some_and(|value| !value.is_empty())
}

/// The lock that every request returns when no requests are made.
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

/// A request, complete except for the server's address.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Value>,
    /// The lock that the request is about.
    id: Option<LockId>,
    repeats: Repeats,
}

/// Whether a request that may have been executed may be repeated.
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
                let reason = "expires_at must be a date between 1970 and 9999".to_owned();
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

    /// Whether the same request may succeed after this error, and does no harm if it has already
    /// been executed.
    pub(super) fn may_repeat_after(&self, error: &ClientError) -> bool {
        error.is_passing() && (self.repeats == Repeats::Harmlessly || !error.is_uncertain())
    }

    /// For a request about a lock, 404 means that the lock does not exist.
    pub(super) fn explain(&self, error: ClientError) -> ClientError {
        match (error, self.id) {
            (ClientError::Refused { status: 404, .. }, Some(id)) => ClientError::NotFound(id),
            (error, _) => error,
        }
    }
}

fn seconds(time: Duration) -> Value {
    json!({ "seconds": time.as_secs_f64() })
}
