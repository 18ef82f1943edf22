//! An acquisition that a coroutine awaits.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use linklock::LockGuard;
use pyo3::prelude::*;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::gate::{Closed, User};
use crate::holding::{Holding, Reservation};
use crate::refused::Refused;
use crate::runtime;

/// One that is under way, or over.
#[pyclass(frozen, module = "linklock._native")]
pub(crate) struct Acquisition {
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    holding: Arc<Holding>,
    stage: Mutex<Stage>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    UnderWay,
    /// The handle has the guard.
    Acquired,
    Failed,
    Cancelled,
}

impl Acquisition {
    /// Begins. `done` is called with `None` or the exception, on a thread of the runtime.
    pub(crate) fn begin(
        holding: Arc<Holding>,
        user: User,
        limit: Option<Duration>,
        done: Py<PyAny>,
    ) -> PyResult<Acquisition> {
        let shared = Arc::new(Shared { holding, stage: Mutex::new(Stage::UnderWay) });
        let task = shared.clone();
        let task = runtime::spawn(async move {
            let acquired = acquire(&task.holding, user, limit).await;
            task.settle(acquired, &done);
        })?;
        Ok(Acquisition { shared, task })
    }
}

/// Acquires the lock, once the handle is not in use. Dropped in this order, the lock is released
/// before the handle can be used again.
async fn acquire(
    holding: &Arc<Holding>,
    user: User,
    limit: Option<Duration>,
) -> Result<(LockGuard, Reservation), Refused> {
    let begun = Instant::now();
    let reservation = Reservation::get(holding, user);
    let reservation = match limit {
        Some(limit) => timeout(limit, reservation).await.unwrap_or(Err(Closed::ByAnother)),
        None => reservation.await,
    };
    let reservation = reservation.map_err(|closed| Refused::at_gate(closed, begun.elapsed()))?;
    let guard = match limit {
        Some(limit) => holding.lock.try_lock_for(limit.saturating_sub(begun.elapsed())).await?,
        None => holding.lock.lock().await?,
    };
    Ok((guard.into(), reservation))
}

#[pymethods]
impl Acquisition {
    /// Ends it. If it has acquired the lock meanwhile, the lock is released.
    fn cancel(&self, py: Python<'_>) -> PyResult<()> {
        self.task.abort();
        let was = py.detach(|| self.shared.replace_stage(Stage::Cancelled));
        if was == Stage::Acquired {
            let shared = self.shared.clone();
            runtime::spawn_blocking(move || shared.holding.abandon())?;
        }
        Ok(())
    }
}

impl Shared {
    fn replace_stage(&self, stage: Stage) -> Stage {
        let mut place = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *place, stage)
    }

    fn settle(&self, acquired: Result<(LockGuard, Reservation), Refused>, done: &Py<PyAny>) {
        let refused = {
            let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
            if *stage == Stage::Cancelled {
                return; // and the guard is dropped
            }
            match acquired {
                Ok((guard, reservation)) => {
                    *stage = Stage::Acquired;
                    reservation.put(guard);
                    None
                }
                Err(refused) => {
                    *stage = Stage::Failed;
                    Some(refused)
                }
            }
        };
        let is_acquired = refused.is_none();
        let error = refused.map(|refused| |py: Python<'_>| refused.exception(py, &self.holding));
        if !deliver(error, done) && is_acquired {
            self.holding.abandon();
        }
    }
}

/// Calls `done`; returns whether it was called, which takes a loop and an interpreter.
pub(crate) fn deliver(error: Option<impl FnOnce(Python<'_>) -> PyErr>, done: &Py<PyAny>) -> bool {
    let delivered = Python::try_attach(|py| {
        let error = error.map(|error| error(py));
        done.call1(py, (error,)).is_ok()
    });
    delivered.unwrap_or_default()
}
