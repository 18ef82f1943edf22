//! What happens to the locks of a server.

use serde::Deserialize;

use super::tenure::LockInfo;

/// Something that has happened to a lock.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// Numbers a server's events, as long as it runs.
    pub number: u64,
    /// What has happened.
    pub kind: EventKind,
    /// The lock after that, or as it was last.
    pub lock: LockInfo,
}

/// What has happened to a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum EventKind {
    /// It was created, or the server has seen it for the first time.
    Created,
    /// Its lease was renewed, or another of its properties was changed.
    Prolonged,
    /// It was released or broken, or it has expired.
    Ended,
    /// Something of which this version of the client does not know.
    #[serde(other)]
    Other,
}

/// Some of the events of a server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Events {
    /// The events, in the order in which they happened.
    pub events: Vec<Event>,
    /// The `after` of those that follow.
    pub next: String,
}
