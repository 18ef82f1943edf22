//! One attempt for each slot that looks as if it could be acquired.

use std::time::Duration;

use super::Slots;
use crate::error::Error;
use crate::holder::{Holder, Obstacle};
use crate::lock::Lock;
use crate::protocol::observe::{Observation, observe};
use crate::protocol::tenure::Tenure;
use crate::sys::process::Life;
use crate::wait::limit::WaitLimit;
use crate::wait::park::Park;

/// A slot's number, and the tenure of its lock.
pub(super) type Acquired = (usize, Tenure);

impl Slots {
    /// Tries those slots once that look as if they could be acquired.
    pub(super) async fn try_those(
        &self,
        slots: &[usize],
        looks_good: impl Fn(&Lock) -> bool,
        parker: &impl Park,
    ) -> Result<Option<Acquired>, Error> {
        for slot in slots {
            let lock = &self.locks[*slot];
            if looks_good(lock) {
                let limit = WaitLimit::<fn(&Obstacle) -> Duration>::None;
                match lock.contend(lock.begin_acquisition(), limit, parker).await {
                    Ok(tenure) => return Ok(Some((*slot, tenure))),
                    Err(error) if error.is_contention() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(None)
    }
}

pub(super) fn holder(lock: &Lock) -> Option<Holder> {
    match observe(&lock.context) {
        Ok(Observation::Held(_, holder)) => Some(holder),
        _ => None,
    }
}

/// Whether the lock looks free.
pub(super) fn is_free(lock: &Lock) -> bool {
    matches!(lock.context.machine.find(lock.path()), Ok(None))
}

/// Whether the lock looks free or stale.
pub(super) fn may_be_acquired(lock: &Lock) -> bool {
    is_free(lock)
        || holder(lock).is_some_and(|holder| holder.is_expired() || holder.life() == Life::Dead)
}
