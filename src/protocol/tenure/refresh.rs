//! Refreshing: extends the lease to a whole lifetime from now, in time or late.
//!
//! While the lease runs a touch of the claim is enough, with a check that it is still the lock file.
//! Once the lease has expired, or where others may act on the lock too, the holder wins a seat of its
//! own tenure and rechecks: if the lock is still its own, the touch before that has renewed it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Tenure;
use crate::error::Error;
use crate::model::lease::{nanoseconds, since_epoch};
use crate::model::safeguard::Safeguard;
use crate::protocol::claim::{Claim, unless_swept};
use crate::protocol::observe::{claim_in, linked, names_claim, recheck_own};
use crate::protocol::takeover::{Sitting, sit_down};

/// How many seats, whose owners died in them one after another, a late holder waits for.
const SEATS_TO_REFRESH: u32 = 4;

impl Tenure {
    /// Extends the lease to a whole lifetime from now.
    pub(crate) fn refresh(&self) -> Result<(), Error> {
        let mut ended = self.lease_ends();
        if self.is_released() {
            return Ok(()); // kept alive until its release is done, and no longer
        }
        let refreshed = self.with_claim(|claim| {
            claim.lifetime = self.lifetime();
            ended = self.believe_no_more_than(claim.lifetime);
            let refreshed = self.refresh_with(claim);
            // Before another refresh begins, whose lease may be shorter.
            match &refreshed {
                Ok(ends) => self.lease_ends.store(nanoseconds(*ends), Ordering::Release),
                // The rest of the lease is worthless.
                Err(Error::Lost { .. }) => {
                    self.lease_ends.fetch_min(nanoseconds(self.context.now()), Ordering::AcqRel);
                }
                Err(_) => {}
            }
            refreshed
        });
        if self.is_held() {
            let outcome = refreshed.as_ref().copied();
            self.events.refreshed(&self.context, self.context.lock_path(), ended, outcome);
        }
        refreshed.map(|_| ())
    }

    /// Refreshes the lease, in the way that its state requires; returns when it ends.
    fn refresh_with(&self, claim: &mut Claim) -> Result<Duration, Error> {
        if self.releasing.load(Ordering::Acquire) {
            return self.refresh_until_released(claim);
        }
        if self.is_shared() {
            self.refresh_shared(claim)?;
        } else if !(self.is_in_time() && self.refresh_in_time(claim)?) {
            self.refresh_late(claim)?;
        }
        self.expires_at.store(since_epoch(claim.expires_at()), Ordering::Release);
        Ok(claim.lease.ends)
    }

    /// Other processes may read a shorter lease as soon as the touch is requested, whatever comes
    /// of that: so it counts from before the request. Returns the previous end of the lease.
    fn believe_no_more_than(&self, lifetime: Duration) -> Duration {
        let least = nanoseconds(self.context.now().saturating_add(lifetime));
        let least = if Safeguard::LesserLease.stands() { least } else { u64::MAX };
        Duration::from_nanos(self.lease_ends.fetch_min(least, Ordering::AcqRel))
    }

    /// Touches the claim and checks that it is still the lock file. False if that took so long that
    /// the lease which made it safe has expired.
    fn refresh_in_time(&self, claim: &mut Claim) -> Result<bool, Error> {
        for _ in 0..2 {
            let before = self.context.now();
            let kept = unless_swept(claim.touch())?.is_some();
            // Where the claim was swept, an NFS client may touch it all the same: one name is not
            // enough.
            let Some(attr) = kept.then(|| linked(claim)).transpose()?.flatten() else {
                if !Safeguard::SweptClaim.stands() || !self.restore(claim)? {
                    return Err(self.lost());
                }
                continue;
            };
            if claim.learn_time(&attr, before) {
                return Ok(self.is_in_time());
            }
        }
        Ok(false)
    }

    /// While the claim is being removed, the lease is renewed for as long as the claim is there.
    fn refresh_until_released(&self, claim: &mut Claim) -> Result<Duration, Error> {
        let is_there = self.may_act_alone()
            && unless_swept(claim.touch())?.is_some()
            && linked(claim)?.is_some();
        Ok(if is_there { claim.lease.ends } else { self.lease_ends() })
    }

    /// Gives a claim that another process has removed (say, a cleaner of temporary files) its name
    /// back, if the lock file is still ours; returns whether it is.
    fn restore(&self, claim: &mut Claim) -> Result<bool, Error> {
        // A client may believe that the name is already there, until it has looked.
        for _ in 0..2 {
            if !names_claim(claim)? {
                return Ok(false);
            }
            claim.restore(self.context.lock_path())?;
            // The lock file may have become another's in between: its inode must not keep our name.
            // Its number may be the same, but its content is not.
            let says = claim_in(&self.context, &claim.path);
            if claim.is_there()? && says.is_none_or(|name| name == claim.name) {
                return Ok(true);
            }
            claim.remove()?;
        }
        Ok(false)
    }

    /// Renews an expired lease, if no other process has ended the tenure.
    fn refresh_late(&self, claim: &mut Claim) -> Result<(), Error> {
        claim.was_late = true;
        if !Safeguard::LateHolderTakesSeat.stands() {
            return self.refresh_in_time(claim).map(|_| ());
        }
        let (mut backoff, until) =
            (self.context.config.backoff(), self.decided_by(SEATS_TO_REFRESH));
        let mut swept = 0;
        while self.context.now() <= until {
            match unless_swept(sit_down(claim, &self.incarnation, recheck_own))? {
                Some(Sitting::Seated(seat)) => {
                    // What was written before the recheck counts: leaving writes once more.
                    let renewed = seat.lease_of_claim();
                    seat.leave();
                    claim.lease = renewed;
                    if claim.has_lease() {
                        return Ok(());
                    }
                }
                Some(Sitting::Gone) => return Err(self.lost()),
                // A breaker removes the claim before its last recheck.
                None => {
                    swept += 1;
                    if swept > SEATS_TO_REFRESH || !self.restore(claim)? {
                        return Err(self.lost());
                    }
                }
                // Another process may be ending the tenure right now, which is soon decided, one
                // way or the other.
                Some(Sitting::NotNow) => {}
            }
            self.context.pause(&mut backoff, Duration::MAX);
        }
        Err(self.expired())
    }

    /// Renews the lease of a lock that others may act on at the same time, with the same claim. So
    /// another claim takes the seat: with the shared one, two processes could be in one seat.
    fn refresh_shared(&self, claim: &mut Claim) -> Result<(), Error> {
        let (mut backoff, until) =
            (self.context.config.backoff(), self.decided_by(SEATS_TO_REFRESH));
        while self.context.now() <= until {
            if unless_swept(claim.touch())?.is_none() && !self.restore(claim)? {
                return Err(self.lost());
            }
            let mut own = Claim::make(&self.context, claim.lifetime)?;
            match unless_swept(sit_down(&mut own, &self.incarnation, |_| recheck_own(claim)))? {
                Some(Sitting::Seated(seat)) => {
                    seat.leave();
                    if claim.has_lease() {
                        return Ok(());
                    }
                }
                Some(Sitting::Gone) => return Err(self.lost()),
                Some(Sitting::NotNow) | None => {}
            }
            self.context.pause(&mut backoff, Duration::MAX);
        }
        Err(self.expired())
    }
}
