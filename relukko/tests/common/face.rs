//! The client's two faces as one, so that a scenario is written once and tested with both.

use std::time::Duration;

use linklock_relukko::{Client, ClientError, ClientOptions, LockGuard, LockId, LockInfo};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Face {
    Blocking,
    #[cfg(feature = "tokio")]
    Tokio,
}

pub(crate) enum AnyClient {
    Blocking(Client),
    #[cfg(feature = "tokio")]
    Tokio(linklock_relukko::tokio::Client),
}

pub(crate) enum AnyGuard {
    Blocking(LockGuard),
    #[cfg(feature = "tokio")]
    Tokio(linklock_relukko::tokio::LockGuard),
}

impl Face {
    pub(crate) fn client(self, options: ClientOptions) -> AnyClient {
        match self {
            Face::Blocking => AnyClient::Blocking(options.build().unwrap()),
            #[cfg(feature = "tokio")]
            Face::Tokio => AnyClient::Tokio(options.build_tokio().unwrap()),
        }
    }
}

/// Runs on a runtime that all tests of a process share, and that outlives their guards.
#[cfg(feature = "tokio")]
pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    use std::sync::LazyLock;
    use tokio::runtime::{Builder, Runtime};
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
        Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
    });
    RUNTIME.block_on(work)
}

macro_rules! faces {
    ($self:ident, $inner:ident => $call:expr) => {
        match $self {
            Self::Blocking($inner) => $call,
            #[cfg(feature = "tokio")]
            Self::Tokio($inner) => run($call),
        }
    };
    ($self:ident, $inner:ident => $call:expr => $guard:ident) => {
        match $self {
            Self::Blocking($inner) => $call.map(AnyGuard::Blocking),
            #[cfg(feature = "tokio")]
            Self::Tokio($inner) => run($call).map(AnyGuard::Tokio),
        }
    };
}

type Locked = Result<AnyGuard, ClientError>;

impl AnyClient {
    pub(crate) fn lock(&self, name: &str, creator: Option<&str>) -> Locked {
        faces!(self, client => client.lock(name, creator) => AnyGuard)
    }

    pub(crate) fn try_lock(&self, name: &str, creator: Option<&str>) -> Locked {
        faces!(self, client => client.try_lock(name, creator) => AnyGuard)
    }

    pub(crate) fn try_lock_for(&self, name: &str, creator: Option<&str>, time: Duration) -> Locked {
        faces!(self, client => client.try_lock_for(name, creator, time) => AnyGuard)
    }

    pub(crate) fn lock_while(
        &self,
        name: &str,
        creator: Option<&str>,
        go_on: impl FnMut() -> bool + Send + 'static,
    ) -> Locked {
        faces!(self, client => client.lock_while(name, creator, go_on) => AnyGuard)
    }

    pub(crate) fn list(&self) -> Result<Vec<LockInfo>, ClientError> {
        faces!(self, client => client.list())
    }

    pub(crate) fn get(&self, id: LockId) -> Result<LockInfo, ClientError> {
        faces!(self, client => client.get(id))
    }

    pub(crate) fn update(&self, id: LockId, creator: &str) -> Result<LockInfo, ClientError> {
        faces!(self, client => client.update(id, Some(creator), None))
    }

    pub(crate) fn delete(&self, id: LockId) -> Result<LockInfo, ClientError> {
        faces!(self, client => client.delete(id))
    }

    pub(crate) fn keep_alive(&self, id: LockId) -> Result<LockInfo, ClientError> {
        faces!(self, client => client.keep_alive(id))
    }

    pub(crate) fn keep_alive_for(
        &self,
        id: LockId,
        time: Duration,
    ) -> Result<LockInfo, ClientError> {
        faces!(self, client => client.keep_alive_for(id, time))
    }

    pub(crate) fn add_to_expires_at(&self, id: LockId) -> Result<LockInfo, ClientError> {
        faces!(self, client => client.add_to_expires_at(id))
    }

    pub(crate) fn add_to_expires_at_for(
        &self,
        id: LockId,
        time: Duration,
    ) -> Result<LockInfo, ClientError> {
        faces!(self, client => client.add_to_expires_at_for(id, time))
    }

    pub(crate) fn check_health(&self) -> Result<(), ClientError> {
        faces!(self, client => client.check_health())
    }
}

impl AnyGuard {
    pub(crate) fn info(&self) -> LockInfo {
        match self {
            AnyGuard::Blocking(guard) => guard.info(),
            #[cfg(feature = "tokio")]
            AnyGuard::Tokio(guard) => guard.info(),
        }
    }

    pub(crate) fn remaining(&self) -> Duration {
        match self {
            AnyGuard::Blocking(guard) => guard.remaining(),
            #[cfg(feature = "tokio")]
            AnyGuard::Tokio(guard) => guard.remaining(),
        }
    }

    pub(crate) fn refresh(&self, lifetime: Duration) -> Result<(), ClientError> {
        faces!(self, guard => guard.refresh(lifetime))
    }

    pub(crate) fn expire_in(&self, lifetime: Duration) -> Result<(), ClientError> {
        faces!(self, guard => guard.expire_in(lifetime))
    }

    pub(crate) fn keep_alive(
        &self,
        lifetime: Duration,
        on_lost: impl FnOnce(ClientError) + Send + 'static,
    ) -> Result<(), ClientError> {
        faces!(self, guard => guard.keep_alive(lifetime, on_lost))
    }

    pub(crate) fn unlock(self) -> Result<(), ClientError> {
        faces!(self, guard => guard.unlock())
    }
}

impl std::fmt::Debug for AnyGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.info().fmt(f)
    }
}

/// Makes a test of each face from each of these scenarios.
#[allow(unused_macros)] // each test file is a crate of its own
macro_rules! in_both_faces {
    ($($scenario:ident),* $(,)?) => {
        mod blocking {
            $(#[test] fn $scenario() { super::$scenario(crate::common::face::Face::Blocking) })*
        }
        #[cfg(feature = "tokio")]
        mod tokio {
            $(#[test] fn $scenario() { super::$scenario(crate::common::face::Face::Tokio) })*
        }
    };
}
#[allow(unused_imports)]
pub(crate) use {faces, in_both_faces};
