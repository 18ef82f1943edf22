//! The end of the process: other threads take no lock any more, so that none takes one with it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

/// The thread that ends the process, once it has begun to.
static ENDS_IN: OnceLock<ThreadId> = OnceLock::new();
/// How many threads acquire a lock.
static ACQUIRING: AtomicUsize = AtomicUsize::new(0);

/// Longer than a waiter takes to notice, and no longer than a user waits for a prompt.
const LIMIT: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(1);

/// Lets the threads that wait for a lock give up, and waits until they have.
pub(crate) fn begin() {
    ENDS_IN.get_or_init(|| thread::current().id());
    let begun = Instant::now();
    while ACQUIRING.load(Ordering::SeqCst) > 0 && begun.elapsed() < LIMIT {
        thread::sleep(STEP);
    }
}

/// A thread that acquires a lock, or is about to: as long as the value lives.
pub(crate) struct Acquiring(());

impl Acquiring {
    /// `None` in the thread that ends the process, where a lock is taken as usual to the last. In the
    /// others this does not return once the end has begun.
    pub(crate) fn begin() -> Option<Acquiring> {
        ACQUIRING.fetch_add(1, Ordering::SeqCst);
        let new = Acquiring(());
        let Some(thread) = ENDS_IN.get() else { return Some(new) };
        drop(new);
        if *thread == thread::current().id() { None } else { never_return() }
    }
}

/// For a forked child, in which no other thread goes on.
#[pyfunction]
pub(crate) fn forget_other_threads() {
    ACQUIRING.store(0, Ordering::SeqCst);
}

pub(crate) fn has_begun() -> bool {
    ENDS_IN.get().is_some()
}

/// For a thread that the end of the process has interrupted, which would only report an error.
pub(crate) fn never_return() -> ! {
    loop {
        thread::park();
    }
}

impl Drop for Acquiring {
    fn drop(&mut self) {
        ACQUIRING.fetch_sub(1, Ordering::SeqCst);
    }
}
