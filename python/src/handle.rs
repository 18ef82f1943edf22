//! The handle: what `linklock.Lock` and `linklock.flufl.Lock` stand on.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use linklock::{Error, LockGuard, LockOptions, StalePolicy};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::acquisition::{Acquisition, deliver};
use crate::convert::{self, duration, exception, not_locked};
use crate::gate::User;
use crate::holding::{Holding, Reservation};
use crate::refused::Refused;
use crate::wait::Wait;
use crate::{ending, runtime};

#[pyclass(frozen, module = "linklock._native")]
pub(crate) struct Handle {
    /// Locked only while attached to the interpreter: so no fork finds it locked.
    holding: Mutex<Arc<Holding>>,
}

#[pymethods]
impl Handle {
    #[new]
    #[pyo3(signature = (path, *, lifetime, separator, host_name, stale, clock_slop, polling, retry_errnos, keep_claim, fencing, link))]
    #[expect(clippy::too_many_arguments, reason = "they are named in Python")]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        lifetime: f64,
        separator: char,
        host_name: Option<OsString>,
        stale: &str,
        clock_slop: f64,
        polling: (f64, f64),
        retry_errnos: Vec<i32>,
        keep_claim: bool,
        fencing: bool,
        link: Option<Py<PyAny>>,
    ) -> PyResult<Handle> {
        let mut options = linklock::Lock::options(path)
            .lifetime(duration(lifetime)?)
            .separator(separator)
            .stale(policy(stale)?)
            .clock_slop(duration(clock_slop)?)
            .polling(duration(polling.0)?, duration(polling.1)?)
            .retry_errnos(retry_errnos)
            .keep_claim(keep_claim)
            .fencing(fencing);
        if let Some(host_name) = host_name {
            options = options.host_name(host_name);
        }
        if let Some(link) = link {
            options = linking_by(options, link);
        }
        let lock = options.build().map_err(|error| exception(py, &error))?;
        Ok(Handle { holding: Mutex::new(Holding::new(py, lock)?) })
    }

    /// Acquires the lock, within `timeout` seconds. `waiting` is called before the first wait and
    /// ten times a second.
    #[pyo3(signature = (timeout, waiting=None))]
    fn lock(
        &self,
        py: Python<'_>,
        timeout: Option<f64>,
        waiting: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let limit = timeout.map(duration).transpose()?;
        let holding = self.holding(py)?;
        Wait::begin(limit, waiting).lock(py, &holding)
    }

    /// Acquires the lock if it is free; returns whether it was.
    fn try_lock(&self, py: Python<'_>) -> PyResult<bool> {
        let holding = self.holding(py)?;
        let tried = py.detach(|| {
            let _acquiring = ending::Acquiring::begin(); // and then released at exit
            let reservation = Reservation::try_get(&holding, User::this_thread())
                .map_err(|closed| Refused::at_gate(closed, Duration::ZERO))?;
            reservation.put(holding.lock.as_blocking().try_lock()?);
            Ok(())
        });
        match tried {
            Ok(()) => Ok(true),
            Err(Refused::InUse { .. } | Refused::Lock(Error::Held { .. })) => Ok(false),
            Err(refused) => Err(refused.exception(py, &holding)),
        }
    }

    /// Begins an acquisition of that task's, which calls `done` from another thread.
    fn acquire(
        &self,
        py: Python<'_>,
        timeout: Option<f64>,
        task: Py<PyAny>,
        done: Py<PyAny>,
    ) -> PyResult<Acquisition> {
        let limit = timeout.map(duration).transpose()?;
        Acquisition::begin(self.holding(py)?, User::task(task), limit, done)
    }

    fn unlock(&self, py: Python<'_>) -> PyResult<()> {
        let holding = self.holding(py)?;
        held(py, &holding, py.detach(|| holding.unlock()))
    }

    /// Begins a release that calls `done` from another thread.
    fn release(&self, py: Python<'_>, done: Py<PyAny>) -> PyResult<()> {
        let holding = self.holding(py)?;
        if holding.look(py, |_| ()).is_none() {
            return Err(not_locked(py, holding.lock.path()));
        }
        runtime::spawn_blocking(move || {
            let error = holding.unlock().and_then(Result::err);
            deliver(error.map(|error| move |py: Python<'_>| exception(py, &error)), &done);
        })
    }

    #[pyo3(signature = (lifetime=None))]
    fn refresh(&self, py: Python<'_>, lifetime: Option<f64>) -> PyResult<()> {
        let lifetime = lifetime.map(duration).transpose()?;
        self.with_guard(py, |guard| match lifetime {
            Some(lifetime) => guard.refresh_for(lifetime),
            None => guard.refresh(),
        })
    }

    fn verify(&self, py: Python<'_>) -> PyResult<()> {
        self.with_guard(py, LockGuard::verify)
    }

    /// Keeps the lock alive; `on_lost` is called on another thread.
    fn keep_alive(&self, py: Python<'_>, on_lost: Option<Py<PyAny>>) -> PyResult<()> {
        self.with_guard(py, |guard| {
            guard.keep_alive(move |why| {
                if let Some(on_lost) = on_lost {
                    report_loss(&why, &on_lost);
                }
            })
        })
    }

    #[getter]
    fn is_held(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.holding(py)?.look(py, |_| ()).is_some())
    }

    #[getter]
    fn claim_path(&self, py: Python<'_>) -> PyResult<Option<OsString>> {
        Ok(self.holding(py)?.look(py, |guard| guard.claim_path().into()))
    }

    #[getter]
    fn token(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        Ok(self.holding(py)?.look(py, LockGuard::token).flatten())
    }

    /// How much of the lease is left; zero if the lock is not held.
    #[getter]
    fn remaining(&self, py: Python<'_>) -> PyResult<Duration> {
        Ok(self.holding(py)?.look(py, LockGuard::remaining).unwrap_or_default())
    }

    #[getter]
    fn path(&self, py: Python<'_>) -> PyResult<PathBuf> {
        Ok(self.holding(py)?.lock.path().to_owned())
    }

    #[getter]
    fn host_name(&self, py: Python<'_>) -> PyResult<OsString> {
        Ok(self.holding(py)?.lock.as_blocking().host_name().to_owned())
    }

    fn holder<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let found = self.ask(py, linklock::Lock::holder)?;
        found.map(|found| convert::holder(py, &found)).transpose()
    }

    fn waiters<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let waiters = self.ask(py, linklock::Lock::waiters)?;
        waiters.iter().map(|waiter| convert::holder(py, waiter)).collect()
    }

    fn state(&self, py: Python<'_>) -> PyResult<&'static str> {
        self.ask(py, linklock::Lock::state).map(convert::state)
    }

    fn expires_at(&self, py: Python<'_>) -> PyResult<Option<SystemTime>> {
        self.ask(py, linklock::Lock::expires_at)
    }

    fn sweep(&self, py: Python<'_>) -> PyResult<Vec<PathBuf>> {
        self.ask(py, linklock::Lock::sweep)
    }
}

