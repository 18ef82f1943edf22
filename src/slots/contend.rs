//! Acquires a slot: any that is free, or else the one that becomes free first.
//!
//! 1. Try each slot once, beginning with one that looks free. A process that has had to wait the last
//!    time goes to 2.
//! 2. If all are held, join the host's queue of the set. Its waiters try each slot from time to time,
//!    in case the head is stopped.
//! 3. At the head of the queue, contend for all slots at the same time, each by the protocol of a lock
//!    by itself. The first that is acquired is kept, and the contention for the others is dropped, as
//!    if its caller had lost interest. The next in the queue becomes the head. (Before that, [watch
//!    them](super::at_head) for a while, where that is enough.)
//!
//! At most one process holds each slot, so at most as many as there are slots hold one: nothing else
//! is needed for safety, and only the locks' own protocol touches a file.

use std::sync::Arc;
use std::time::Duration;

use super::Slots;
use super::attempt::{Acquired, holder, is_free, may_be_acquired};
use crate::error::Error;
use crate::holder::Obstacle;
use crate::protocol::tenure::Tenure;
use crate::wait::limit::{SharedLimit, WaitLimit};
use crate::wait::park::Park;
use crate::wait::together::together;
use crate::wait::waiter::{Waiter, Woken};

impl Slots {
    /// Contends for a slot until one is acquired or the limit is reached. `thread` is the caller's,
    /// which does not wait for itself.
    pub(crate) async fn contend<W: FnMut(&Obstacle) -> Duration + ?Sized>(
        &self,
        limit: WaitLimit<'_, W>,
        thread: Option<u64>,
        parker: &impl Park,
    ) -> Result<Acquired, Error> {
        let slots = self.not_held_by(thread)?;
        let context = &*self.queue.context;
        let fairness = &context.memory.fairness;
        let may_wait = !matches!(limit, WaitLimit::None);
        let begun = context.now();
        let mut waiter = Waiter::in_set(context, &self.locks[0].context);
        if may_wait && fairness.is_due(begun) {
            waiter.queue_up(context);
        }
        if !waiter.is_behind() {
            if let Some(acquired) = self.try_those(&slots, is_free, parker).await? {
                return Ok(acquired); // 1
            }
        }
        let mut limit = limit;
        if may_wait {
            waiter.queue_up(context);
            let queued = self.wait_in_queue(&slots, &mut waiter, &mut limit, begun, parker).await?;
            if let Some(acquired) = queued {
                return Ok(acquired); // 2
            }
        }
        let acquired = self.at_head(&slots, limit, begun, may_wait, parker).await; // 3
        if acquired.is_ok() {
            fairness.acquired(may_wait);
        }
        acquired
    }

    /// Acquires a slot at the head of the queue.
    async fn at_head<W: FnMut(&Obstacle) -> Duration + ?Sized>(
        &self,
        slots: &[usize],
        mut limit: WaitLimit<'_, W>,
        begun: Duration,
        may_wait: bool,
        parker: &impl Park,
    ) -> Result<Acquired, Error> {
        if may_wait && self.has_only_local_waiters() {
            if let Some(acquired) = self.watch(slots, &mut limit, begun, parker).await? {
                return Ok(acquired);
            }
        }
        let limit = limit.less(self.queue.context.now().saturating_sub(begun));
        self.contend_for_all(slots, limit, begun, parker).await
    }

    /// The slots that this thread may wait for, from a random one on.
    fn not_held_by(&self, thread: Option<u64>) -> Result<Vec<usize>, Error> {
        let is_ours = |slot: &usize| thread.is_some_and(|it| self.locks[*slot].is_held_by(it));
        let mut slots: Vec<_> = (0..self.locks.len()).collect();
        let start = (self.queue.context.machine.random)() % slots.len() as u64;
        slots.rotate_left(usize::try_from(start).unwrap_or_default());
        slots.retain(|slot| !is_ours(slot));
        if slots.is_empty() {
            Err(Error::AlreadyLocked { path: self.path.clone() })
        } else {
            Ok(slots)
        }
    }

    /// Waits until this process is at the head of the queue. Returns a slot if it has acquired one
    /// before that.
    async fn wait_in_queue<W: FnMut(&Obstacle) -> Duration + ?Sized>(
        &self,
        slots: &[usize],
        waiter: &mut Waiter,
        limit: &mut WaitLimit<'_, W>,
        begun: Duration,
        parker: &impl Park,
    ) -> Result<Option<Acquired>, Error> {
        let context = &*self.queue.context;
        while waiter.is_behind() {
            let waited = context.now().saturating_sub(begun);
            let left = limit.left(waited, &Obstacle::Queue);
            if left.is_zero() {
                let holder = slots.iter().find_map(|slot| holder(&self.locks[*slot]));
                let obstacle = holder.map_or(Obstacle::Queue, Obstacle::Holder);
                return Err(limit.ended(self.path.clone(), waited, obstacle));
            }
            if waiter.pause(context, None, None, left, parker).await == Woken::Look {
                let acquired = self.try_those(slots, may_be_acquired, parker).await?;
                if acquired.is_some() {
                    return Ok(acquired);
                }
            }
        }
        Ok(None)
    }

    /// Contends for all slots at the same time, until one is acquired or the limit is reached.
    async fn contend_for_all<W: FnMut(&Obstacle) -> Duration + ?Sized>(
        &self,
        slots: &[usize],
        limit: WaitLimit<'_, W>,
        begun: Duration,
        parker: &impl Park,
    ) -> Result<Acquired, Error> {
        let context = &*self.queue.context;
        let limit = SharedLimit::new(limit);
        let contend_for = |index: usize, parker: Arc<_>| {
            let (lock, limit) = (&self.locks[slots[index]], &limit);
            async move {
                let mut go_on = |obstacle: &Obstacle| limit.left(obstacle);
                let limit = limit.of_one(&mut go_on);
                lock.contend(lock.begin_acquisition(), limit, &*parker).await
            }
        };
        let mut refused = None;
        let ended = |index: usize, result: Result<Tenure, Error>| match result {
            // The limit is the same for all, so the others reach it too.
            Err(error) if error.is_contention() => {
                refused.get_or_insert(error);
                None
            }
            result => Some(result.map(|tenure| (slots[index], tenure))),
        };
        let ended = together(context, slots.len(), contend_for, ended, parker).await;
        let refused = || Err(refused.expect("each contention ends, with a tenure or an error"));
        let waited = context.now().saturating_sub(begun);
        ended.unwrap_or_else(refused).map_err(|error| self.of_set(error, waited))
    }

    /// The error of contention for one slot, as one of the set.
    fn of_set(&self, error: Error, waited: Duration) -> Error {
        let path = self.path.clone();
        match error {
            Error::Held { obstacle, .. } => Error::Held { path, obstacle },
            Error::TimedOut { obstacle, .. } => Error::TimedOut { path, waited, obstacle },
            other => other,
        }
    }
}
