//! What the handlers of all versions share.

use std::time::SystemTime;

use axum::http::StatusCode;
use axum::routing::MethodRouter;
use serde::Deserialize;

use crate::info::LockId;
use crate::server::error_response::ErrorResponse;
use crate::server::registry::Registry;
use crate::server::shared::Shared;
use crate::server::store::{Record, StoreError, Wanted};
use crate::timestamp;

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

/// Creates a lock, unless its client goes away or gives up meanwhile.
pub(super) async fn create_or_undo(
    shared: &Shared,
    wanted: Wanted,
) -> Result<Record, ErrorResponse> {
    let registry = shared.registry.clone();
    let create = move || registry.create(wanted);
    let registry = shared.registry.clone();
    let undo = move |created: Result<Record, _>| {
        if let Ok(record) = created {
            let _ = registry.withdraw(record.info.id); // otherwise it ends when it expires
        }
    };
    Ok(shared.access.run_or_undo(create, undo).await??)
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
