//! A tenure, from the moment at which the lock is handed out.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::Error;
use crate::events::text::{plain, secs, words};
use crate::holder::Owner;
use crate::model::context::Context;

/// What was told of one tenure. Nothing is, as long as nobody was given the lock.
#[derive(Debug, Default)]
pub(crate) struct Holding {
    begun: Option<Duration>,
    is_lost: AtomicBool,
}

impl Holding {
    pub(crate) fn begin(context: &Context) -> Holding {
        Holding { begun: Some(context.now()), is_lost: AtomicBool::new(false) }
    }

    /// A refresh is done: the lease, which ended then, ends later now; or it failed.
    pub(crate) fn refreshed(
        &self,
        context: &Context,
        path: &Path,
        ended: Duration,
        refreshed: Result<Duration, &Error>,
    ) {
        if self.begun.is_none() {
            return;
        }
        let now = context.now();
        let overdue = now.saturating_sub(ended);
        match refreshed {
            Ok(ends) => {
                let left = secs(ends.saturating_sub(now));
                if overdue.is_zero() {
                    event!(TRACE refreshed "refreshed a lock", path, lease_secs = left);
                } else {
                    event!(WARN refreshed_late "refreshed a lock after its lease was over", path,
                        lease_secs = left, overdue_secs = secs(overdue));
                }
            }
            Err(error) => self.tell_loss(path, error),
        }
    }

    /// The lock is given back, its lease ended then or later; or that failed.
    pub(crate) fn released(
        &self,
        context: &Context,
        path: &Path,
        ended: Duration,
        released: Result<(), &Error>,
    ) {
        let Some(begun) = self.begun else { return };
        let now = context.now();
        let overdue = now.saturating_sub(ended);
        let held = secs(now.saturating_sub(begun));
        match released {
            Ok(()) if overdue.is_zero() => {
                event!(DEBUG released "released a lock", path, held_secs = held);
            }
            Ok(()) => {
                event!(WARN released_late "released a lock after its lease was over", path,
                    held_secs = held, overdue_secs = secs(overdue));
            }
            Err(error) => self.tell_loss(path, error),
        }
    }

    /// If it is lost, that is no news.
    pub(crate) fn expect_loss(&self) {
        self.is_lost.store(true, Ordering::Relaxed);
    }

    /// It is lost, as the error says.
    pub(crate) fn lost(&self, path: &Path, error: Error) -> Error {
        self.tell_loss(path, &error);
        error
    }

    /// If the error says so, the lock is lost, which is reported once.
    fn tell_loss(&self, path: &Path, error: &Error) {
        if let Error::Lost { now, .. } = error {
            if self.begun.is_some() && !self.is_lost.swap(true, Ordering::Relaxed) {
                peer_event!(ERROR now.into() => lost "a lock was lost", path);
            }
        }
    }
}

/// A lock could not be released, and no caller gets the error. A loss was reported before.
pub(crate) fn not_released(path: &Path, error: &Error) {
    if !error.is_lost() {
        event!(ERROR not_released "a lock was not released as it should be", path,
            error = words(error));
    }
}

/// A lock that is kept alive could not be refreshed: it is tried again while its lease runs. A
/// loss was reported before.
pub(crate) fn not_kept_alive(path: &Path, left: Duration, error: &Error) {
    if error.is_lost() {
        return;
    }
    if left.is_zero() {
        event!(ERROR expired "the lease of a lock that is kept alive is over", path,
            error = words(error));
    } else {
        event!(WARN refresh_failed "a lock could not be refreshed: it is tried again", path,
            lease_secs = secs(left), error = words(error));
    }
}

/// The lock is held by a new claim, which is its owner's.
pub(crate) fn detached(context: &Context, claim: &Path, owner: Owner) {
    let pid = match owner {
        Owner::Process(pid) => Some(pid),
        Owner::Lease => None,
    };
    event!(DEBUG detached "detached a lock", context.lock_path(),
        claim = plain(claim), owner.pid = pid);
}

/// We are in charge of a lock that was detached.
pub(crate) fn adopted(context: &Context, claim: &Path, token: Option<u64>) {
    event!(DEBUG adopted "adopted a lock", context.lock_path(), claim = plain(claim), token = token);
}
