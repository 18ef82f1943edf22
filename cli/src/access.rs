//! The two ways to hold a lock: alone, or shared with others.

use linklock::{Error, LockGuard, Obstacle, ReadGuard, RwLock, WriteGuard};

/// With whom a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Alone,
    /// With others that share it.
    Shared,
}

impl Access {
    pub(crate) fn of(is_shared: bool) -> Access {
        if is_shared { Access::Shared } else { Access::Alone }
    }

    pub(crate) fn try_lock(self, lock: &RwLock) -> Result<LockGuard, Error> {
        match self {
            Access::Alone => lock.try_write().map(WriteGuard::into_guard),
            Access::Shared => lock.try_read().map(ReadGuard::into_guard),
        }
    }

    pub(crate) fn lock_while(
        self,
        lock: &RwLock,
        go_on: impl FnMut(&Obstacle) -> bool,
    ) -> Result<LockGuard, Error> {
        match self {
            Access::Alone => lock.write_while(go_on).map(WriteGuard::into_guard),
            Access::Shared => lock.read_while(go_on).map(ReadGuard::into_guard),
        }
    }
}
