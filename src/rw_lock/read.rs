//! Acquires the lock as a reader.
//!
//! 1. Take the lock file, as any contender does: no writer holds it then.
//! 2. Acquire a lock of our own, whose name nobody else has.
//! 3. Give the lock file back. If it is still ours then, no writer has held it since before 2, and
//!    the next one finds our lock in its listing. If it is not, we took too long: begin again.

use std::time::Duration;

use super::RwLock;
use crate::error::Error;
use crate::holder::Obstacle;
use crate::lock::Lock;
use crate::model::safeguard::Safeguard;
use crate::protocol::tenure::Tenure;
use crate::wait::limit::{SharedLimit, WaitLimit, asking};
use crate::wait::park::Park;

/// How often to begin again after a stall.
pub(super) const ATTEMPTS: u32 = 16;

/// How long one that does not wait for a writer waits for other readers at most.
const PASSING: Duration = Duration::from_secs(2);

/// The tenure of a reader's lock, with the handle of that lock.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(super) lock: Lock,
    pub(super) tenure: Tenure,
}

impl RwLock {
    /// Contends for the lock as a reader until it is acquired or the limit is reached.
    pub(crate) async fn enter<W: FnMut(&Obstacle) -> Duration + ?Sized>(
        &self,
        limit: WaitLimit<'_, W>,
        parker: &impl Park,
    ) -> Result<Reading, Error> {
        if !matches!(limit, WaitLimit::None) {
            return self.enter_within(limit, parker).await;
        }
        let mut passes = self.passes();
        self.enter_within(WaitLimit::While(&mut passes), parker).await.map_err(without_time)
    }

    /// Takes the lock file as the first step of a reader that does not wait for a writer.
    pub(super) async fn take_entrance(&self, parker: &impl Park) -> Result<Tenure, Error> {
        let mut passes = self.passes();
        let (acquisition, limit) =
            (self.entrance.begin_acquisition(), WaitLimit::While(&mut passes));
        self.entrance.contend(acquisition, limit, parker).await.map_err(without_time)
    }

    /// How long to wait for what keeps a reader out, if not for a writer: for other readers that do the same.
    fn passes(&self) -> impl FnMut(&Obstacle) -> Duration {
        let begun = self.now();
        asking(move |obstacle: &Obstacle| {
            let passes = match obstacle {
                Obstacle::Holder(holder) => holder.is_entering(),
                // The lock is free, and others of this machine come first.
                other => matches!(other, Obstacle::Queue),
            };
            passes && self.now().saturating_sub(begun) < PASSING
        })
    }

    async fn enter_within<W: FnMut(&Obstacle) -> Duration + ?Sized>(
        &self,
        limit: WaitLimit<'_, W>,
        parker: &impl Park,
    ) -> Result<Reading, Error> {
        let begun = self.now();
        let limit = SharedLimit::new(limit);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let mut go_on = |obstacle: &Obstacle| limit.left(obstacle);
            let left = limit.of_one(&mut go_on).less(self.now().saturating_sub(begun));
            let acquisition = self.entrance.begin_acquisition();
            let entrance = self.entrance.contend(acquisition, left, parker).await?; // 1
            let reading = self.readers.begin(parker).await?; // 2
            let released = entrance.release(); // 3
            match released {
                Err(error) if !Safeguard::EntranceIsHeld.stands() && error.is_lost() => {}
                Err(error) if error.is_lost() && attempts < ATTEMPTS => continue,
                released => released?,
            }
            return Ok(reading);
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.writer.context.now()
    }
}

/// The error of one that waited for other readers, but for no writer.
fn without_time(error: Error) -> Error {
    match error {
        Error::TimedOut { path, obstacle, .. } => Error::Held { path, obstacle },
        other => other,
    }
}
