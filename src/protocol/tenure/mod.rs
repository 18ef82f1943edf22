//! A tenure: the lock while this process holds it, to be refreshed, verified and released.
//!
//! While the lease runs no other process touches the lock, so its holder acts directly. Once the
//! lease has expired, the holder is one of the processes that may end the incarnation, and follows
//! their rule: it touches its claim, takes a seat, rechecks, and only then acts.

mod refresh;
mod release;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use crate::error::Error;
use crate::events;
use crate::model::context::Context;
use crate::model::lease::{nanoseconds, since_epoch};
use crate::model::names::ClaimName;
use crate::protocol::claim::Claim;
use crate::protocol::claim_cache::ClaimCache;
use crate::protocol::current_tenure::Occupancy;
use crate::protocol::observe::{self, Evidence, Incarnation, has_lock_file};
use crate::protocol::wake_up::acknowledge;
use crate::sys::handoff_queue::HandoffToken;
use crate::sys::mutex::RequestMutex;

/// The lock, held by a claim of this process.
#[derive(Debug)]
pub(crate) struct Tenure {
    pub(crate) context: Arc<Context>,
    incarnation: Incarnation,
    /// Its fencing token, if it has one.
    pub(crate) token: Option<u64>,
    /// The process that began it: a forked child has no tenure.
    pid: u32,
    /// `None` once it is released or let go of.
    claim: RequestMutex<Option<Box<Claim>>>,
    /// When the lease ends, in nanoseconds of our clock: can be read while a refresh hangs.
    lease_ends: AtomicU64,
    /// The same in the server's time, in nanoseconds since 1970.
    expires_at: AtomicU64,
    /// The intended length of a lease, in nanoseconds.
    lifetime: AtomicU64,
    held: AtomicBool,
    /// Whether its claim is being removed: the first step of its release.
    releasing: AtomicBool,
    /// Whether a waiter on another machine was woken, which is to have the lock next.
    left_to_others: AtomicBool,
    /// Whether other processes may act on it too, within its lease: then its holder follows the
    /// rule for late holders.
    shared: AtomicBool,
    /// Lets one release run at a time: a second waits for the result of the first.
    release: RequestMutex<()>,
    /// The place at the head of this host's queue, if the lock was won there: for the next waiter
    /// in line.
    turn: Mutex<Option<HandoffToken>>,
    /// The cache that gets the claim if the tenure ends within its lease.
    claim_cache: Option<Arc<ClaimCache>>,
    /// The events while it is held: none before the tenure is handed out.
    pub(crate) events: events::Holding,
}

impl Tenure {
    /// The tenure that begins with this claim's link to the lock file.
    pub(crate) fn begin(claim: Box<Claim>) -> Tenure {
        let (id, name) = (claim.id, claim.name.clone());
        let incarnation = Incarnation { id, claim: name, evidence: Evidence::Content };
        Tenure {
            context: claim.context.clone(),
            incarnation,
            token: None,
            pid: claim.context.machine.processes.pid(),
            lease_ends: AtomicU64::new(nanoseconds(claim.lease.ends)),
            expires_at: AtomicU64::new(since_epoch(claim.expires_at())),
            lifetime: AtomicU64::new(nanoseconds(claim.lifetime)),
            claim: RequestMutex::new(Some(claim)),
            held: AtomicBool::new(true),
            releasing: AtomicBool::new(false),
            left_to_others: AtomicBool::new(false),
            shared: AtomicBool::new(false),
            release: RequestMutex::default(),
            turn: Mutex::default(),
            claim_cache: None,
            events: events::Holding::default(),
        }
    }

    /// The same tenure, won at the head of the queue.
    pub(crate) fn with_handoff_token(mut self, turn: Option<HandoffToken>) -> Tenure {
        self.turn = Mutex::new(turn);
        self
    }

    /// The same tenure, whose claim is to be linked again later, if claims are kept.
    pub(crate) fn giving_back_to(mut self, claim_cache: &Arc<ClaimCache>) -> Tenure {
        self.claim_cache = self.context.config.keep_claim.then(|| claim_cache.clone());
        self
    }

    /// The same tenure, on which other processes may act too.
    pub(crate) fn shared_with_others(self) -> Tenure {
        self.share();
        self
    }

    /// From now on other processes may act on it too, within its lease.
    pub(crate) fn share(&self) {
        self.shared.store(true, Ordering::Release);
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.shared.load(Ordering::Acquire)
    }

    pub(crate) fn claim(&self) -> &ClaimName {
        &self.incarnation.claim
    }

