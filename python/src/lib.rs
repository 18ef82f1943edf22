//! The native part of the Python package `linklock`.
//!
//! Every call of the library is made detached from the interpreter, since it may block. What needs
//! the interpreter meanwhile (signals, callbacks) attaches to it for that moment.

mod acquisition;
mod convert;
mod ending;
mod gate;
mod handle;
mod holding;
mod refused;
mod runtime;
mod wait;

use std::sync::OnceLock;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

/// Releases what this process still holds, and ends the runtime: called at exit.
#[pyfunction]
fn release_all(py: Python<'_>) {
    let holdings = holding::of_this_process();
    py.detach(|| {
        ending::begin();
        runtime::end();
        for holding in holdings {
            holding.abandon();
        }
    });
}

/// Raises an exception in any interpreter but the first that imports the package: threads and
/// callbacks belong to that one.
#[pyfunction]
fn refuse_other_interpreters(py: Python<'_>) -> PyResult<()> {
    static FIRST: OnceLock<usize> = OnceLock::new();
    let this = py.import("sys")?.getattr("modules")?.as_ptr().addr();
    if *FIRST.get_or_init(|| this) == this {
        return Ok(());
    }
    Err(PyImportError::new_err("linklock works in one interpreter of a process only"))
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<handle::Handle>()?;
    module.add_class::<acquisition::Acquisition>()?;
    module.add_function(wrap_pyfunction!(refuse_other_interpreters, module)?)?;
    module.add_function(wrap_pyfunction!(ending::forget_other_threads, module)?)?;
    module.add_function(wrap_pyfunction!(release_all, module)?)
}
