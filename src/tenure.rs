//! A tenure: the lock while it is ours. Refresh, verify and release.
//!
//! While the lease runs nobody else touches the lock, so its holder acts directly. Once it is over
//! the holder is one among those who may end the incarnation, and plays by their rule: it touches
//! its claim, takes a seat, looks again, and only then acts.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::claim::{Claim, Kept};
use crate::context::Context;
use crate::error::{Error, Operation};
use crate::fs::FileId;
use crate::judge::{self, Incarnation, look_again_for_own};
use crate::names::ClaimName;
use crate::report::report;
use crate::safeguard::Safeguard;
use crate::succession::{self, Caught, Ending, Sitting};

/// The lock, held by a claim of this process.
#[derive(Debug)]
pub(crate) struct Tenure {
    pub(crate) context: Arc<Context>,
    incarnation: Incarnation,
    /// Whoever began it: in a forked child there is no tenure.
    pid: u32,
    /// `None` once it is released or let go of.
    claim: Mutex<Option<Claim>>,
    /// When the lease ends, in nanoseconds of our clock: can be read while a refresh hangs.
    lease_ends: AtomicU64,
    held: AtomicBool,
}

impl Tenure {
    /// The tenure that begins with this claim's link to the lock file.
    pub(crate) fn begin(claim: Claim) -> Tenure {
        let incarnation =
            Incarnation { id: claim.id, claim: claim.name.clone(), expires_at: claim.expires_at() };
        Tenure {
            context: claim.context.clone(),
            incarnation,
            pid: claim.context.processes.pid(),
            lease_ends: AtomicU64::new(nanoseconds(claim.lease.ends)),
            claim: Mutex::new(Some(claim)),
            held: AtomicBool::new(true),
        }
    }

    pub(crate) fn claim_name(&self) -> &ClaimName {
        &self.incarnation.claim
    }

    pub(crate) fn file_id(&self) -> FileId {
        self.incarnation.id
    }