impl Handle {
    /// What this process holds. A forked child holds nothing, and starts with a handle of its own.
    fn holding(&self, py: Python<'_>) -> PyResult<Arc<Holding>> {
        let mut place = self.holding.lock().unwrap_or_else(PoisonError::into_inner);
        if !place.is_of_this_process() {
            let fresh = Holding::new(py, place.lock.as_blocking().clone())?;
            // Another thread of the parent may have been using it.
            std::mem::forget(std::mem::replace(&mut *place, fresh));
        }
        Ok(place.clone())
    }

    fn with_guard(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&LockGuard) -> Result<(), Error> + Send,
    ) -> PyResult<()> {
        let holding = self.holding(py)?;
        held(py, &holding, py.detach(|| holding.with_guard(act)))
    }

    fn ask<T: Send>(
        &self,
        py: Python<'_>,
        question: impl FnOnce(&linklock::Lock) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        let holding = self.holding(py)?;
        let answer = py.detach(|| question(holding.lock.as_blocking()));
        answer.map_err(|error| exception(py, &error))
    }
}

/// The outcome of something that needs the guard.
fn held(py: Python<'_>, holding: &Holding, outcome: Option<Result<(), Error>>) -> PyResult<()> {
    match outcome {
        Some(outcome) => outcome.map_err(|error| exception(py, &error)),
        None => Err(not_locked(py, holding.lock.path())),
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let holding = self.holding.get_mut().unwrap_or_else(PoisonError::into_inner).clone();
        Holding::forget(&holding);
        // The release blocks, and a callback of the keep-alive may want the interpreter meanwhile.
        let released = Python::try_attach(|py| py.detach(|| holding.abandon()));
        if released.is_none() {
            holding.abandon();
        }
    }
}

/// Calls the program's callback. What it raises goes to `sys.unraisablehook`, as from a destructor:
/// no caller would get it.
fn report_loss(why: &Error, on_lost: &Py<PyAny>) {
    Python::try_attach(|py| {
        if let Err(raised) = on_lost.call1(py, (exception(py, why),)) {
            raised.write_unraisable(py, Some(on_lost.bind(py)));
        }
    });
}

fn policy(name: &str) -> PyResult<StalePolicy> {
    match name {
        "expired-or-dead" => Ok(StalePolicy::ExpiredOrDead),
        "expired" => Ok(StalePolicy::Expired),
        "never" => Ok(StalePolicy::Never),
        _ => Err(PyValueError::new_err(format!(
            "stale must be 'expired-or-dead', 'expired' or 'never', not {name:?}"
        ))),
    }
}

fn linking_by(options: LockOptions, link: Py<PyAny>) -> LockOptions {
    options.link_by(move |from: &Path, to: &Path| {
        Python::attach(|py| {
            link.call1(py, (from.as_os_str(), to.as_os_str())).map(drop).map_err(|raised| {
                let errno = raised.value(py).getattr("errno").and_then(|errno| errno.extract());
                errno.map_or_else(|_| io::Error::other(raised), io::Error::from_raw_os_error)
            })
        })
    })
}
