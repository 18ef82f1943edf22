//! The claim cache: keeps a handle's claim from one tenure to the next, if the options ask for
//! that.
//!
//! Only a claim whose lease runs, and has run ever since it was made, is linked again: no sweeper
//! has touched it, and no breaker has ever found it stale, since both wait until the lease has been
//! expired for the clock slop. So its tenures have no seats, and a breaker of one of them never
//! finds another of the same claim in its place. A claim that may still be in a seat of another
//! incarnation is not kept either: the seat looks taken for as long as the claim is touched.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::error::Error;
use crate::model::context::Context;
use crate::model::safeguard::Safeguard;
use crate::protocol::claim::{Claim, unless_swept};

/// Holds at most one claim, which is removed with the cache.
#[derive(Debug, Default)]
pub(crate) struct ClaimCache {
    claim: Mutex<Option<Box<Claim>>>,
}

impl ClaimCache {
    /// A claim for the next tenure: the cached one, if it is still good, or a new one.
    pub(crate) fn take(
        &self,
        context: &Arc<Context>,
        lifetime: Duration,
    ) -> Result<Box<Claim>, Error> {
        let kept = self.claim.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut claim) = kept.filter(|claim| is_good(claim)) {
            claim.lifetime = lifetime;
            if unless_swept(claim.renew())?.is_some() {
                return Ok(claim);
            }
        }
        Claim::make_to_contend(context, lifetime)
    }

    /// Keeps a claim that was not linked, or whose tenure has ended within its lease. Where claims
    /// are not to be kept, it is removed.
    pub(crate) fn put(&self, claim: Box<Claim>) {
        let was_late = claim.was_late && Safeguard::NeverLateAgain.stands();
        if !claim.context.config.keep_claim || was_late || claim.forfeited.is_some() {
            return;
        }
        let other = self.claim.lock().unwrap_or_else(PoisonError::into_inner).replace(claim);
        drop(other); // removes it, now that the mutex is released
    }
}

/// Whether a cached claim can be used again. A forked child finds its parent's claim here.
fn is_good(claim: &Claim) -> bool {
    claim.is_ours() && (claim.has_lease() || !Safeguard::UnexpiredFromCache.stands())
}
