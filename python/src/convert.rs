//! What crosses the border to Python: durations, holders and errors.

use std::io;
use std::path::Path;
use std::time::Duration;

use linklock::{Error, Format, Holder, Life, State};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

pub(crate) fn duration(seconds: f64) -> PyResult<Duration> {
    Ok(Duration::try_from_secs_f64(seconds)?)
}

/// A `linklock.Holder`.
pub(crate) fn holder<'py>(py: Python<'py>, holder: &Holder) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let format = match holder.format() {
        Format::FluflLock => "flufl.lock",
        _ => "linklock",
    };
    let is_alive = match holder.life() {
        Life::Alive => Some(true),
        Life::Dead => Some(false),
        _ => None,
    };
    CLASS.import(py, "linklock._words", "Holder")?.call1((
        holder.host(),
        holder.pid(),
        holder.claim_path(),
        format,
        is_alive,
        holder.expires_at(),
        holder.refreshed_at(),
        holder.idle(),
        holder.remaining(),
        holder.is_expired(),
        holder.to_string(),
    ))
}

/// The name of a state, in flufl.lock's words.
pub(crate) fn state(state: State) -> &'static str {
    match state {
        State::Unlocked => "unlocked",
        State::Ours => "ours",
        State::OursExpired => "ours_expired",
        State::Stale => "stale",
        State::TheirsExpired => "theirs_expired",
        _ => "unknown",
    }
}

/// The exception for an error of the library.
pub(crate) fn exception(py: Python<'_>, error: &Error) -> PyErr {
    if let Some(raised) = error.io_error().and_then(|error| raised(py, error)) {
        return raised;
    }
    build(py, error).unwrap_or_else(|error| error)
}

/// The exception that a callback of the program's has raised, if that is the cause.
fn raised(py: Python<'_>, error: &io::Error) -> Option<PyErr> {
    let raised = error.get_ref()?.downcast_ref::<PyErr>()?;
    Some(raised.clone_ref(py))
}

fn build(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let (class, waited) = match error {
        Error::Held { .. } => ("Held", None),
        Error::TimedOut { waited, .. } => ("TimedOut", Some(*waited)),
        Error::AlreadyLocked { .. } => ("AlreadyLocked", None),
        Error::Lost { .. } => ("Lost", None),
        Error::Expired { .. } => ("Expired", None),
        Error::Invalid { .. } => ("Invalid", None),
        Error::NoHardLinks { .. } | Error::UnsupportedFileSystem { .. } => {
            ("UnsupportedFileSystem", None)
        }
        _ => ("FileError", None),
    };
    let found = error.holder().map(|found| holder(py, found)).transpose()?;
    let errno = error.io_error().and_then(io::Error::raw_os_error);
    let made = py
        .import("linklock._errors")?
        .getattr(class)?
        .call_method1("_from_native", (error.to_string(), error.path(), found, waited, errno))?;
    Ok(PyErr::from_value(made))
}

/// The exception for what needs the lock held.
pub(crate) fn not_locked(py: Python<'_>, path: &Path) -> PyErr {
    of_this_handle(py, "NotLocked", path, "is not held by this handle")
}

/// The exception for an acquisition that would wait for itself.
pub(crate) fn already_locked(py: Python<'_>, path: &Path) -> PyErr {
    let what =
        "is already held through this object, by this thread or task: it would wait for itself";
    of_this_handle(py, "AlreadyLocked", path, what)
}

/// The exception for an acquisition that has waited in vain for another thread with this handle.
pub(crate) fn in_use(
    py: Python<'_>,
    path: &Path,
    found: Option<&Holder>,
    waited: Duration,
) -> PyErr {
    let message = format!(
        "waited {:.1} s for lock {}: another thread or task uses this object",
        waited.as_secs_f64(),
        path.display()
    );
    let found = found.map(|found| holder(py, found)).transpose();
    found.map_or_else(
        |error| error,
        |found| make(py, "TimedOut", message, path, found, Some(waited)),
    )
}

fn of_this_handle(py: Python<'_>, class: &str, path: &Path, what: &str) -> PyErr {
    make(py, class, format!("lock {} {what}", path.display()), path, None, None)
}

fn make(
    py: Python<'_>,
    class: &str,
    message: String,
    path: &Path,
    found: Option<Bound<'_, PyAny>>,
    waited: Option<Duration>,
) -> PyErr {
    let made = || {
        py.import("linklock._errors")?
            .getattr(class)?
            .call_method1("_from_native", (message, path, found, waited, None::<i32>))
    };
    made().map_or_else(|error| error, PyErr::from_value)
}
