//! Releasing: gives the lock back.
//!
//! 1. Remove the claim. A server may delay that for minutes (a delegation of a client that died, a
//!    grace period), and execute it then, which is harmless, since the name is this tenure's alone.
//!    Whatever delayed it delays no later request on the inode. The lease is kept alive meanwhile,
//!    as far as the system allows: Linux's NFS client makes a touch of the same inode wait for the
//!    removal.
//! 2. Check the clock. While the lease runs no other process touches the lock file: take it away.
//! 3. If the lease has expired by then, another process may have ended the tenure, or be about to:
//!    end it as any other process would, with a new claim, by its seat.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Tenure;
use crate::error::{Error, Operation};
use crate::model::nonce::Nonce;
use crate::model::safeguard::Safeguard;
use crate::protocol::claim::{Claim, unless_swept};
use crate::protocol::observe::{has_lock_file, recheck_own};
use crate::protocol::takeover::{
    Aside, Caught, TakeoverOutcome, take_away, take_over, touch_lock_file,
};
use crate::protocol::wake_up::wake_next;
use crate::sys::errno::{is_estale, is_forbidden, is_gone};
use crate::sys::inotify;
use crate::wait::hints::Hints;
use crate::wait::waiter::let_others_first;

/// How a tenure ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    WithinLease,
    Late,
}

/// Whether the claim is gone, and all delayed requests are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cleared {
    Yes,
    /// The claim is gone, but another process has removed it, and may be about to take the lock
    /// file away.
    ByAnother,
    No,
}

/// How many seats, whose owners died in them one after another, a late holder waits for. It has
/// nothing else to do, and under [`StalePolicy::Never`](crate::StalePolicy) no other process would
/// end the tenure.
const SEATS_TO_RELEASE: u32 = 64;

/// How often to ask for a removal to which NFS or FUSE answers ESTALE.
const ATTEMPTS: u32 = 8;

impl Tenure {
    /// Gives the lock back. Whether or not that succeeds, this tenure has ended.
    pub(crate) fn release(&self) -> Result<(), Error> {
        if !self.is_ours() {
            return Err(self.lost());
        }
        self.abandon();
        let _alone = self.release.lock();
        let cleared = self.clear_the_way();
        let mut place = self.lock_claim(); // held until done: another release waits for it
        let Some(mut claim) = place.take() else { return Ok(()) }; // already released
        let released = cleared.and_then(|cleared| Ok((cleared, self.end(&mut claim, cleared)?)));
        self.hand_off();
        self.context.memory.fairness.released(self.context.now());
        if released.is_ok() {
            claim.remove_seats_left();
        }
        let released = match (released, &self.claim_cache) {
            (Ok((_, End::WithinLease)), Some(claim_cache)) => {
                claim_cache.put(claim);
                Ok(())
            }
            (Ok((Cleared::Yes | Cleared::ByAnother, _)), _) => {
                claim.let_go(); // it is gone
                Ok(())
            }
            (released, _) => released.and(claim.remove()).map(|_| ()),
        };
        drop(place);
        let (ends, outcome) = (self.lease_ends(), released.as_ref().copied());
        self.events.released(&self.context, self.context.lock_path(), ends, outcome);
        inotify::close_one();
        released
    }

    /// First makes the requests that may be delayed for long, where they can do no harm.
    fn clear_the_way(&self) -> Result<Cleared, Error> {
        let mut place = self.lock_claim();
        let Some(claim) = place.as_mut() else { return Ok(Cleared::No) }; // already released
        if self.context.is_local() && !has_lock_file(claim)? {
            return Err(self.lost());
        }
        // Where others may act on the lock too, the claim is removed in the seat.
        if self.is_shared() || !Safeguard::ClaimFirst.stands() {
            return Ok(Cleared::No);
        }
        if self.claim_cache.is_some() {
            // The claim stays, but a touch of it has to wait for the same delay. Without
            // delegations of a server there is no delay.
            if !self.context.is_this_machines_alone() && claim.touch().is_err() {
                touch_lock_file(&self.context)?;
            }
            return Ok(Cleared::No);
        }
        claim.close();
        let path = claim.path.clone();
        self.releasing.store(true, Ordering::Release); // from here on it is not restored
        drop(place);
        match self.context.machine.remove(&path).or_else(|_| self.context.machine.remove(&path)) {
            Ok(true) => Ok(Cleared::Yes),
            // Another process is breaking the lock, on purpose, or has swept the claim.
            Ok(false) if Safeguard::ClaimGoneTakesSeat.stands() => Ok(Cleared::ByAnother),
            Ok(false) => touch_lock_file(&self.context).map(|()| Cleared::Yes),
            Err(error) if is_forbidden(&error) => Ok(Cleared::No),
            // There was no answer: what follows might be executed at any time.
            Err(error) => Err(Error::io(Operation::Remove, &path)(error)),
        }
    }

