//! The native part of the Python package `linklock`.
//!
//! Every call of the library is made detached from the interpreter, since it may block. What needs
//! the interpreter meanwhile (signals, callbacks) attaches to it for that moment.

mod acquisition;
mod convert;
mod handle;
mod holding;
mod runtime;

use pyo3::prelude::*;

/// Releases what this process still holds, and ends the runtime: called at exit.
#[pyfunction]
fn release_all(py: Python<'_>) {
    let holdings = holding::of_this_process();
    py.detach(|| {
        runtime::end();
        for holding in holdings {
            holding.abandon();
        }
    });
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<handle::Handle>()?;
    module.add_class::<acquisition::Acquisition>()?;
    module.add_function(wrap_pyfunction!(release_all, module)?)
}
