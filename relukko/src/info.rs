//! A lock as the interface describes it: the object that servers and clients exchange.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A lock, as Relukko describes it.
///
/// ```
/// let text = r#"{
///     "id": "950daa20-a814-451e-9407-ec496cf9c136",
///     "lock_name": "report",
///     "creator": null,
///     "ip": "10.89.0.6",
///     "expires_at": "2024-10-31T20:14:43.9313Z",
///     "created_at": "2024-10-31T20:04:43.9313Z",
///     "updated_at": "2024-10-31T20:04:43.9313Z"
/// }"#;
/// let lock: linklock_relukko::LockInfo = serde_json::from_str(text)?;
/// let lifetime = lock.expires_at.duration_since(lock.created_at)?;
/// assert_eq!((lock.lock_name.as_str(), lifetime.as_secs()), ("report", 600));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LockInfo {
    /// Identifies this tenure of the name in requests.
    pub id: LockId,
    /// The name of the lock.
    pub lock_name: String,
    /// The creator, as the client named it.
    pub creator: Option<String>,
    /// The address it was created from.
    pub ip: Option<String>,
    /// When it expires. It stays held for some time longer, until the server removes it.
    #[serde(with = "crate::timestamp")]
    pub expires_at: SystemTime,
    /// When it was created.
    #[serde(with = "crate::timestamp")]
    pub created_at: SystemTime,
    /// When any of these values last changed.
    #[serde(with = "crate::timestamp")]
    pub updated_at: SystemTime,
}

/// With whom a lock is held, as with [`linklock::RwLock`].
///
/// [`linklock::RwLock`]: https://docs.rs/linklock/latest/linklock/struct.RwLock.html
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// With any number of others that read.
    Read,
    /// Alone: no other client holds the lock, or reads.
    Write,
}

/// The id of a lock: a UUID (RFC 9562).
///
/// ```
/// use linklock_relukko::LockId;
///
/// let id: LockId = "950daa20-a814-451e-9407-ec496cf9c136".parse()?;
/// assert_eq!(id.to_string(), "950daa20-a814-451e-9407-ec496cf9c136");
/// assert!("report".parse::<LockId>().is_err());
/// # Ok::<(), linklock_relukko::InvalidId>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LockId(pub(crate) Uuid);

/// Text that is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a UUID")]
pub struct InvalidId(String);

impl LockId {
    /// The id that is all zeros. No lock on a server has it.
    pub const NIL: LockId = LockId(Uuid::nil());
}

impl fmt::Display for LockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for LockId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<LockId, InvalidId> {
        Uuid::try_parse(text).map(LockId).map_err(|_| InvalidId(text.chars().take(64).collect()))
    }
}
