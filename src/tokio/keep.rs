//! Keep-alive: a task for each lock, which is nothing but a timer while there is nothing to do.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::pool::on_pool;
use crate::clock::Clock;
use crate::error::Error;
use crate::tenure::Tenure;
use crate::upkeep::{Upkeep, next_refresh, refresh};

/// A lock that is [kept alive](super::LockGuard::keep_alive): for whoever wants to be told if it is
/// lost. Dropping this changes nothing.
#[derive(Debug)]
pub struct KeepAlive {
    /// `None` once all is said.
    lost: Option<oneshot::Receiver<Error>>,
}

impl KeepAlive {
    /// Waits until the lock is lost, and says why, once: [`Error::Lost`], or [`Error::Expired`] with
    /// what kept it from being refreshed. The work should stop at once. `None` if it never was: the
    /// guard is gone, was asked to keep the lock alive anew or was made a blocking one, or the
    /// runtime shuts down.
    ///
    /// In `tokio::select!`, `Some(why) = kept.lost() => ...` is the branch for it.
    ///
    /// # If it is dropped
    ///
    /// Nothing is missed: it may be asked for again.
    pub async fn lost(&mut self) -> Option<Error> {
        let why = self.lost.as_mut()?.await.ok();
        self.lost = None;
        why
    }
}

/// The guard's side: the task ends with it.
pub(super) struct Keep {
    due: watch::Sender<Duration>,
}

impl Keep {
    pub(super) fn start(tenure: &Arc<Tenure>) -> (Keep, KeepAlive) {
        let upkeep = Upkeep::begin(&**tenure);
        let (due, rescheduled) = watch::channel(upkeep.due);
        let (tell, lost) = oneshot::channel();
        let clock = tenure.context.clock.clone();
        let keeper = Keeper { tenure: Arc::downgrade(tenure), clock, upkeep, rescheduled };
        tokio::spawn(async move {
            if let Some(why) = keeper.run().await {
                let _ = tell.send(why); // to whoever wants to know
            }
        });
        (Keep { due }, KeepAlive { lost: Some(lost) })
    }

    /// The lease was changed: keep to the new one.
    pub(super) fn reschedule(&self, tenure: &Tenure) {
        let _ = self.due.send(next_refresh(tenure)); // or it is lost already
    }
}

/// The task's side.
struct Keeper {
    tenure: Weak<Tenure>,
    clock: Arc<dyn Clock>,
    upkeep: Upkeep,
    rescheduled: watch::Receiver<Duration>,
}

impl Keeper {
    /// Refreshes the lock until it is lost, and says why, or until it is no longer to be kept.
    async fn run(mut self) -> Option<Error> {
        loop {
            let left = self.upkeep.due.saturating_sub(self.clock.now());
            match timeout(left, self.rescheduled.changed()).await {
                Ok(Ok(())) => self.upkeep.due = *self.rescheduled.borrow_and_update(),
                Ok(Err(_)) => return None,
                Err(_) => {
                    let tenure = self.tenure.upgrade()?;
                    let context = tenure.context.clone();
                    let mut upkeep = self.upkeep;
                    let work = move || {
                        let refreshed = refresh(&*tenure);
                        let lost = upkeep.after(refreshed, &*tenure).err();
                        (upkeep, lost)
                    };
                    let (upkeep, lost) = on_pool(context.lock(), work).await.ok()?;
                    self.upkeep = upkeep;
                    // Whoever has given the lock back has not lost it.
                    self.rescheduled.has_changed().ok()?;
                    if lost.is_some() {
                        return lost;
                    }
                }
            }
        }
    }
}
