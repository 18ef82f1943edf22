//! Waits at the head of the queue, where nobody but the queue's waiters contends.
//!
//! The head makes no claims: it watches all slots with one inotify(7) instance, of which a user has
//! only so many, and acquires the first that is not held any more. For a slot that is held for long,
//! and to judge dates by the file system's clock, it needs claims after all: then it
//! [contends](super::contend) for all slots.

use std::path::Path;
use std::time::Duration;

use super::Slots;
use super::attempt::{Acquired, holder, may_be_acquired};
use crate::error::Error;
use crate::holder::Obstacle;
use crate::sys::inotify::Watch;
use crate::wait::limit::WaitLimit;
use crate::wait::park::Park;

/// How long the head makes no claims.
const WITHOUT_CLAIMS: Duration = Duration::from_secs(1);

impl Slots {
    /// Whether all contenders stand in this host's queue. On a network file system, claims say to other
    /// hosts that somebody waits; they also have the address for hints.
    pub(super) fn has_only_local_waiters(&self) -> bool {
        self.queue.context.is_local() && !self.queue.context.config.wake_hints
    }

    /// Waits for any of the slots for a while. Returns `None` if the head has to contend for them.
    pub(super) async fn watch<W: FnMut(&Obstacle) -> Duration + ?Sized>(
        &self,
        slots: &[usize],
        limit: &mut WaitLimit<'_, W>,
        begun: Duration,
        parker: &impl Park,
    ) -> Result<Option<Acquired>, Error> {
        let context = &*self.queue.context;
        let paths: Vec<&Path> = slots.iter().map(|slot| self.locks[*slot].path()).collect();
        let mut watch = context.machine.can_wake.then(Watch::new).flatten();
        let mut backoff = context.config.backoff();
        let until = context.now() + WITHOUT_CLAIMS;
        while context.now() < until {
            // Changes from before a watch begins are not reported. (A slot whose file is gone is free.)
            let _ = watch.as_mut().map(|watch| watch.on(&paths));
            let acquired = self.try_those(slots, may_be_acquired, parker).await?;
            if acquired.is_some() {
                return Ok(acquired);
            }
            let obstacle = holder(&self.locks[slots[0]]).map_or(Obstacle::Queue, Obstacle::Holder);
            let waited = context.now().saturating_sub(begun);
            let left = limit.left(waited, &obstacle);
            if left.is_zero() {
                return Err(limit.ended(self.path.clone(), waited, obstacle));
            }
            let pause = backoff.pause((context.machine.random)()).min(left);
            let wake_fds = watch.iter().map(Watch::wake_fd).collect();
            parker.park(context, wake_fds, pause).await;
        }
        Ok(None)
    }
}
