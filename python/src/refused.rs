//! Why a handle did not acquire the lock.

use std::time::Duration;

use linklock::Error;
use pyo3::prelude::*;

use crate::convert::{already_locked, exception, in_use};
use crate::gate::Closed;
use crate::holding::Holding;

pub(crate) enum Refused {
    /// Its thread or task would wait for itself.
    WouldWaitForItself,
    /// Another thread or task had the handle all the time.
    InUse {
        waited: Duration,
    },
    Lock(Error),
}

impl Refused {
    pub(crate) fn at_gate(closed: Closed, waited: Duration) -> Refused {
        match closed {
            Closed::ByItself => Refused::WouldWaitForItself,
            Closed::ByAnother => Refused::InUse { waited },
        }
    }

    /// The exception. Blocks for a look at the holder, if the handle was in use.
    pub(crate) fn exception(self, py: Python<'_>, holding: &Holding) -> PyErr {
        let lock = holding.lock.as_blocking();
        match self {
            Refused::WouldWaitForItself => already_locked(py, lock.path()),
            Refused::InUse { waited } => {
                let holder = py.detach(|| lock.holder().ok().flatten());
                in_use(py, lock.path(), holder.as_ref(), waited)
            }
            Refused::Lock(error) => exception(py, &error),
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Refused::Lock(error)
    }
}
