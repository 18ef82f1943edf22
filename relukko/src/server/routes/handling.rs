//! What the handlers of all versions share.

use std::time::{Duration, SystemTime};

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use serde::Deserialize;

use crate::info::LockId;
use crate::server::error_response::ErrorResponse;
use crate::server::registry::{Acquired, Registry};
use crate::server::secret::Digest;
use crate::server::shared::Shared;
use crate::server::shown::Shown;
use crate::server::store::{Record, StoreError, Wanted};
use crate::{secret, timestamp};

/// The shortest lifetime.
pub(super) const SHORTEST: Duration = Duration::from_secs(1);
/// How long a request may wait; its client can come back.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Of a text for people, in bytes.
const LONGEST_TEXT: usize = 4096;

/// Paths, with the handlers of their methods.
pub(super) type Routes = Vec<(&'static str, MethodRouter<Shared>)>;

/// Accesses the directory, which blocks. The work continues even if the client gives up.
pub(super) async fn on<T: Send + 'static>(
    shared: &Shared,
    work: impl FnOnce(&Registry) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, ErrorResponse> {
    let registry = shared.registry.clone();
    Ok(shared.access.run(move || work(&registry)).await??)
}

/// Creates a lock, unless its client goes away or gives up meanwhile, or has it already.
pub(super) async fn acquire_or_undo(
    shared: &Shared,
    wanted: Wanted,
) -> Result<Acquired, ErrorResponse> {
    let registry = shared.registry.clone();
    let acquire = move || registry.acquire(&wanted);
    let registry = shared.registry.clone();
    let undo = move |acquired| {
        if let Ok(Acquired::New(record)) = acquired {
            let _ = registry.withdraw(&record); // otherwise it ends when it expires
        }
    };
    Ok(shared.access.run_or_undo(acquire, undo).await??)
}

/// A lock of `/v2/` as an answer.
pub(super) fn granted(status: StatusCode, record: &Record) -> Response {
    (status, Json(Shown::of(record))).into_response()
}

/// The secret that was sent.
fn sent(headers: &HeaderMap) -> Option<&str> {
    headers.get(secret::HEADER)?.to_str().ok()
}

/// The secret that a client has chosen.
pub(super) fn new_secret(headers: &HeaderMap) -> Result<Digest, ErrorResponse> {
    match sent(headers).filter(|text| secret::LENGTH.contains(&text.len())) {
        Some(secret) => Ok(Digest::of(secret)),
        None => Err(unfit(format!(
            "the header X-Lock-Secret has to be a secret of {} to {} characters, which you choose at random",
            secret::LENGTH.start(),
            secret::LENGTH.end()
        ))),
    }
}

/// The secret of a lock that exists.
pub(super) fn known_secret(headers: &HeaderMap) -> Result<Digest, ErrorResponse> {
    let missing = "the header X-Lock-Secret is missing";
    sent(headers).map(Digest::of).ok_or_else(|| ErrorResponse::new(StatusCode::FORBIDDEN, missing))
}

pub(super) fn seconds(what: &str, seconds: f64) -> Result<Duration, ErrorResponse> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| unfit(format!("{what} has to be a number of seconds, and not {seconds}")))
}

/// An invalid id is an unknown one.
pub(super) fn parse_id(id: &str) -> Result<LockId, ErrorResponse> {
    id.parse().map_err(|error| {
        ErrorResponse::new(StatusCode::NOT_FOUND, format!("no such lock: {error}"))
    })
}

pub(super) fn optional_time<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<Option<SystemTime>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| timestamp::parse(&text)).transpose().map_err(serde::de::Error::custom)
}

/// A text for people, of a limited length.
pub(super) fn text(what: &str, text: Option<String>) -> Result<Option<String>, ErrorResponse> {
    if text.as_ref().is_some_and(|text| text.len() > LONGEST_TEXT) {
        return Err(unfit(format!("{what} is longer than {LONGEST_TEXT} bytes")));
    }
    Ok(text)
}

pub(super) fn unfit(message: String) -> ErrorResponse {
    ErrorResponse::new(StatusCode::UNPROCESSABLE_ENTITY, message)
}
