//! The renewal schedule of one lock: when the next refresh is due, and when the lock is lost.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::error::{Error, Operation};
use crate::events;
use crate::protocol::tenure::Tenure;
use crate::sys::inotify;

/// The longest pause after a failed refresh.
const RETRY: Duration = Duration::from_secs(1);

/// A lock that can be kept alive.
pub(crate) trait Renewable: Send + Sync {
    /// Extends the lease to a whole lifetime from now.
    fn refresh(&self) -> Result<(), Error>;
    /// How much of the lease is left.
    fn remaining(&self) -> Duration;
    /// How long the lease has been expired.
    fn overdue(&self) -> Duration;
    fn lifetime(&self) -> Duration;
    fn path(&self) -> &Path;
    /// Whether the holder has not released it.
    fn is_held(&self) -> bool;
    fn clock(&self) -> &Arc<dyn Clock>;
}

impl Renewable for Tenure {
    fn refresh(&self) -> Result<(), Error> {
        inotify::close_one(); // a lock that is held for long gets here before its release
        self.refresh()?;
        self.acknowledge_waiters();
        Ok(())
    }

    fn remaining(&self) -> Duration {
        self.remaining()
    }

    fn overdue(&self) -> Duration {
        self.overdue()
    }

    fn lifetime(&self) -> Duration {
        self.lifetime()
    }

    fn path(&self) -> &Path {
        self.context.lock_path()
    }

    fn is_held(&self) -> bool {
        self.is_held()
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        &self.context.machine.clock
    }
}

/// The refreshes of one lock: three in each lifetime.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// When the next refresh is due, on the lock's clock.
    pub(crate) due: Duration,
    /// The error of the last refresh, if it failed.
    trouble: Option<io::Error>,
}

impl Schedule {
    pub(crate) fn begin(renewable: &dyn Renewable) -> Schedule {
        Schedule { due: next_refresh(renewable), trouble: None }
    }

    /// Schedules the next refresh by the outcome of this one. A temporary failure is tried again
    /// for as long as the lease runs. Returns an error if the lock is lost.
    pub(crate) fn after(
        &mut self,
        refreshed: Result<(), Error>,
        renewable: &dyn Renewable,
    ) -> Result<(), Error> {
        match refreshed {
            Ok(()) => *self = Schedule::begin(renewable),
            Err(Error::Io { error, .. }) if !renewable.remaining().is_zero() => {
                self.trouble = Some(error);
                self.due = renewable.clock().now() + RETRY.min(renewable.lifetime() / 10);
            }
            Err(error) => return Err(explain(error, self.trouble.take(), renewable)),
        }
        Ok(())
    }
}

/// Refreshes a lock that is kept alive. A panic (in a custom clock, for example) counts as a
/// temporary failure.
pub(crate) fn refresh(renewable: &dyn Renewable) -> Result<(), Error> {
    let refreshed = catch_unwind(AssertUnwindSafe(|| renewable.refresh())).unwrap_or_else(|_| {
        let panicked = io::Error::other("the refresh panicked");
        Err(Error::io(Operation::Touch, renewable.path())(panicked))
    });
    if let Err(error) = refreshed.as_ref() {
        if renewable.is_held() {
            events::not_kept_alive(renewable.path(), renewable.remaining(), error);
        }
    }
    refreshed
}

/// When a lock that was refreshed just now must be refreshed again.
pub(crate) fn next_refresh(renewable: &dyn Renewable) -> Duration {
    renewable.clock().now() + renewable.lifetime() / 3
}

/// Adds to the error of an expired lease what prevented its refresh.
fn explain(error: Error, trouble: Option<io::Error>, renewable: &dyn Renewable) -> Error {
    let path = renewable.path().to_owned();
    let ago = renewable.overdue();
    match error {
        Error::Io { error, .. } => Error::Expired { path, ago, error: Some(error) },
        Error::Expired { .. } => Error::Expired { path, ago, error: trouble },
        other => other,
    }
}
