//! An acquisition that a coroutine awaits.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use linklock::{Error, LockGuard};
use pyo3::prelude::*;
use tokio::task::AbortHandle;

use crate::convert::exception;
use crate::holding::{Holding, Reservation};
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
    /// Until it is over.
    reservation: Mutex<Option<Reservation>>,
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
        reservation: Reservation,
        limit: Option<Duration>,
        done: Py<PyAny>,
    ) -> PyResult<Acquisition> {
        let (stage, reservation) = (Mutex::new(Stage::UnderWay), Mutex::new(Some(reservation)));
        let shared = Arc::new(Shared { holding, stage, reservation });
        let task = shared.clone();
        let task = runtime::spawn(async move {
            let lock = &task.holding.lock;
            let acquired = match limit {
                Some(limit) => lock.try_lock_for(limit).await,
                None => lock.lock().await,
            };
            task.settle(acquired.map(LockGuard::from), &done);
        })?;
        Ok(Acquisition { shared, task })
    }
}

#[pymethods]
impl Acquisition {
    /// Ends it. If it has acquired the lock meanwhile, the lock is released.
    fn cancel(&self, py: Python<'_>) -> PyResult<()> {
        self.task.abort();
        let was = py.detach(|| {
            let was = self.shared.replace_stage(Stage::Cancelled);
            drop(self.shared.take_reservation());
            was
        });
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

    fn take_reservation(&self) -> Option<Reservation> {
        self.reservation.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn settle(&self, acquired: Result<LockGuard, Error>, done: &Py<PyAny>) {
        let is_acquired = acquired.is_ok();
        let error = {
            let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
            if *stage == Stage::Cancelled {
                return; // and the guard is dropped
            }
            match acquired {
                Ok(guard) => {
                    *stage = Stage::Acquired;
                    if let Some(reservation) = self.take_reservation() {
                        reservation.put(guard);
                    }
                    None
                }
                Err(error) => {
                    *stage = Stage::Failed;
                    drop(self.take_reservation());
                    Some(error)
                }
            }
        };
        if !deliver(error, done) && is_acquired {
            self.holding.abandon();
        }
    }
}

/// Calls `done`; returns whether it was called, which takes a loop and an interpreter.
pub(crate) fn deliver(error: Option<Error>, done: &Py<PyAny>) -> bool {
    let delivered = Python::try_attach(|py| {
        let error = error.map(|error| exception(py, &error));
        done.call1(py, (error,)).is_ok()
    });
    delivered.unwrap_or_default()
}
