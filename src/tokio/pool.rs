//! The runtime's pool of threads for blocking work.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::error::{Error, Operation};

/// Runs blocking work on a thread of the pool. If the future is dropped, the work still runs and
/// its result is dropped in the pool, unless the runtime shuts down before the work begins.
pub(super) async fn on_pool<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    match spawn_blocking(move || LeftToPool::new(work())).await {
        Ok(done) => Ok(done.into_inner()),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(cancelled) => Err(Error::io(Operation::UsePool, path)(io::Error::other(cancelled))),
        },
    }
}

/// Drops a value whose drop blocks: in the pool, or here if there is no runtime or it shuts down.
/// Never panics.
pub(super) fn leave_to_pool<T: Send + 'static>(left: T) {
    if let Ok(runtime) = Handle::try_current() {
        // This panics where the system has no thread at all for the pool, and drops the value too.
        let spawn = || runtime.spawn_blocking(move || drop(left));
        let _ = catch_unwind(AssertUnwindSafe(spawn));
    }
}

/// A value whose drop blocks, and is therefore [left to the pool](leave_to_pool).
pub(super) struct LeftToPool<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> LeftToPool<T> {
    pub(super) fn new(it: T) -> LeftToPool<T> {
        LeftToPool(Some(it))
    }

    /// The value, for code that takes care of its drop.
    pub(super) fn into_inner(mut self) -> T {
        self.0.take().expect("only this takes the value")
    }
}

impl<T: Send + 'static> Drop for LeftToPool<T> {
    fn drop(&mut self) {
        if let Some(left) = self.0.take() {
            leave_to_pool(left);
        }
    }
}
