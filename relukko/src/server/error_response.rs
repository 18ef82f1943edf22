//! Error responses: always an object with `status` and `message`.

use axum::Json;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::access::Failed;
use super::store::StoreError;

#[derive(Clone, Debug)]
pub(crate) struct ErrorResponse {
    status: StatusCode,
    message: String,
}

#[derive(Serialize)]
struct Body<'a> {
    status: u16,
    message: &'a str,
}

impl ErrorResponse {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> ErrorResponse {
        ErrorResponse { status, message: message.into() }
    }

    /// Whether the lock is held.
    pub(crate) fn is_conflict(&self) -> bool {
        self.status == StatusCode::CONFLICT
    }
}

impl IntoResponse for ErrorResponse {
    fn into_response(self) -> Response {
        let body = Body { status: self.status.as_u16(), message: &self.message };
        (self.status, Json(body)).into_response()
    }
}

impl From<Failed> for ErrorResponse {
    fn from(failed: Failed) -> ErrorResponse {
        match failed {
            Failed::TimedOut => {
                let message = "the locks' directory does not answer: try again later";
                ErrorResponse::new(StatusCode::SERVICE_UNAVAILABLE, message)
            }
            Failed::Broken => {
                let message = "internal error: see the server's log";
                ErrorResponse::new(StatusCode::INTERNAL_SERVER_ERROR, message)
            }
        }
    }
}

impl From<StoreError> for ErrorResponse {
    fn from(error: StoreError) -> ErrorResponse {
        let status = match &error {
            StoreError::BadName(_) | StoreError::BadTime(_) => StatusCode::UNPROCESSABLE_ENTITY,
            StoreError::Held { .. } | StoreError::NotOurs(_) => StatusCode::CONFLICT,
            StoreError::NotFound(_) => StatusCode::NOT_FOUND,
            StoreError::Forbidden | StoreError::NotYours(_) => StatusCode::FORBIDDEN,
            StoreError::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            StoreError::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            StoreError::Unreadable(_) | StoreError::Lock(_) | StoreError::Io(_) => {
                tracing::error!(%error, "cannot use the directory");
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        ErrorResponse::new(status, error.to_string())
    }
}

/// Turns the framework's own error responses, which are plain text, into objects.
pub(crate) async fn as_object(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let kind = response.headers().get(header::CONTENT_TYPE);
    if !is_error || kind.is_some_and(|kind| kind == "application/json") {
        return response;
    }
    let text = to_bytes(response.into_body(), 1024).await.unwrap_or_default();
    ErrorResponse::new(status, String::from_utf8_lossy(&text)).into_response()
}
