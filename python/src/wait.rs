//! The wait of a thread: interrupted for signals, its timeout and the program's callback.

use std::sync::Arc;
use std::time::{Duration, Instant};

use linklock::LockGuard;
use pyo3::prelude::*;

use crate::ending;
use crate::gate::User;
use crate::holding::{Holding, Reservation};
use crate::refused::Refused;

/// How often a wait is interrupted for signals, timeouts and the program's own callback.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// One wait of a thread.
pub(crate) struct Wait {
    limit: Option<Duration>,
    waiting: Option<Py<PyAny>>,
    begun: Instant,
    /// What a signal handler or the callback has raised.
    raised: Option<PyErr>,
}

impl Wait {
    pub(crate) fn begin(limit: Option<Duration>, waiting: Option<Py<PyAny>>) -> Wait {
        Wait { limit, waiting, begun: Instant::now(), raised: None }
    }

    /// Has the handle hold the lock.
    pub(crate) fn lock(mut self, py: Python<'_>, holding: &Arc<Holding>) -> PyResult<()> {
        let acquired = py.detach(|| {
            let acquiring = ending::Acquiring::begin();
            let acquired = self.acquire(holding, acquiring.as_ref());
            if is_to_end(acquiring.as_ref()) {
                drop(acquired);
                drop(acquiring);
                ending::never_return();
            }
            acquired.map(|(guard, reservation)| reservation.put(guard))
        });
        match (acquired, self.raised) {
            (Err(_), Some(raised)) => Err(raised),
            (acquired, _) => acquired.map_err(|refused| refused.exception(py, holding)),
        }
    }

    fn acquire(
        &mut self,
        holding: &Arc<Holding>,
        acquiring: Option<&ending::Acquiring>,
    ) -> Result<(LockGuard, Reservation), Refused> {
        let user = User::this_thread();
        let reserved = Reservation::get_while(holding, user, || self.pause(acquiring));
        let reservation =
            reserved.map_err(|closed| Refused::at_gate(closed, self.begun.elapsed()))?;
        let lock = holding.lock.as_blocking();
        let guard = match self.left() {
            // Not longer than an interrupt may take anyway.
            Some(left) if left < ASK_AGAIN && self.waiting.is_none() => lock.try_lock_for(left),
            _ => lock.lock_while(|_| !is_to_end(acquiring) && self.goes_on()),
        }?;
        Ok((guard, reservation))
    }

    fn left(&self) -> Option<Duration> {
        self.limit.map(|limit| limit.saturating_sub(self.begun.elapsed()))
    }

    /// How long to wait until this is called again; `None` if the wait is over.
    fn pause(&mut self, acquiring: Option<&ending::Acquiring>) -> Option<Duration> {
        let goes_on = !is_to_end(acquiring) && self.goes_on();
        goes_on.then(|| self.left().map_or(ASK_AGAIN, |left| left.min(ASK_AGAIN)))
    }

    fn goes_on(&mut self) -> bool {
        let asked = Python::attach(|py| {
            py.check_signals()?;
            self.waiting.as_ref().map_or(Ok(()), |waiting| waiting.call0(py).map(drop))
        });
        self.raised = asked.err();
        let is_in_time = self.limit.is_none_or(|limit| self.begun.elapsed() < limit);
        self.raised.is_none() && is_in_time
    }
}

/// Whether the process ends, and this acquisition began before that.
fn is_to_end(acquiring: Option<&ending::Acquiring>) -> bool {
    acquiring.is_some() && ending::has_begun()
}
