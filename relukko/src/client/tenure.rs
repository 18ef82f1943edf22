//! Locks as `/v2/` describes them, and the terms on which a client asks for one.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer};

use crate::info::{Access, LockId};

/// A lock that is held, as `/v2/` describes it. It may have been created in another way: through
/// `/v1/`, or by another program that uses the server's directory.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct LockInfo {
    /// Identifies this tenure of the name in requests.
    pub id: LockId,
    /// The name of the lock.
    pub name: String,
    /// For a slot: the name of its set.
    pub set: Option<String>,
    /// For a slot: its number, from 0 on.
    pub slot: Option<u32>,
    /// For a slot: how many slots its holder says that the set has.
    pub slots: Option<u32>,
    /// Whether the holder reads, with others, or writes; `None` if it did not say, as for a lock by itself.
    #[serde(default)]
    pub access: Option<Access>,
    /// The holder, as it named itself.
    pub who: Option<String>,
    /// What the holder notes about its work.
    pub note: Option<String>,
    /// The address that the lock was created from.
    pub ip: Option<String>,
    /// The fencing token: higher than those of all tenures of the lock before. `None` unless the lock
    /// was created through `/v2/`.
    pub token: Option<u64>,
    /// How long the lock lasts from each renewal; `None` unless it was created through `/v2/`.
    #[serde(deserialize_with = "seconds")]
    pub lifetime: Option<Duration>,
    /// When it expires, by the server's clock.
    #[serde(with = "crate::timestamp")]
    pub expires_at: SystemTime,
    /// When it was created, by the server's clock.
    #[serde(with = "crate::timestamp")]
    pub created_at: SystemTime,
    /// When it was last renewed or changed, by the server's clock.
    #[serde(with = "crate::timestamp")]
    pub updated_at: SystemTime,
}

impl LockInfo {
    /// Whether it is a writer's that waits for the readers that are in: then they are in the way of others.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.access == Some(Access::Write) && self.token.is_none()
    }
}

/// Some of the locks that are held.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Page {
    /// The locks, in an order that stays.
    pub locks: Vec<LockInfo>,
    /// The `after` of the next page; `None` on the last one.
    pub next: Option<String>,
}

/// What a client asks for.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    /// That of the set, if a slot is asked for.
    pub(super) name: String,
    pub(super) slots: Option<u32>,
    pub(super) access: Option<Access>,
    /// The server chooses, if there is none.
    pub(super) lifetime: Option<Duration>,
    pub(super) who: Option<String>,
    pub(super) note: Option<String>,
}

/// The answer to a request for a lock.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Answer {
    Granted(Box<LockInfo>),
    /// The lock is not free, and the client has a place in the line.
    Place {
        since: String,
    },
}

fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let seconds = Option::<f64>::deserialize(from)?;
    let time = seconds.map(Duration::try_from_secs_f64).transpose();
    time.map_err(serde::de::Error::custom)
}
