//! Events of an acquisition, from its first step to its end.

use std::path::Path;
use std::time::Duration;

use crate::error::Error;
use crate::events::emit::{LONG, now};
use crate::events::peer::Peer;
use crate::events::span::Span;
use crate::events::text::{plain, secs, words};
use crate::holder::Obstacle;
use crate::model::context::Context;

/// One acquisition, from its first step to its end. It is a value, which may move between threads;
/// each piece of the work runs inside [`during`](Self::during).
#[derive(Debug)]
pub(crate) struct Acquisition {
    span: Span,
    begun: Duration,
}

impl Acquisition {
    pub(crate) fn begin(context: &Context, path: &Path, lifetime: Duration) -> Acquisition {
        Acquisition { span: Span::of_acquisition(path, lifetime), begun: now(context) }
    }

    /// Runs a piece of the work, within one thread.
    pub(crate) fn during<T>(&self, act: impl FnOnce() -> T) -> T {
        self.span.during(act)
    }

    /// The lock was acquired, with this claim and token if it has them, or the acquisition failed.
    pub(crate) fn ended(
        &self,
        context: &Context,
        path: &Path,
        ended: Result<(Option<&Path>, Option<u64>), &Error>,
    ) {
        let waited = now(context).saturating_sub(self.begun);
        let outcome = self.during(|| match ended {
            Ok((claim, token)) => {
                self.span.record_acquired(claim, token);
                timed_event!(waited => event acquired "acquired a lock", path,
                    waited_secs = secs(waited), claim = claim.map(plain), token = token);
                "acquired"
            }
            Err(Error::Held { obstacle, .. }) => {
                peer_event!(DEBUG (&**obstacle).into() => held "a lock is held", path);
                "held"
            }
            Err(Error::TimedOut { obstacle, .. }) => {
                let peer = Peer::from(&**obstacle);
                timed_event!(waited => peer_event peer => timed_out "gave up waiting for a lock",
                    path, waited_secs = secs(waited));
                "timed_out"
            }
            Err(error) => {
                event!(DEBUG failed "failed to acquire a lock", path,
                    waited_secs = secs(waited), error = words(error));
                "failed"
            }
        });
        self.span.record_outcome(outcome, waited);
    }
}

/// The events of one contender's wait: one event for each obstacle, not for each poll.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    obstacle: Option<u64>,
    is_long: bool,
}

impl Waiting {
    /// The contender meets this obstacle, and keeps waiting if any time is left.
    pub(crate) fn meets(
        &mut self,
        path: &Path,
        obstacle: &Obstacle,
        waited: Duration,
        left: Duration,
    ) {
        if cfg!(not(feature = "tracing")) {
            return;
        }
        let peer = Peer::from(obstacle);
        let before = self.obstacle.replace(peer.identity());
        let is_new = before != self.obstacle;
        let cannot_break =
            matches!(obstacle, Obstacle::CannotBreak(..) | Obstacle::CannotBreakDotlock(..));
        if is_new && cannot_break {
            peer_event!(WARN peer => cannot_break "a stale lock may not be broken", path);
        }
        if left.is_zero() {
            return;
        }
        if before.is_none() {
            peer_event!(DEBUG peer => waiting "waiting for a lock", path);
        } else if is_new {
            peer_event!(DEBUG peer => obstacle_changed "the obstacle has changed", path,
                waited_secs = secs(waited));
        }
        if waited >= LONG && !std::mem::replace(&mut self.is_long, true) {
            peer_event!(INFO peer => still_waiting "still waiting for a lock", path,
                waited_secs = secs(waited));
        }
    }
}

/// A contender has lost its progress, and starts over.
pub(crate) fn restarted(context: &Context, because: &'static str) {
    event!(WARN restarted "an acquisition had to start over", context.lock_path(), because = because);
}
