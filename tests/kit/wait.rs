//! Waits for a condition, never for a time.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Far longer than anything here takes, even on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Waits for a condition, and fails if it never comes true.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < LIMIT, "not in {LIMIT:?}: {what}");
        sleep(Duration::from_millis(1));
    }
}
