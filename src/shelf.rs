//! Where a handle keeps its claim between one tenure and the next, if it was asked to.
//!
//! Only a claim whose lease runs is linked again: no sweeper has touched it, and no breaker ever
//! judged it, since both wait until the lease has been over for the clock slop. For the same reason
//! only a tenure that ended within its lease gives its claim back. So whoever is about to break one
//! tenure never finds another of the same claim in its place.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::claim::{Claim, Kept};
use crate::context::Context;
use crate::error::Error;
use crate::safeguard::Safeguard;

/// Room for one claim, which is removed with it.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    claim: Mutex<Option<Claim>>,
}

impl Shelf {
    /// A claim for a tenure to come: the one that is here, if it is good for that, or a new one.
    pub(crate) fn take(&self, context: &Arc<Context>, lifetime: Duration) -> Result<Claim, Error> {
        let kept = self.claim.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut claim) = kept.filter(is_good) {
            claim.lifetime = lifetime;
            if claim.renew()? == Kept::Yes {
                return Ok(claim);
            }
        }
        Claim::make(context, lifetime)
    }

    /// Keeps a claim that was not linked, or whose tenure has ended within its lease; where claims
    /// are not to be kept, it is removed.
    pub(crate) fn put(&self, claim: Claim) {
        if !claim.context.keep_claim {
            return;
        }
        let other = self.claim.lock().unwrap_or_else(PoisonError::into_inner).replace(claim);
        drop(other); // and removed, while nobody waits for that
    }
}

/// A forked child finds its parent's claim here.
fn is_good(claim: &Claim) -> bool {
    claim.is_ours() && (claim.is_fresh() || !Safeguard::FreshFromShelf.stands())
}
