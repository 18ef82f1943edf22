//! The bodies of requests.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::server::error_response::ErrorResponse;
use crate::server::object::Object;

/// Enough for the longest name with every byte escaped as six.
const LARGEST_BODY: usize = 128 * 1024;

/// Reads a body, with limits on its size and time. Its content type is ignored.
pub(super) async fn parse<T: DeserializeOwned>(
    body: Body,
    client_timeout: Duration,
) -> Result<T, ErrorResponse> {
    let read = tokio::time::timeout(client_timeout, to_bytes(body, LARGEST_BODY)).await;
    let read = read.map_err(|_| {
        ErrorResponse::new(StatusCode::REQUEST_TIMEOUT, "the body was not sent in time")
    })?;
    let text = read.map_err(|error| {
        let too_long = std::error::Error::source(&error)
            .is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>);
        if too_long {
            let message = format!("the body is longer than {LARGEST_BODY} bytes");
            ErrorResponse::new(StatusCode::PAYLOAD_TOO_LARGE, message)
        } else {
            ErrorResponse::new(StatusCode::BAD_REQUEST, format!("cannot read the body: {error}"))
        }
    })?;
    let parsed = serde_json::from_slice::<Object<T>>(&text);
    parsed.map(|Object(body)| body).map_err(|error| {
        let status = match error.classify() {
            Category::Data => StatusCode::UNPROCESSABLE_ENTITY,
            Category::Io | Category::Syntax | Category::Eof => StatusCode::BAD_REQUEST,
        };
        ErrorResponse::new(status, format!("invalid body: {error}"))
    })
}
