//! Why the store rejects a request.

use std::io;

use super::names::BadName;
use super::records::Record;
use crate::info::LockId;

#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error(transparent)]
    BadName(#[from] BadName),
    #[error("{0}")]
    BadTime(&'static str),
    /// Held by the lock in that file, or blocked by something that is not a lock.
    #[error("{message}")]
    Held { by: Option<(String, Box<Record>)>, message: String },
    /// Held, but it cannot be read at present by which lock.
    #[error("{0}")]
    Unreadable(String),
    #[error("there is no lock with the id {0}")]
    NotFound(LockId),
    #[error("only its holder can prolong this lock: {0}")]
    NotOurs(String),
    #[error("this API key does not grant that")]
    Forbidden,
    #[error("the key {key} has {most} locks, which is its limit")]
    TooMany { key: String, most: usize },
    #[error("the secret is not that of lock {0}")]
    NotYours(LockId),
    #[error("lock {0} is being changed by another server")]
    Busy(LockId),
    #[error(transparent)]
    Lock(#[from] linklock::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}
