//! The client's errors.

use std::time::Duration;

use crate::info::LockId;

/// Why a request to a server failed, or a lock was not acquired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The lock is held, and the client did not wait.
    #[error("lock {lock_name:?} is held: {message}")]
    #[non_exhaustive]
    Held {
        /// The lock's name.
        lock_name: String,
        /// The server's message about the holder.
        message: String,
    },

    /// The lock was not acquired before the deadline, or before the wait was cancelled.
    #[error("gave up on lock {lock_name:?} after {:.1} s: {}", waited.as_secs_f64(), brief(last))]
    #[non_exhaustive]
    TimedOut {
        /// The lock's name.
        lock_name: String,
        /// How long the client waited.
        waited: Duration,
        /// The outcome of the last attempt: [`Held`](ClientError::Held) if the server answered.
        last: Box<ClientError>,
    },

    /// The lock is gone: it has expired, or another client has deleted it. What it guards may have
    /// changed since then.
    #[error("lock {lock_name:?} was lost: the server has no lock with the id {id} any more")]
    #[non_exhaustive]
    Lost {
        /// The lock's name.
        lock_name: String,
        /// The lock's id.
        id: LockId,
    },

    /// The lease has expired: the server could not be reached in time to renew it.
    #[error("lock {lock_name:?} with the id {id} has expired: {last}")]
    #[non_exhaustive]
    Expired {
        /// The lock's name.
        lock_name: String,
        /// The lock's id.
        id: LockId,
        /// The outcome of the last attempt.
        last: Box<ClientError>,
    },

    /// There is no lock with this id (HTTP 404).
    #[error("there is no lock with the id {0}")]
    NotFound(LockId),

    /// The server does not accept the API key (HTTP 403).
    #[error("the server denies access: {message}")]
    #[non_exhaustive]
    Denied {
        /// The server's message.
        message: String,
    },

    /// The server rejects the request, and would do so again (any other HTTP 4xx).
    #[error("the server rejected the request: {message} (HTTP {status})")]
    #[non_exhaustive]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The server's message.
        message: String,
    },

    /// The server failed (HTTP 5xx). The request may have been executed.
    #[error("the server failed: {message} (HTTP {status})")]
    #[non_exhaustive]
    Unavailable {
        /// The HTTP status.
        status: u16,
        /// The server's message.
        message: String,
    },

    /// There was no connection to the server: the request was not executed.
    #[error("cannot reach {url}: {reason}")]
    #[non_exhaustive]
    Unreachable {
        /// The server's URL.
        url: String,
        /// The cause.
        reason: String,
    },

    /// No answer came: the request may have been executed.
    #[error("no answer from {url}: {reason}")]
    #[non_exhaustive]
    NoAnswer {
        /// The server's URL.
        url: String,
        /// The cause.
        reason: String,
    },

    /// The answer does not come from a Relukko server.
    #[error("{url} is not a Relukko server: {reason}")]
    #[non_exhaustive]
    NotRelukko {
        /// The server's URL.
        url: String,
        /// What was wrong with the answer.
        reason: String,
    },

    /// The server does not have the interface `/v2/`, or not what was asked for: it is Relukko itself, or an
    /// old version.
    #[error(
        "the server {url} does not have this interface: it is an old version, or Relukko itself, which has only /v1/"
    )]
    #[non_exhaustive]
    Unsupported {
        /// The server's URL.
        url: String,
    },

    /// An option or an argument is invalid.
    #[error("{reason}")]
    #[non_exhaustive]
    Invalid {
        /// Why it is invalid.
        reason: String,
    },
}

impl ClientError {
    /// Whether the lock is merely held by another client: try again later.
    #[must_use]
    pub fn is_contention(&self) -> bool {
        match self {
            ClientError::Held { .. } => true,
            ClientError::TimedOut { last, .. } => last.is_contention(),
            _ => false,
        }
    }

    /// Whether the lock is lost, or must be assumed lost.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self, ClientError::Lost { .. } | ClientError::Expired { .. })
    }

    /// Whether the server answered that the lock is held (HTTP 409).
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, ClientError::Refused { status: 409, .. })
    }

    /// Whether the same request may succeed later.
    pub(super) fn is_passing(&self) -> bool {
        self.is_uncertain() || matches!(self, ClientError::Unreachable { .. })
    }

    /// Whether the request may have been executed nevertheless.
    pub(super) fn is_uncertain(&self) -> bool {
        matches!(self, ClientError::Unavailable { .. } | ClientError::NoAnswer { .. })
    }
}

/// The message without what the surrounding message already says.
fn brief(error: &ClientError) -> String {
    match error {
        ClientError::Held { message, .. } => message.clone(),
        error => error.to_string(),
    }
}
