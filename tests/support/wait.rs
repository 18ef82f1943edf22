//! Waiting for what must come to pass.

use std::thread::sleep;
use std::time::Duration;

use crate::support::clock::now;

/// A limit that no machine is too slow for.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Waits until it is so.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = now();
    while !is_so() {
        assert!(now() < began + LONG, "waited {LONG:?} in vain until {what}");
        sleep(Duration::from_millis(2));
    }
}
