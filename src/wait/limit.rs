//! The limit of a wait: how long to contend for a lock.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::error::Error;
use crate::holder::Obstacle;

/// How long to contend for a lock that is held.
pub(crate) enum WaitLimit<'a, W: ?Sized = dyn FnMut(&Obstacle) -> bool + 'a> {
    None,
    /// This long, counted from the start of the call.
    For(Duration),
    /// While this returns true; it is called ten times a second.
    While(&'a mut W),
    Endless,
}

/// How often a limit that depends on a closure is checked.
const ASK_AGAIN: Duration = Duration::from_millis(100);

impl<W: FnMut(&Obstacle) -> bool + ?Sized> WaitLimit<'_, W> {
    /// How long to wait before the limit is checked again; zero once it is reached.
    pub(crate) fn left(&mut self, waited: Duration, obstacle: &Obstacle) -> Duration {
        match self {
            WaitLimit::None => Duration::ZERO,
            WaitLimit::For(limit) => limit.saturating_sub(waited),
            WaitLimit::While(go_on) => {
                if go_on(obstacle) {
                    ASK_AGAIN
                } else {
                    Duration::ZERO
                }
            }
            WaitLimit::Endless => Duration::MAX,
        }
    }

    /// What is left of the limit after some time.
    pub(crate) fn less(self, waited: Duration) -> Self {
        match self {
            WaitLimit::For(limit) => WaitLimit::For(limit.saturating_sub(waited)),
            other => other,
        }
    }

    /// The error once the limit is reached.
    pub(crate) fn ended(&self, path: PathBuf, waited: Duration, obstacle: Obstacle) -> Error {
        let obstacle = Box::new(obstacle);
        match self {
            WaitLimit::None => Error::Held { path, obstacle },
            _ => Error::TimedOut { path, waited, obstacle },
        }
    }
}

/// One limit of several contentions.
pub(crate) struct SharedLimit<'a, W: ?Sized>(Mutex<WaitLimit<'a, W>>);

impl<'a, W: FnMut(&Obstacle) -> bool + ?Sized> SharedLimit<'a, W> {
    pub(crate) fn new(limit: WaitLimit<'a, W>) -> SharedLimit<'a, W> {
        SharedLimit(Mutex::new(limit))
    }

    /// The limit of one of them, which asks `go_on` whether to go on: that has to ask
    /// [`goes_on`](Self::goes_on).
    pub(crate) fn of_one<'b, G>(&self, go_on: &'b mut G) -> WaitLimit<'b, G> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            WaitLimit::None => WaitLimit::None,
            WaitLimit::For(limit) => WaitLimit::For(*limit),
            WaitLimit::While(_) => WaitLimit::While(go_on),
            WaitLimit::Endless => WaitLimit::Endless,
        }
    }

    /// Whether to go on. Once it is not, it never is again.
    pub(crate) fn goes_on(&self, obstacle: &Obstacle) -> bool {
        let mut limit = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let goes_on = !limit.left(Duration::ZERO, obstacle).is_zero();
        if !goes_on {
            *limit = WaitLimit::None;
        }
        goes_on
    }
}