    /// Whether this process began it, and has neither released it nor let go of it.
    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::Acquire) && self.is_ours()
    }

    /// Checked before any mutex is locked, since a fork may have left it locked.
    pub(crate) fn is_ours(&self) -> bool {
        self.pid == self.context.machine.processes.pid()
    }

    /// How much of the lease is left, as the last successful refresh made sure.
    pub(crate) fn remaining(&self) -> Duration {
        self.lease_ends().saturating_sub(self.context.now())
    }

    /// Whether nearly all of its lease is left, so that it can be handed out.
    pub(crate) fn is_nearly_whole(&self) -> bool {
        self.remaining() >= self.lifetime() * 7 / 8
    }

    /// How long ago the lease expired.
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

    /// Whether the lease runs, as far as was made sure. The claim's own lease is not enough: a late
    /// holder touches its claim before it knows whether it still holds the lock.
    fn is_in_time(&self) -> bool {
        !self.remaining().is_zero()
    }

    /// Whether no other process may touch the lock yet.
    fn may_act_alone(&self) -> bool {
        self.is_in_time() && !self.is_shared()
    }

    /// When processes in that many seats, one after another, must have ended the tenure or given
    /// up.
    fn decided_by(&self, seats: u32) -> Duration {
        self.context.now().saturating_add(self.context.config.time_of_seats(seats))
    }

    /// Whether the lock is ours and its lease runs.
    pub(crate) fn verify(&self) -> Result<(), Error> {
        if !self.with_claim(|claim| has_lock_file(claim))? {
            return Err(self.events.lost(self.context.lock_path(), self.lost()));
        }
        if !self.is_in_time() {
            return Err(self.expired());
        }
        Ok(())
    }

    /// Ends the tenure without releasing the lock: makes sure of its lease before `hand_over`
    /// passes the lock to another process in one operation. The claim is no longer needed then, and
    /// is removed.
    pub(crate) fn let_go(
        &self,
        hand_over: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.with_claim(|_| {
            if !self.is_in_time() {
                return Err(self.expired());
            }
            // A holder that cannot tell whether it has already passed on the lock may only act on
            // it as a late one does.
            let handed_over = hand_over();
            self.lease_ends.store(nanoseconds(self.context.now()), Ordering::Release);
            handed_over
        })?;
        let _claim = self.lock_claim().take(); // dropped last
        self.abandon();
        Ok(())
    }

    /// Whether it was released by this process.
    fn is_released(&self) -> bool {
        self.is_ours() && self.releasing.load(Ordering::Acquire) && self.lock_claim().is_none()
    }

    /// Answers the waiters on other machines that have asked for a wake-up: for a holder that renews
    /// its lease in time.
    pub(crate) fn acknowledge_waiters(&self) {
        if self.is_held() {
            if let Some(Claim { hints: Some(hints), name, .. }) = self.lock_claim().as_deref_mut() {
                acknowledge(hints, &name.nonce, self.lifetime());
            }
        }
    }

    /// How many waiters on other machines have asked for a wake-up.
    #[cfg(test)]
    pub(crate) fn waiters_that_asked(&self) -> usize {
        self.acknowledge_waiters();
        let claim = self.lock_claim();
        claim.as_ref().and_then(|claim| claim.hints.as_ref()).map_or(0, |hints| hints.next.len())
    }

    /// Calls `act` with the claim, unless the tenure has ended or never was this process's.
    fn with_claim<T>(&self, act: impl FnOnce(&mut Claim) -> Result<T, Error>) -> Result<T, Error> {
        if self.is_ours() {
            if let Some(claim) = self.lock_claim().as_mut() {
                return act(claim);
            }
        }
        Err(self.lost())
    }

    fn lock_claim(&self) -> MutexGuard<'_, Option<Box<Claim>>> {
        self.claim.lock()
    }

    fn expired(&self) -> Error {
        Error::Expired { path: self.context.lock_path().into(), ago: self.overdue(), error: None }
    }

    /// The error that names the process that has the lock instead.
    pub(crate) fn lost(&self) -> Error {
        match observe::observe(&self.context) {
            Ok(sight) => {
                Error::Lost { path: self.context.lock_path().into(), now: sight.successor() }
            }
            Err(error) => error,
        }
    }

    /// Marks the tenure as no longer held, whenever it is [closed](Self::close).
    pub(crate) fn abandon(&self) {
        self.held.store(false, Ordering::Release);
    }

    /// [`release`](Self::release), unless that is done, where no caller gets the result.
    pub(crate) fn close(&self) {
        if self.is_ours() {
            if let Err(error) = self.release() {
                events::not_released(self.context.lock_path(), &error);
            }
        }
    }
}

impl Occupancy for Tenure {
    fn is_held(&self) -> bool {
        self.is_held()
    }

    fn close(&self) {
        self.close();
    }
}

impl Drop for Tenure {
    fn drop(&mut self) {
        self.close();
    }
}
