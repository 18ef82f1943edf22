//! The limit of a wait: how long to contend for a lock.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::error::Error;
use crate::holder::Obstacle;

/// How long to contend for a lock that is held.
pub(crate) enum WaitLimit<'a, W: ?Sized = dyn FnMut(&Obstacle) -> Duration + 'a> {
    None,
    /// This long, counted from the start of the call.
    For(Duration),
    /// While this returns how long to wait before it is called again; zero means no longer.
    While(&'a mut W),
    Endless,
}

/// How often a caller is asked whether to go on.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// What [`WaitLimit::While`] calls, for a caller that says only whether to go on.
pub(crate) fn asking(
    mut go_on: impl FnMut(&Obstacle) -> bool,
) -> impl FnMut(&Obstacle) -> Duration {
    move |obstacle| if go_on(obstacle) { ASK_AGAIN } else { Duration::ZERO }
}

impl<W: FnMut(&Obstacle) -> Duration + ?Sized> WaitLimit<'_, W> {
    /// The limit that a default timeout sets.
    pub(crate) fn of(timeout: Option<Duration>) -> Self {
        timeout.map_or(WaitLimit::Endless, WaitLimit::For)
    }

    /// How long to wait before the limit is checked again; zero once it is reached.
    pub(crate) fn left(&mut self, waited: Duration, obstacle: &Obstacle) -> Duration {
        match self {
            WaitLimit::None => Duration::ZERO,
            WaitLimit::For(limit) => limit.saturating_sub(waited),
            WaitLimit::While(go_on) => go_on(obstacle),
            WaitLimit::Endless => Duration::MAX,
        }
    }

    /// The same limit, for a part of what it limits.
    pub(crate) fn part(&mut self) -> WaitLimit<'_, W> {
        match self {
            WaitLimit::None => WaitLimit::None,
            WaitLimit::For(limit) => WaitLimit::For(*limit),
            WaitLimit::While(go_on) => WaitLimit::While(go_on),
            WaitLimit::Endless => WaitLimit::Endless,
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

impl<'a, W: FnMut(&Obstacle) -> Duration + ?Sized> SharedLimit<'a, W> {
    pub(crate) fn new(limit: WaitLimit<'a, W>) -> SharedLimit<'a, W> {
        SharedLimit(Mutex::new(limit))
    }

    /// The limit of one of them, which asks `go_on` whether to go on: that has to ask
    /// [`left`](Self::left).
    pub(crate) fn of_one<'b, G>(&self, go_on: &'b mut G) -> WaitLimit<'b, G> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            WaitLimit::None => WaitLimit::None,
            WaitLimit::For(limit) => WaitLimit::For(*limit),
            WaitLimit::While(_) => WaitLimit::While(go_on),
            WaitLimit::Endless => WaitLimit::Endless,
        }
    }

    /// How long to go on before asking again. Once that is zero, it always is.
    pub(crate) fn left(&self, obstacle: &Obstacle) -> Duration {
        let mut limit = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = limit.left(Duration::ZERO, obstacle);
        if left.is_zero() {
            *limit = WaitLimit::None;
        }
        left
    }
}
