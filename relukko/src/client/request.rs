//! The requests of the interface.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use ureq::http::Method;

use super::error::ClientError;
use super::percent;
use super::secret::Secret;
use super::tenure::Terms;
use crate::info::{LockId, LockInfo};
use crate::timestamp;

const TRUST_ME: &str = "RELUKKO_TRUST_ME_IT_IS_LOCKED";

/// How long a server waits at most before it answers.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

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
    /// By which the server knows the holder.
    pub(super) secret: Option<Secret>,
    /// How long the server may wait before it answers.
    pub(super) waits: Duration,
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
        let (path, waits, repeats) = (path.to_owned(), Duration::ZERO, Repeats::Harmlessly);
        Request { method, path, body: None, secret: None, waits, id: None, repeats }
    }

    fn about(method: Method, id: LockId, what: &str) -> Request {
        Request { id: Some(id), ..Request::new(method, &format!("/v1/locks/{id}{what}")) }
    }

    fn of_own(method: Method, id: LockId, secret: &Secret) -> Request {
        let request = Request::new(method, &format!("/v2/locks/{id}"));
        Request { id: Some(id), secret: Some(secret.clone()), ..request }
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

    /// `since`: the place in the line, from the answer to an earlier request.
    pub(super) fn acquire(
        terms: &Terms,
        secret: &Secret,
        wait: Duration,
        since: Option<&str>,
    ) -> Request {
        let body = json!({
            "name": terms.name, "slots": terms.slots, "access": terms.access,
            "lifetime": terms.lifetime.map(|time| time.as_secs_f64()),
            "who": terms.who, "note": terms.note, "wait": wait.as_secs_f64(), "since": since,
        });
        let request = Request::new(Method::POST, "/v2/locks").with(body);
        Request { secret: Some(secret.clone()), ..request }
    }

    pub(super) fn find(name: &str) -> Request {
        Request::new(Method::GET, &format!("/v2/locks?name={}", percent::encode(name)))
    }

    pub(super) fn readers(name: &str) -> Request {
        Request::new(Method::GET, &format!("/v2/locks?access=read&name={}", percent::encode(name)))
    }

    pub(super) fn slots(set: &str) -> Request {
        Request::new(Method::GET, &format!("/v2/locks?set={}", percent::encode(set)))
    }

    pub(super) fn page(after: Option<&str>, limit: usize) -> Request {
        let after = percent::encode(after.unwrap_or_default());
        Request::new(Method::GET, &format!("/v2/locks?limit={limit}&after={after}"))
    }

    pub(super) fn events(after: Option<&str>, wait: Duration) -> Request {
        let waits = wait.min(LONGEST_WAIT);
        let after = after.map(|after| format!("&after={}", percent::encode(after)));
        let path = format!("/v2/events?wait={}{}", waits.as_secs_f64(), after.unwrap_or_default());
        Request { waits, ..Request::new(Method::GET, &path) }
    }

    pub(super) fn show(id: LockId) -> Request {
        Request { id: Some(id), ..Request::new(Method::GET, &format!("/v2/locks/{id}")) }
    }

    /// `lifetime`: as before, if there is none.
    pub(super) fn renew(id: LockId, secret: &Secret, lifetime: Option<Duration>) -> Request {
        let body = json!({ "lifetime": lifetime.map(|time| time.as_secs_f64()) });
        Request::of_own(Method::PUT, id, secret).with(body)
    }

    pub(super) fn release(id: LockId, secret: &Secret) -> Request {
        Request::of_own(Method::DELETE, id, secret)
    }

    /// Whether the same request may succeed after this error, and does no harm if it has already
    /// been executed.
    pub(super) fn may_repeat_after(&self, error: &ClientError) -> bool {
        error.is_passing() && (self.repeats == Repeats::Harmlessly || !error.is_uncertain())
    }

    /// For a request about a lock, 404 means that the lock does not exist; for others of `/v2/`, that
    /// the server does not have this interface.
    pub(super) fn explain(
        &self,
        error: ClientError,
        server: impl FnOnce() -> String,
    ) -> ClientError {
        match (error, self.id) {
            (ClientError::Refused { status: 404, .. }, Some(id)) => ClientError::NotFound(id),
            (ClientError::Refused { status: 404, .. }, None) if self.path.starts_with("/v2/") => {
                ClientError::Unsupported { url: server() }
            }
            (error, _) => error,
        }
    }
}

fn seconds(time: Duration) -> Value {
    json!({ "seconds": time.as_secs_f64() })
}
