//! The limit of a wait: how long to contend for a lock.

use std::path::PathBuf;
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

    /// The error once the limit is reached.
    pub(crate) fn ended(&self, path: PathBuf, waited: Duration, obstacle: Obstacle) -> Error {
        let obstacle = Box::new(obstacle);
        match self {
            WaitLimit::None => Error::Held { path, obstacle },
            _ => Error::TimedOut { path, waited, obstacle },
        }
    }
}
