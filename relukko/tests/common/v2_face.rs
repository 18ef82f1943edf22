//! The two faces of the client for `/v2/` as one.

use std::time::Duration;

use linklock_relukko::v2::{Client, Events, LockGuard, LockInfo, LockRequest, Page, Secret};
use linklock_relukko::{Access, ClientError, ClientOptions, LockId};

#[cfg(feature = "tokio")]
use super::face::run;
use super::face::{Face, faces};

#[derive(Clone, Debug)]
pub(crate) enum AnyClient {
    Blocking(Client),
    #[cfg(feature = "tokio")]
    Tokio(linklock_relukko::tokio::v2::Client),
}

#[derive(Clone, Debug)]
pub(crate) enum AnyRequest {
    Blocking(LockRequest),
    #[cfg(feature = "tokio")]
    Tokio(linklock_relukko::tokio::v2::LockRequest),
}

#[derive(Debug)]
pub(crate) enum AnyGuard {
    Blocking(LockGuard),
    #[cfg(feature = "tokio")]
    Tokio(linklock_relukko::tokio::v2::LockGuard),
}

macro_rules! either {
    ($self:ident: $any:ident, $inner:ident => $call:expr) => {
        match $self {
            $any::Blocking($inner) => $any::Blocking($call),
            #[cfg(feature = "tokio")]
            $any::Tokio($inner) => $any::Tokio($call),
        }
    };
    ($self:ident, $inner:ident => $call:expr) => {
        match $self {
            Self::Blocking($inner) => $call,
            #[cfg(feature = "tokio")]
            Self::Tokio($inner) => $call,
        }
    };
}

impl Face {
    pub(crate) fn v2(self, options: ClientOptions) -> AnyClient {
        match self {
            Face::Blocking => AnyClient::Blocking(options.build().unwrap().v2()),
            #[cfg(feature = "tokio")]
            Face::Tokio => AnyClient::Tokio(options.build_tokio().unwrap().v2()),
        }
    }
}

type Locked = Result<AnyGuard, ClientError>;

impl AnyClient {
    pub(crate) fn request(&self, name: &str) -> AnyRequest {
        match self {
            AnyClient::Blocking(client) => AnyRequest::Blocking(client.request(name)),
            #[cfg(feature = "tokio")]
            AnyClient::Tokio(client) => AnyRequest::Tokio(client.request(name)),
        }
    }

    pub(crate) fn adopt(&self, id: LockId, secret: &Secret) -> Locked {
        faces!(self, client => client.adopt(id, secret) => AnyGuard)
    }

    pub(crate) fn list(&self) -> Result<Vec<LockInfo>, ClientError> {
        faces!(self, client => client.list())
    }

    pub(crate) fn page(&self, after: Option<&str>, limit: usize) -> Result<Page, ClientError> {
        faces!(self, client => client.page(after, limit))
    }

    pub(crate) fn events(
        &self,
        after: Option<&str>,
        wait: Duration,
    ) -> Result<Events, ClientError> {
        faces!(self, client => client.events(after, wait))
    }

    pub(crate) fn find(&self, name: &str) -> Result<Option<LockInfo>, ClientError> {
        faces!(self, client => client.find(name))
    }

    pub(crate) fn readers(&self, name: &str) -> Result<Vec<LockInfo>, ClientError> {
        faces!(self, client => client.readers(name))
    }

    pub(crate) fn slots(&self, set: &str) -> Result<Vec<LockInfo>, ClientError> {
        faces!(self, client => client.slots(set))
    }

    pub(crate) fn get(&self, id: LockId) -> Result<LockInfo, ClientError> {
        faces!(self, client => client.get(id))
    }

    pub(crate) fn break_lock(&self, id: LockId) -> Result<(), ClientError> {
        faces!(self, client => client.break_lock(id))
    }
}

impl AnyRequest {
    pub(crate) fn lifetime(self, lifetime: Duration) -> AnyRequest {
        either!(self: AnyRequest, request => request.lifetime(lifetime))
    }

    pub(crate) fn slots(self, number: u32) -> AnyRequest {
        either!(self: AnyRequest, request => request.slots(number))
    }

    pub(crate) fn access(self, access: Access) -> AnyRequest {
        either!(self: AnyRequest, request => request.access(access))
    }

    pub(crate) fn who(self, who: &str) -> AnyRequest {
        either!(self: AnyRequest, request => request.who(who))
    }

    pub(crate) fn note(self, note: &str) -> AnyRequest {
        either!(self: AnyRequest, request => request.note(note))
    }

    pub(crate) fn lock(&self) -> Locked {
        faces!(self, request => request.lock() => AnyGuard)
    }

    pub(crate) fn try_lock(&self) -> Locked {
        faces!(self, request => request.try_lock() => AnyGuard)
    }

    pub(crate) fn try_lock_for(&self, time: Duration) -> Locked {
        faces!(self, request => request.try_lock_for(time) => AnyGuard)
    }

    pub(crate) fn lock_while(&self, go_on: impl FnMut() -> bool + Send + 'static) -> Locked {
        faces!(self, request => request.lock_while(go_on) => AnyGuard)
    }
}

impl AnyGuard {
    pub(crate) fn info(&self) -> LockInfo {
        either!(self, guard => guard.info())
    }

    pub(crate) fn id(&self) -> LockId {
        either!(self, guard => guard.id())
    }

    pub(crate) fn token(&self) -> Option<u64> {
        either!(self, guard => guard.token())
    }

    pub(crate) fn slot(&self) -> Option<u32> {
        either!(self, guard => guard.slot())
    }

    pub(crate) fn remaining(&self) -> Duration {
        either!(self, guard => guard.remaining())
    }

    pub(crate) fn refresh(&self) -> Result<(), ClientError> {
        faces!(self, guard => guard.refresh())
    }

    pub(crate) fn refresh_for(&self, lifetime: Duration) -> Result<(), ClientError> {
        faces!(self, guard => guard.refresh_for(lifetime))
    }

    pub(crate) fn keep_alive(
        &self,
        on_lost: impl FnOnce(ClientError) + Send + 'static,
    ) -> Result<(), ClientError> {
        faces!(self, guard => guard.keep_alive(on_lost))
    }

    pub(crate) fn detach(self) -> (LockId, Secret) {
        either!(self, guard => guard.detach())
    }

    pub(crate) fn unlock(self) -> Result<(), ClientError> {
        faces!(self, guard => guard.unlock())
    }
}
