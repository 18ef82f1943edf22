//! Where a handle keeps its claim between one tenure and the next, if it was asked to.
//!
//! Only a claim whose lease runs, and has run ever since it was made, is linked again: no sweeper has
//! touched it, and no breaker ever judged it, since both wait until the lease has been over for the
//! clock slop. So there is no seat of its tenures, and a breaker of one of them never finds another of
//! the same claim in its place. A claim that may still be in a seat of another's is not kept either:
//! for as long as it is touched the seat looks taken.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::error::Error;
use crate::model::context::Context;
use crate::model::safeguard::Safeguard;
use crate::protocol::claim::{Claim, unless_swept};

/// Room for one claim, which is removed with it.
#[derive(Debug, Default)]
pub(crate) struct ClaimCache {
    claim: Mutex<Option<Claim>>,
}

impl ClaimCache {
    /// A claim for a tenure to come: the one that is here, if it is good for that, or a new one.
    pub(crate) fn take(&self, context: &Arc<Context>, lifetime: Duration) -> Result<Claim, Error> {
        let kept = self.claim.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut claim) = kept.filter(is_good) {
            claim.lifetime = lifetime;
            if unless_swept(claim.renew())?.is_some() {
                return Ok(claim);
            }
        }
        Claim::make(context, lifetime)
    }

    /// Keeps a claim that was not linked, or whose tenure has ended within its lease; where claims
    /// are not to be kept, it is removed.
    pub(crate) fn put(&self, claim: Claim) {
        let was_late = claim.was_late && Safeguard::NeverLateAgain.stands();
        if !claim.context.keep_claim || was_late || claim.forfeited.is_some() {
            return;
        }
        let other = self.claim.lock().unwrap_or_else(PoisonError::into_inner).replace(claim);
        drop(other); // and removed, while nobody waits for that
    }
}

/// A forked child finds its parent's claim here.
fn is_good(claim: &Claim) -> bool {
    claim.is_ours() && (claim.has_lease() || !Safeguard::FreshFromShelf.stands())
}
