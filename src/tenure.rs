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
use crate::judge::{self, Incarnation, has_lock_file, linked, look_again_for_own, names_claim};
use crate::lease::{nanoseconds, since_epoch};
use crate::names::ClaimName;
use crate::queue::Turn;
use crate::report;
use crate::safeguard::Safeguard;
use crate::shelf::Shelf;
use crate::succession::{self, Aside, Caught, Ending, Sitting};

/// The lock, held by a claim of this process.
#[derive(Debug)]
pub(crate) struct Tenure {
    pub(crate) context: Arc<Context>,
    incarnation: Incarnation,
    /// Its fencing token, if it has one.
    pub(crate) token: Option<u64>,
    /// Whoever began it: in a forked child there is no tenure.
    pid: u32,
    /// `None` once it is released or let go of.
    claim: Mutex<Option<Claim>>,
    /// When the lease ends, in nanoseconds of our clock: can be read while a refresh hangs.
    lease_ends: AtomicU64,
    /// The same in the server's time, in nanoseconds since 1970.
    expires_at: AtomicU64,
    /// How long a lease is to be, in nanoseconds.
    lifetime: AtomicU64,
    held: AtomicBool,
    /// The place at the head of this host's queue, if it was won there: for the next in line.
    turn: Mutex<Option<Turn>>,
    /// Where the claim goes if the tenure ends within its lease.
    shelf: Option<Arc<Shelf>>,
    /// What was told of it: nothing before it is handed out.
    pub(crate) told: report::Holding,
}

/// How a tenure came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    WithinLease,
    Late,
}

impl Tenure {
    /// The tenure that begins with this claim's link to the lock file.
    pub(crate) fn begin(claim: Claim) -> Tenure {
        let incarnation =
            Incarnation { id: claim.id, claim: claim.name.clone(), expires_at: claim.expires_at() };
        Tenure {
            context: claim.context.clone(),
            incarnation,
            token: None,
            pid: claim.context.processes.pid(),
            lease_ends: AtomicU64::new(nanoseconds(claim.lease.ends)),
            expires_at: AtomicU64::new(since_epoch(claim.expires_at())),
            lifetime: AtomicU64::new(nanoseconds(claim.lifetime)),
            claim: Mutex::new(Some(claim)),
            held: AtomicBool::new(true),
            turn: Mutex::default(),
            shelf: None,
            told: report::Holding::default(),
        }
    }

    /// The same tenure, won at the head of the queue.
    pub(crate) fn with_turn(mut self, turn: Option<Turn>) -> Tenure {
        self.turn = Mutex::new(turn);
        self
    }

    /// The same tenure, whose claim is to be linked again one day, if claims are kept.
    pub(crate) fn giving_back_to(mut self, shelf: &Arc<Shelf>) -> Tenure {
        self.shelf = self.context.keep_claim.then(|| shelf.clone());
        self
    }

    pub(crate) fn claim(&self) -> &ClaimName {
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
        self.lease_ends().saturating_sub(self.context.now())
    }

    /// Whether nearly all of its lease is left, so that it can be handed out.
    pub(crate) fn is_nearly_whole(&self) -> bool {
        self.remaining() >= self.lifetime() * 7 / 8
    }

    /// For how long the lease has been over.
    pub(crate) fn overdue(&self) -> Duration {
        self.context.now().saturating_sub(self.lease_ends())
    }

