//! WaitLimit: for how long to contend.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::Error;
use crate::holder::Obstacle;

/// For how long to contend for a lock that is held.
pub(crate) enum WaitLimit<'a, W: ?Sized = dyn FnMut(&Obstacle) -> bool + 'a> {
    None,
    /// From the beginning on.
    For(Duration),
    /// While this says so, which is asked ten times a second.
    While(&'a mut W),
    Endless,
}

/// After how long patience that depends on something else is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(100);

impl<W: FnMut(&Obstacle) -> bool + ?Sized> WaitLimit<'_, W> {
    /// For how long to wait before it is to be asked again; nothing once it has ended.
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

    /// The error once it has ended.
    pub(crate) fn ended(&self, path: PathBuf, waited: Duration, obstacle: Obstacle) -> Error {
        let obstacle = Box::new(obstacle);
        match self {
            WaitLimit::None => Error::Held { path, obstacle },
            _ => Error::TimedOut { path, waited, obstacle },
        }
    }
}
