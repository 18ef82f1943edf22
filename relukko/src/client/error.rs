//! The client's errors.

use std::time::Duration;

use crate::info::LockId;

/// What went wrong between us and the server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The lock is held, and there was to be no waiting.
    #[error("lock {lock_name:?} is taken: {message}")]
    #[non_exhaustive]
    Held {
        /// The lock's name.
        lock_name: String,
        /// What the server says of it.
        message: String,
    },

    /// The lock could not be had before the time was up, or before waiting was called off.
    #[error("waited {:.1} s for lock {lock_name:?}{}", waited.as_secs_f64(), because(last.as_deref()))]
    #[non_exhaustive]
    TimedOut {
        /// The lock's name.
        lock_name: String,
        /// For how long.
        waited: Duration,
        /// What came of the last attempt, unless the lock was held.
        last: Option<Box<ClientError>>,
    },

    /// The lock is gone: it has expired or somebody has deleted it. What it guards may have changed
    /// under us.
    #[error("lock {lock_name:?} with the id {id} was lost")]
    #[non_exhaustive]
    Lost {
        /// The lock's name.
        lock_name: String,
        /// Its id.
        id: LockId,
    },

    /// The lease is over, and the server could not be told to prolong it in time.
    #[error("lock {lock_name:?} with the id {id} has expired{}", because(last.as_deref()))]
    #[non_exhaustive]
    Expired {
        /// The lock's name.
        lock_name: String,
        /// Its id.
        id: LockId,
        /// What came of the last attempt.
        last: Option<Box<ClientError>>,
    },

    /// There is no lock with this id (HTTP 404).
    #[error("there is no lock with the id {0}")]
    NotFound(LockId),

    /// The server does not take the key (HTTP 403).
    #[error("the server denies access: {message}")]
    #[non_exhaustive]
    Denied {
        /// What the server says.
        message: String,
    },

    /// The server will not do this, however often it is asked (any other HTTP 4xx).
    #[error("the server refuses with {status}: {message}")]
    #[non_exhaustive]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What the server says.
        message: String,
    },

    /// The server can't do this for now (HTTP 5xx). It may have been done.
    #[error("the server fails with {status}: {message}")]
    #[non_exhaustive]
    Unavailable {
        /// The HTTP status.
        status: u16,
        /// What the server says.
        message: String,
    },

    /// The server could not be connected to: nothing was asked of it.
    #[error("failed to reach {url}: {reason}")]
    #[non_exhaustive]
    Unreachable {
        /// The server.
        url: String,
        /// Why not.
        reason: String,
    },

    /// No answer came: what was asked for may have been done.
    #[error("no answer from {url}: {reason}")]
    #[non_exhaustive]
    NoAnswer {
        /// The server.
        url: String,
        /// Why not.
        reason: String,
    },

    /// What answered is no Relukko.
    #[error("{url} does not answer as Relukko does: {reason}")]
    #[non_exhaustive]
    NotRelukko {
        /// The server.
        url: String,
        /// What it did.
        reason: String,
    },

    /// There can't be a client with these options.
    #[error("{reason}")]
    #[non_exhaustive]
    Invalid {
        /// Why not.
        reason: String,
    },
}

impl ClientError {
    /// Whether somebody else's holding the lock is all that is wrong: try again later.
    #[must_use]
    pub fn is_contention(&self) -> bool {
        matches!(self, ClientError::Held { .. } | ClientError::TimedOut { last: None, .. })
    }

    /// Whether the lock is lost, or as good as lost.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self, ClientError::Lost { .. } | ClientError::Expired { .. })
    }

    /// Whether the same may go well in a while.
    pub(super) fn is_passing(&self) -> bool {
        self.is_uncertain() || matches!(self, ClientError::Unreachable { .. })
    }

    /// Whether what was asked for may have been done all the same.
    pub(super) fn is_uncertain(&self) -> bool {
        matches!(self, ClientError::Unavailable { .. } | ClientError::NoAnswer { .. })
    }
}

fn because(last: Option<&ClientError>) -> String {
    last.map_or_else(String::new, |last| format!(": {last}"))
}
