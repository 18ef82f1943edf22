//! Events of a tenure, from the moment at which the lock is handed out.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::Error;
use crate::events::emit::now;
use crate::events::text::{plain, secs, words};
use crate::holder::Owner;
use crate::model::context::Context;

/// The events already emitted about one tenure: none until a caller has received the lock.
#[derive(Debug, Default)]
pub(crate) struct Holding {
    begun: Option<Duration>,
    is_lost: AtomicBool,
}

impl Holding {
    pub(crate) fn begin(context: &Context) -> Holding {
        Holding { begun: Some(now(context)), is_lost: AtomicBool::new(false) }
    }

    /// A refresh has ended: the lease, which ended at `ended`, is extended, or the refresh failed.
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
        let now = now(context);
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

    /// The lock, whose lease ends at `ended`, was released, or the release failed.
    pub(crate) fn released(
        &self,
        context: &Context,
        path: &Path,
        ended: Duration,
        released: Result<(), &Error>,
    ) {
        let Some(begun) = self.begun else { return };
        let now = now(context);
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

    /// A loss of this lock is expected, and is not to be reported.
    pub(crate) fn expect_loss(&self) {
        self.is_lost.store(true, Ordering::Relaxed);
    }

    /// The lock is lost, for the reason in the error.
    pub(crate) fn lost(&self, path: &Path, error: Error) -> Error {
        self.tell_loss(path, &error);
        error
    }

    /// Reports a loss once, if the error is one.
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

/// A lock that is kept alive could not be refreshed; the refresh is tried again while the lease
/// runs. A loss was reported before.
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

/// The lock was detached: it is held by its owner's new claim.
pub(crate) fn detached(context: &Context, claim: &Path, owner: Owner) {
    let pid = match owner {
        Owner::Process(pid) => Some(pid),
        Owner::Lease => None,
    };
    event!(DEBUG detached "detached a lock", context.lock_path(),
        claim = plain(claim), owner.pid = pid);
}

/// This process took charge of a detached lock.
pub(crate) fn adopted(context: &Context, claim: &Path, token: Option<u64>) {
    event!(DEBUG adopted "adopted a lock", context.lock_path(), claim = plain(claim), token = token);
}
