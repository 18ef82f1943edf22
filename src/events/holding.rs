//! What is told of a tenure, from the moment at which somebody is given the lock.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::Error;
use crate::events::text::secs;
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

    /// It is lost, as the error says.
    pub(crate) fn lost(&self, path: &Path, error: Error) -> Error {
        self.tell_loss(path, &error);
        error
    }

    /// If the error says so, the lock is lost, which is told once.
    fn tell_loss(&self, path: &Path, error: &Error) {
        if let Error::Lost { now, .. } = error {
            if self.begun.is_some() && !self.is_lost.swap(true, Ordering::Relaxed) {
                peer_event!(ERROR now.into() => lost "a lock was lost", path);
            }
        }
    }
}
