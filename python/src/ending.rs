//! The end of the process: threads that still wait give up, so that none takes a lock with it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

static HAS_BEGUN: AtomicBool = AtomicBool::new(false);
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Longer than a waiter takes to notice, and no longer than a user waits for a prompt.
const LIMIT: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(1);

/// Lets the waiters give up, and waits until they have.
pub(crate) fn begin() {
    HAS_BEGUN.store(true, Ordering::SeqCst);
    let begun = Instant::now();
    while WAITING.load(Ordering::SeqCst) > 0 && begun.elapsed() < LIMIT {
        thread::sleep(STEP);
    }
}

/// A thread that waits, or is about to: as long as the value lives.
pub(crate) struct Waiter(());

impl Waiter {
    /// `None` if the end has begun already.
    pub(crate) fn begin() -> Option<Waiter> {
        WAITING.fetch_add(1, Ordering::SeqCst);
        let new = Waiter(());
        (!has_begun()).then_some(new)
    }
}

pub(crate) fn has_begun() -> bool {
    HAS_BEGUN.load(Ordering::SeqCst)
}

/// For a thread that the end of the process has interrupted, which would only report an error.
pub(crate) fn never_return() -> ! {
    loop {
        thread::park();
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::SeqCst);
    }
}