    /// When the lease ends, in the server's time.
    pub(crate) fn expires_at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.expires_at.load(Ordering::Acquire))
    }

    fn lease_ends(&self) -> Duration {
        Duration::from_nanos(self.lease_ends.load(Ordering::Acquire))
    }

    pub(crate) fn lifetime(&self) -> Duration {
        Duration::from_nanos(self.lifetime.load(Ordering::Acquire))
    }

    pub(crate) fn set_lifetime(&self, lifetime: Duration) {
        self.lifetime.store(nanoseconds(lifetime), Ordering::Release);
    }

    /// Whether nobody else may touch the lock yet. It is not enough that the claim is fresh: a
    /// holder that is late touches its claim before it knows whether the lock is still its own.
    fn is_in_time(&self) -> bool {
        !self.remaining().is_zero()
    }

    /// Makes the lease a whole lifetime from now.
    pub(crate) fn refresh(&self) -> Result<(), Error> {
        let refreshed = self.with_claim(|claim| {
            claim.lifetime = self.lifetime();
            let in_time = self.is_in_time() && self.refresh_in_time(claim)?;
            if !in_time {
                self.refresh_late(claim)?;
            }
            self.expires_at.store(since_epoch(claim.expires_at()), Ordering::Release);
            Ok(claim.lease.ends)
        });
        let ends = match &refreshed {
            Ok(ends) => *ends,
            // Whatever was left of it, it is of no use.
            Err(Error::Lost { .. }) => self.lease_ends().min(self.context.now()),
            Err(_) => self.lease_ends(),
        };
        let ended = self.lease_ends.swap(nanoseconds(ends), Ordering::AcqRel);
        if self.is_held() {
            let (ended, told) = (Duration::from_nanos(ended), refreshed.as_ref().copied());
            self.told.refreshed(&self.context, self.context.lock(), ended, told);
        }
        refreshed.map(|_| ())
    }

    /// Touches the claim and sees that it is still the lock file. False if that took so long that
    /// the lease which made it safe is over.
    fn refresh_in_time(&self, claim: &mut Claim) -> Result<bool, Error> {
        for _ in 0..2 {
            let before = self.context.now();
            let kept = claim.touch()? == Kept::Yes;
            // Where it was swept an NFS client may touch it all the same: one name is not enough.
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

    /// Gives a claim that somebody has removed (say, whoever cleans up temporary files) its name
    /// back, if the lock file is still ours; says whether it is.
    fn restore(&self, claim: &mut Claim) -> Result<bool, Error> {
        if !names_claim(claim)? {
            return Ok(false);
        }
        claim.restore(self.context.lock())?;
        // The lock file may have become another's in between: its inode must not keep our name.
        let is_ours = claim.is_there()?;
        if !is_ours {
            claim.remove()?;
        }
        Ok(is_ours)
    }

    /// Renews a lease that is over, if nobody has ended it.
    fn refresh_late(&self, claim: &mut Claim) -> Result<(), Error> {
        if !Safeguard::LateHolderTakesSeat.stands() {
            return self.refresh_in_time(claim).map(|_| ());
        }
        let mut backoff = self.context.backoff();
        let mut restored = false;
        loop {
            match succession::sit_down(claim, &self.incarnation, look_again_for_own)? {
                Sitting::Seated(seat) => {
                    seat.leave();
                    if claim.is_fresh() {
                        return Ok(());
                    }
                }
                Sitting::Swept => {
                    if restored || !self.restore(claim)? {
                        return Err(self.lost());
                    }
                    restored = true;
                }
                Sitting::Gone => return Err(self.lost()),
                // Somebody may be ending it right now: it is over in a moment, one way or another.
                Sitting::NotNow => self.context.pause(&mut backoff, Duration::MAX),
            }
        }
    }

    /// Whether the lock is ours and its lease runs.
    pub(crate) fn verify(&self) -> Result<(), Error> {
        if !self.with_claim(|claim| has_lock_file(claim))? {
            return Err(self.told.lost(self.context.lock(), self.lost()));
        }
        if !self.is_in_time() {
            return Err(self.expired());
        }
        Ok(())
    }

    /// Gives the lock back. Whatever comes of it, this tenure is over.
    pub(crate) fn release(&self) -> Result<(), Error> {
        if !self.is_ours() {
            return Err(self.lost());
        }
        let mut place = self.lock_claim(); // until it is done: who wants it done too waits for that
        let Some(mut claim) = place.take() else { return Ok(()) }; // done before
        self.abandon();
        let released = if self.context.is_local() {
            self.unlink(&mut claim)
        } else {
            self.take_away(&mut claim)
        };
        self.pass_turn();
        self.context.courtesy.released(self.context.now());
        let released = match (released, &self.shelf) {
            (Ok(End::WithinLease), Some(shelf)) => {
                shelf.put(claim);
                Ok(())
            }
            (released, _) => released.and(claim.remove()).map(|_| ()),
        };
        drop(place);
        let (ends, told) = (self.lease_ends(), released.as_ref().copied());
        self.told.released(&self.context, self.context.lock(), ends, told);
        released
    }

    /// Where nothing that is asked for is done twice, the lock file is simply removed. Whoever takes
    /// a lock again and again has asked for no more than that.
    fn unlink(&self, claim: &mut Claim) -> Result<End, Error> {
        if self.shelf.is_none() && !has_lock_file(claim)? {
            return Err(self.lost());
        }
        // One operation follows the check.
        if !self.is_in_time() && Safeguard::LateHolderTakesSeat.stands() {
            return self.release_late(claim);
        }
        let lock = self.context.lock();
        let removed = self.context.remove(lock).map_err(Error::io(Operation::Remove, lock))?;
        self.pass_turn();
        if removed { Ok(End::WithinLease) } else { Err(self.lost()) }
    }

    /// Where it may be, only what was looked at afterwards is sure.
    fn take_away(&self, claim: &mut Claim) -> Result<End, Error> {
        if !self.is_in_time() && Safeguard::LateHolderTakesSeat.stands() {
            return self.release_late(claim);
        }
        let is_own = |caught: &Aside| claim.is_surely(&caught.attr) || caught.is(&self.incarnation);
        let caught = succession::take_away(claim, is_own)?;
        self.pass_turn();
        match caught {
            Caught::Expected => Ok(End::WithinLease),
            Caught::Nothing | Caught::Another => Err(self.lost()),
        }
    }

    /// Wakes the next in line, if there is one.
    fn pass_turn(&self) {
        drop(self.turn.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn release_late(&self, claim: &mut Claim) -> Result<End, Error> {
        let mut backoff = self.context.backoff();
        let mut restored = false;
        loop {
            match succession::end(claim, &self.incarnation, look_again_for_own)? {
                Ending::Ended => return Ok(End::Late),
                Ending::Swept => {
                    if restored || !self.restore(claim)? {
                        return Err(self.lost());
                    }
                    restored = true;
                }
                Ending::Gone => return Err(self.lost()),
                Ending::NotNow => self.context.pause(&mut backoff, Duration::MAX),
                Ending::Forbidden(error) => {
                    return Err(Error::io(Operation::Rename, self.context.lock())(error));
                }
            }
        }
    }

    /// Ends the tenure without releasing the lock: makes sure of its lease before `hand_over` makes
    /// it another's in one operation. The claim is of no use then, and goes.
    pub(crate) fn let_go(
        &self,
        hand_over: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.with_claim(|_| {
            if !self.is_in_time() {
                return Err(self.expired());
            }
            // Who can't tell whether the lock is another's by now may only act on it as one who is
            // late does.
            let handed_over = hand_over();
            self.lease_ends.store(nanoseconds(self.context.now()), Ordering::Release);
            handed_over
        })?;
        let _claim = self.lock_claim().take(); // dropped last
        self.abandon();
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

    fn expired(&self) -> Error {
        Error::Expired { path: self.context.lock().into(), ago: self.overdue(), error: None }
    }

    /// Says who has the lock instead.
    pub(crate) fn lost(&self) -> Error {
        match judge::look(&self.context) {
            Ok(sight) => Error::Lost { path: self.context.lock().into(), now: sight.successor() },
            Err(error) => error,
        }
    }

    /// It is held no more, whenever it is [closed](Self::close).
    pub(crate) fn abandon(&self) {
        self.held.store(false, Ordering::Release);
    }

    /// [`release`](Self::release), unless that is done, where nobody can be told how it went.
    pub(crate) fn close(&self) {
        if self.is_ours() {
            if let Err(error) = self.release() {
                report::not_released(self.context.lock(), &error);
            }
        }
    }
}

impl Drop for Tenure {
    fn drop(&mut self) {
        self.close();
    }
}