    /// Takes the lock file away.
    fn end(&self, claim: &mut Claim, cleared: Cleared) -> Result<End, Error> {
        if cleared == Cleared::ByAnother {
            return self.end_late(claim);
        }
        // Only one operation follows the check.
        if !self.may_act_alone() && Safeguard::LateHolderTakesSeat.stands() {
            return self.end_late(claim);
        }
        let ended = if self.context.is_local() { self.unlink(claim) } else { self.rename(claim) };
        self.hand_off();
        ended
    }

    /// Where no request is executed twice, the lock file is simply removed.
    fn unlink(&self, claim: &mut Claim) -> Result<End, Error> {
        let lock = self.context.lock_path();
        for attempt in 0..ATTEMPTS {
            match self.context.machine.fs.unlink(lock) {
                Ok(()) => {
                    self.wake_hinted(claim.hints.as_mut(), &claim.name.nonce);
                    return Ok(End::WithinLease);
                }
                // The first request may have done it.
                Err(error) if is_gone(&error) && attempt > 0 => return Ok(End::WithinLease),
                Err(error) if is_gone(&error) => return Err(self.lost()),
                Err(error) if !is_estale(&error) || attempt + 1 == ATTEMPTS => {
                    return Err(Error::io(Operation::Remove, lock)(error));
                }
                Err(_) if self.may_act_alone() => {}
                Err(_) => return self.end_late(claim),
            }
        }
        unreachable!("the last attempt returns")
    }

    /// If a request may be executed twice, only checking the result is certain.
    fn rename(&self, claim: &mut Claim) -> Result<End, Error> {
        let mut hints = claim.hints.take();
        let is_own = |caught: &Aside| {
            let is_own = claim.is_surely(&caught.attr) || caught.is(&self.incarnation);
            if is_own {
                self.wake_hinted(hints.as_mut(), &claim.name.nonce); // the lock is free now
            }
            is_own
        };
        let caught = take_away(claim, is_own);
        claim.hints = hints;
        match caught? {
            Caught::Expected => Ok(End::WithinLease),
            Caught::Nothing | Caught::Another => Err(self.lost()),
        }
    }

    /// Ends the tenure as a breaker does, unless another process has ended it.
    fn end_late(&self, own: &mut Claim) -> Result<End, Error> {
        let (mut backoff, until) =
            (self.context.config.backoff(), self.decided_by(SEATS_TO_RELEASE));
        let mut breaker = Claim::make(&self.context, self.lifetime())?;
        let mut swept = false;
        while self.context.now() <= until {
            let outcome = take_over(&mut breaker, &self.incarnation, |_| recheck_own(own));
            match unless_swept(outcome)? {
                Some(TakeoverOutcome::Ended) => {
                    self.wake_hinted(own.hints.as_mut(), &own.name.nonce);
                    return Ok(End::Late);
                }
                Some(TakeoverOutcome::Gone) => return Err(self.lost()),
                Some(TakeoverOutcome::NotNow) if breaker.forfeited.is_none() => {}
                None if swept => return Err(self.lost()),
                outcome @ (Some(TakeoverOutcome::NotNow) | None) => {
                    swept = outcome.is_none();
                    breaker = Claim::make(&self.context, self.lifetime())?;
                }
                Some(TakeoverOutcome::Forbidden(error)) => {
                    return Err(Error::io(Operation::Rename, self.context.lock_path())(error));
                }
            }
            self.context.pause(&mut backoff, Duration::MAX);
        }
        Err(self.expired())
    }

    /// Wakes the waiter on another machine that has asked first, as soon as the lock is free.
    fn wake_hinted(&self, hints: Option<&mut Hints>, nonce: &Nonce) {
        if hints.is_some_and(|hints| wake_next(hints, nonce)) {
            self.context.memory.fairness.heard_hint(self.context.now());
            self.left_to_others.store(true, Ordering::Relaxed);
        }
    }

    /// Wakes this host's next waiter in line, if there is one. If another machine's has been woken,
    /// that one comes first.
    fn hand_off(&self) {
        let mut token = self.turn.lock().unwrap_or_else(PoisonError::into_inner).take();
        if self.left_to_others.load(Ordering::Relaxed) {
            token.as_mut().map(let_others_first);
        }
    }
}
