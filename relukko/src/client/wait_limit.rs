//! How long to wait for a lock that is held.

use std::time::{Duration, Instant};

/// How often the caller's condition is checked.
const CHECK: Duration = Duration::from_millis(100);

pub(super) enum WaitLimit<W> {
    /// Do not wait.
    None,
    Until(Instant),
    /// While the condition holds.
    While(W),
    Endless,
}

impl WaitLimit<fn() -> bool> {
    /// Endless, if the deadline is too far away to represent.
    pub(super) fn within(time: Duration) -> WaitLimit<fn() -> bool> {
        Instant::now().checked_add(time).map_or(WaitLimit::Endless, WaitLimit::Until)
    }
}

impl<W: FnMut() -> bool> WaitLimit<W> {
    /// How long to wait before the next check; zero once the wait is over.
    pub(super) fn left(&mut self, now: Instant) -> Duration {
        match self {
            WaitLimit::None | WaitLimit::Endless => Duration::MAX,
            WaitLimit::Until(deadline) => deadline.saturating_duration_since(now),
            WaitLimit::While(goes_on) => {
                if goes_on() {
                    CHECK
                } else {
                    Duration::ZERO
                }
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            WaitLimit::Until(deadline) => Some(*deadline),
            WaitLimit::None | WaitLimit::While(_) | WaitLimit::Endless => None,
        }
    }
}