    /// Whether it was neither released nor let go of, by the process that began it.
    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::Acquire) && self.is_ours()
    }

    /// Asked before any lock is taken, which a fork may have left locked.
    pub(crate) fn is_ours(&self) -> bool {
        self.pid == self.context.processes.pid()
    }

    /// How much of the lease is left, by what the last successful refresh made sure of.
    pub(crate) fn remaining(&self) -> Duration {
        if self.held.load(Ordering::Acquire) {
            self.lease_ends().saturating_sub(self.context.now())
        } else {
            Duration::ZERO
        }
    }

    /// For how long the lease has been over.
    pub(crate) fn overdue(&self) -> Duration {
        self.context.now().saturating_sub(self.lease_ends())
    }

    /// When the lease ends, in the server's time.
    pub(crate) fn expires_at(&self) -> SystemTime {
        let (ends, now) = (self.lease_ends(), self.context.now());
        let server_now = self.context.lease_start(now);
        server_now + ends.saturating_sub(now) - now.saturating_sub(ends)
    }

    fn lease_ends(&self) -> Duration {
        Duration::from_nanos(self.lease_ends.load(Ordering::Acquire))
    }

    pub(crate) fn lifetime(&self) -> Duration {
        self.lock_claim().as_ref().map_or(Duration::ZERO, |claim| claim.lifetime)
    }

    pub(crate) fn set_lifetime(&self, lifetime: Duration) {
        if let Some(claim) = self.lock_claim().as_mut() {
            claim.lifetime = lifetime;
        }
    }

    /// Makes the lease a whole lifetime from now.
    pub(crate) fn refresh(&self) -> Result<(), Error> {
        self.with_claim(|claim| {
            let in_time = claim.is_fresh() && self.refresh_in_time(claim)?;
            if !in_time {
                self.refresh_late(claim)?;
            }
            self.lease_ends.store(nanoseconds(claim.lease.ends), Ordering::Release);
            Ok(())
        })
    }

    /// Touches the claim and sees that it is still the lock file. False if that took so long that
    /// the lease which made it safe is over.
    fn refresh_in_time(&self, claim: &mut Claim) -> Result<bool, Error> {
        let safe_until = claim.lease;
        for _ in 0..2 {
            let before = self.context.now();
            if claim.touch()? == Kept::Swept {
                self.restore(claim)?;
                continue;
            }
            let Some(attr) = judge::linked(claim)? else {
                return Err(self.lost());
            };
            // The touch has shown what time it is on the server now.
            self.context.server.set(attr.ctime, before, self.context.now());
            // If its clock was set forward, the end that we have written is too near: once more.
            let ends = attr.mtime.checked_add(self.context.clock_slop / 2);
            if ends.is_none_or(|ends| ends >= attr.ctime + claim.lifetime) {
                break;
            }
        }
        Ok(safe_until.runs(self.context.now()))
    }

    /// Gives a claim that somebody removed its name back, from the lock file: while the lease
    /// runs, that is ours.
    fn restore(&self, claim: &Claim) -> Result<(), Error> {
        match judge::look(&self.context)? {
            judge::Sight::Held(held, _) if held.is(&self.incarnation) => self
                .context
                .fs
                .link(self.context.lock(), &claim.path)
                .map_err(Error::io(Operation::Link, &claim.path)),
            other => Err(self.lost_to(other)),
        }
    }

    /// Renews a lease that is over, if nobody has ended it.
    fn refresh_late(&self, claim: &mut Claim) -> Result<(), Error> {
        if !Safeguard::LateHolderTakesSeat.stands() {
            return self.refresh_in_time(claim).map(|_| ());
        }
        let mut backoff = self.context.backoff();
        loop {
            match succession::sit_down(claim, &self.incarnation, look_again_for_own)? {
                Sitting::Seated(seat) => {
                    seat.leave();
                    return Ok(());
                }
                Sitting::Gone | Sitting::Swept => return Err(self.lost()),
                // Somebody may be ending it right now: it is over in a moment, one way or another.
                Sitting::NotNow => self.context.pause(&mut backoff, Duration::MAX),
            }
        }
    }

    /// Whether the lock is ours and its lease runs.
    pub(crate) fn verify(&self) -> Result<(), Error> {
        if self.with_claim(|claim| judge::linked(claim))?.is_none() {
            return Err(self.lost());
        }
        if self.remaining().is_zero() {
            return Err(Error::Expired { path: self.path(), ago: self.overdue(), error: None });
        }
        Ok(())
    }

    /// Gives the lock back. Whatever comes of it, this tenure is over.
    pub(crate) fn release(&self) -> Result<(), Error> {
        if !self.is_ours() {
            return Ok(());
        }
        self.held.store(false, Ordering::Release);
        let Some(mut claim) = self.lock_claim().take() else { return Ok(()) }; // done before
        let released = match (claim.is_fresh(), self.context.is_local()) {
            (true, true) => self.unlink(&claim),
            (true, false) => self.take_away(&claim),
            (false, _) => self.release_late(&mut claim),
        };
        released.and(claim.remove())
    }

    /// Where nothing that is asked for is done twice, the lock file is simply removed.
    fn unlink(&self, claim: &Claim) -> Result<(), Error> {
        if judge::linked(claim)?.is_none() {
            return Err(self.lost());
        }
        let lock = self.context.lock();
        self.context.remove(lock).map_err(Error::io(Operation::Remove, lock))
    }

    /// Where it may be, only what was looked at afterwards is sure.
    fn take_away(&self, claim: &Claim) -> Result<(), Error> {
        match succession::take_away(claim, &self.incarnation)? {
            Caught::Expected => Ok(()),
            Caught::Nothing | Caught::Another => Err(self.lost()),
        }
    }

    fn release_late(&self, claim: &mut Claim) -> Result<(), Error> {
        if !Safeguard::LateHolderTakesSeat.stands() {
            return self.unlink(claim);
        }
        let mut backoff = self.context.backoff();
        loop {
            match succession::end(claim, &self.incarnation, look_again_for_own)? {
                Ending::Ended => return Ok(()),
                Ending::Gone | Ending::Swept => return Err(self.lost()),
                Ending::NotNow => self.context.pause(&mut backoff, Duration::MAX),
                Ending::Forbidden(error) => {
                    return Err(Error::io(Operation::Rename, self.context.lock())(error));
                }
            }
        }
    }

    /// Ends the tenure without releasing the lock, once `hand_over` has made it another's. The
    /// claim is of no use then, and goes.
    pub(crate) fn let_go(
        &self,
        hand_over: impl FnOnce(&Claim) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.with_claim(|claim| hand_over(claim))?;
        self.held.store(false, Ordering::Release);
        drop(self.lock_claim().take());
        Ok(())
    }

    /// Does something with the claim, unless there is no tenure any more or never was in this
    /// process.
    fn with_claim<T>(&self, act: impl FnOnce(&mut Claim) -> Result<T, Error>) -> Result<T, Error> {
        if self.is_ours() {
            if let Some(claim) = self.lock_claim().as_mut() {
                return act(claim);
            }
        }
        Err(self.lost())
    }

    fn lock_claim(&self) -> MutexGuard<'_, Option<Claim>> {
        self.claim.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self) -> std::path::PathBuf {
        self.context.lock().to_owned()
    }

    /// Says who has the lock instead.
    pub(crate) fn lost(&self) -> Error {
        match judge::look(&self.context) {
            Ok(sight) => self.lost_to(sight),
            Err(error) => error,
        }
    }

    fn lost_to(&self, sight: judge::Sight) -> Error {
        Error::Lost { path: self.path(), now: sight.successor() }
    }

    /// [`release`](Self::release), where nobody can be told how it went.
    pub(crate) fn close(&self) {
        if let Err(error) = self.release() {
            report!(error, "a lock was not released as it should be");
        }
    }
}

impl Drop for Tenure {
    fn drop(&mut self) {
        self.close();
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX) // in some 584 years
}
