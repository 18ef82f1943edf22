//! What a holder asks a server for, in each version of the interface.

use std::fmt::Debug;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::request::Request;
use super::secret::Secret;
use super::tenure;
use crate::info::{LockId, LockInfo};

/// A lock as a server describes it.
pub(super) trait Described:
    Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
    fn id(&self) -> LockId;
    fn name(&self) -> &str;
    /// How long it lasts from its creation on.
    fn lasts(&self) -> Duration;
}

/// The requests about a lock of one's own.
pub(super) trait Interface: Send + Sync + 'static {
    type Info: Described;

    /// Asks for the lock, if others may have prolonged it and a refresh would shorten it.
    fn look(&self, id: LockId) -> Option<Request>;
    fn renew(&self, id: LockId, lifetime: Duration) -> Request;
    /// How long a lock lasts that was renewed for a lifetime.
    fn granted(&self, renewed: &Self::Info, lifetime: Duration) -> Duration;
    fn release(&self, id: LockId) -> Request;
}

/// `/v1/`, where a holder is known by the lock's id alone.
pub(super) struct Relukko;

impl Described for LockInfo {
    fn id(&self) -> LockId {
        self.id
    }

    fn name(&self) -> &str {
        &self.lock_name
    }

    fn lasts(&self) -> Duration {
        self.expires_at.duration_since(self.created_at).unwrap_or_default()
    }
}

impl Interface for Relukko {
    type Info = LockInfo;

    fn look(&self, id: LockId) -> Option<Request> {
        Some(Request::get(id))
    }

    fn renew(&self, id: LockId, lifetime: Duration) -> Request {
        Request::keep_alive_for(id, lifetime)
    }

    fn granted(&self, _: &LockInfo, lifetime: Duration) -> Duration {
        lifetime
    }

    fn release(&self, id: LockId) -> Request {
        Request::delete(id)
    }
}

/// `/v2/`, where a holder is known by its secret.
pub(super) struct Own(pub(super) Secret);

impl Described for tenure::LockInfo {
    fn id(&self) -> LockId {
        self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn lasts(&self) -> Duration {
        self.expires_at.duration_since(self.created_at).unwrap_or_default()
    }
}

impl Interface for Own {
    type Info = tenure::LockInfo;

    fn look(&self, _: LockId) -> Option<Request> {
        None // it is this holder's alone
    }

    fn renew(&self, id: LockId, lifetime: Duration) -> Request {
        Request::renew(id, &self.0, Some(lifetime))
    }

    fn granted(&self, renewed: &tenure::LockInfo, lifetime: Duration) -> Duration {
        renewed.lifetime.unwrap_or(lifetime) // the server has a limit
    }

    fn release(&self, id: LockId) -> Request {
        Request::release(id, &self.0)
    }
}
