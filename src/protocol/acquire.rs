//! Acquires the lock: contends with a claim until the lock is ours or the limit is reached.
//!
//! 1. Make a claim whose mtime is the end of its lease.
//! 2. Link it to the lock file. Whether link(2) reports success or an error, the inode decides.
//! 3. If another process holds the lock, observe it. If it is stale, take it over and try again at
//!    once.
//! 4. If its lease runs, wait, and keep renewing the claim, so that the lock file never appears
//!    with a lease that has already expired. Processes that already wait go first.
//! 5. On timeout, error or panic the claim is removed; if another process removes it, a new one is
//!    made.
//!
//! Only the pauses are asynchronous here. A future that is dropped in one of them thereby removes
//! its claim and passes on its place in the queue.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::error::Error;
use crate::events;
use crate::holder::{Holder, Obstacle};
use crate::model::context::Context;
use crate::model::safeguard::Safeguard;
use crate::protocol::claim::{Claim, ClaimError};
use crate::protocol::claim_cache::ClaimCache;
use crate::protocol::fencing;
use crate::protocol::fitness;
use crate::protocol::link::{Link, link};
use crate::protocol::observe::observer::{Observer, Verdict};
use crate::protocol::observe::{Observation, is_lock_file, lock_file_like, observe};
use crate::protocol::sweep;
use crate::protocol::takeover::{self, TakeoverOutcome};
use crate::protocol::tenure::Tenure;
use crate::sys::errno;
use crate::wait::limit::WaitLimit;
use crate::wait::park::Park;
use crate::wait::waiter::{Waiter, Woken, leave_to_hinted};

/// How often to retry for a lock that looks free before pausing after all.
const AT_ONCE: u64 = 4;

/// Contends for the lock until it is ours or the limit is reached.
pub(crate) async fn acquire<W: FnMut(&Obstacle) -> Duration + ?Sized>(
    context: &Arc<Context>,
    claim_cache: &Arc<ClaimCache>,
    lifetime: Duration,
    limit: WaitLimit<'_, W>,
    parker: &impl Park,
) -> Result<Tenure, Error> {
    let mut contender = Contender::new(context, limit, parker);
    if context.memory.fairness.is_due(context.now()) {
        contender.queue_up(context);
    }
    for round in 1.. {
        if round > AT_ONCE {
            // Claims are removed as fast as they are made.
            contender.rest(context, Obstacle::Unreadable(errno::gone())).await?;
        }
        let mut claim = claim_cache.take(context, lifetime)?; // 1
        match contender.contend(&mut claim).await {
            Ok(()) => {}
            Err(ClaimError::Swept) => {
                events::restarted(context, "its claim was removed");
                continue; // 5
            }
            Err(ClaimError::Other(error)) => {
                withdraw(claim, claim_cache, &error);
                return Err(error);
            }
        }
        let mut tenure = Tenure::begin(claim).giving_back_to(claim_cache);
        match settle(&mut tenure) {
            // Acquisition took so long that another process has the lock, or that a process which
            // ignores the protocol has already ended the tenure: contend again.
            Err(error) if error.is_lost() => events::restarted(context, "it took too long"),
            settled => {
                settled?;
                context.memory.fairness.acquired(contender.has_waited);
                let Contender { waiter, has_waited, .. } = contender;
                return Ok(tenure.with_handoff_token(waiter.into_token(context, has_waited)));
            }
        }
    }
    unreachable!("the limit is reached before the numbers run out")
}

/// Draws the tenure's token, if it is to have one, and makes sure that this process holds the lock
/// for nearly a whole lifetime. A process that has just made the link quickly needs no request for
/// that.
pub(crate) fn settle(tenure: &mut Tenure) -> Result<(), Error> {
    let context = tenure.context.clone();
    if context.config.fencing {
        tenure.token = Some(fencing::draw(&context, &tenure.claim().nonce)?);
        if !Safeguard::TokenIsVerified.stands() {
            return Ok(());
        }
        match tenure.verify() {
            Ok(()) | Err(Error::Expired { .. }) => {} // ours, even if its lease has to be renewed
            Err(error) => return Err(error),
        }
    }
    if tenure.is_nearly_whole() { Ok(()) } else { tenure.refresh() }
}

/// Gives the claim back. If the claim turns out to be linked although an error was reported, gives
/// the lock back too, since no other process would ever release it.
fn withdraw(claim: Box<Claim>, claim_cache: &ClaimCache, because: &Error) {
    if because.is_contention() {
        claim_cache.put(claim);
    } else if matches!(is_lock_file(&claim), Ok(true)) {
        drop(Tenure::begin(claim));
    }
}

/// What contending has shown so far, with any claim.
struct Contender<'a, W: ?Sized, P> {
    limit: WaitLimit<'a, W>,
    parker: &'a P,
    begun: Duration,
    observer: Observer,
    waiter: Waiter,
    has_waited: bool,
    /// The events of waiting for the lock.
    events: events::Waiting,
}

impl<'a, W: FnMut(&Obstacle) -> Duration + ?Sized, P: Park> Contender<'a, W, P> {
    fn new(context: &Context, limit: WaitLimit<'a, W>, parker: &'a P) -> Contender<'a, W, P> {
        Contender {
            limit,
            parker,
            begun: context.now(),
            observer: Observer::default(),
            waiter: Waiter::new(context),
            has_waited: false,
            events: events::Waiting::default(),
        }
    }

    /// Joins the queue before the first try, unless the limit allows no waiting.
    fn queue_up(&mut self, context: &Context) {
        if !matches!(self.limit, WaitLimit::None) {
            self.waiter.queue_up(context);
        }
    }

    /// Leaves a free lock to a waiter on another machine that was woken by a hint, for a moment.
    async fn leave_to_hinted(&mut self, claim: &mut Claim) {
        let context = claim.context.clone();
        let waits = !matches!(self.limit, WaitLimit::None);
        if let Some(hints) = claim.hints.as_mut().filter(|hints| waits && !hints.has_turn) {
            if context.memory.fairness.leaves_to_hinted(context.now()) {
                leave_to_hinted(&context, hints, self.has_waited, self.parker).await;
            }
        }
    }

    /// Whether not to link at once, as another waiter may come first.
    fn looks_first(&self, context: &Context) -> bool {
        let may_wait = !matches!(self.limit, WaitLimit::None);
        self.waiter.is_behind() || may_wait && context.memory.fairness.looks_first(context.now())
    }

    /// Sweeps what dead processes have left, when a handle is first used. It sweeps before it holds
    /// the lock, so that no other process waits for the sweep. A file server has to answer for each
    /// claim, so only the head of a host's queue sweeps there.
    fn sweep_once(&mut self, claim: &mut Claim) -> Result<(), ClaimError> {
        let context = claim.context.clone();
        if context.memory.has_swept.load(Ordering::Relaxed) || !sweep::is_affordable(&context) {
            return Ok(());
        }
        if !context.is_local() {
            self.queue_up(&context);
            if self.waiter.is_behind() {
                return Ok(());
            }
        }
        context.memory.has_swept.store(true, Ordering::Relaxed);
        let begun = context.now();
        if let Err(error) = sweep::sweep(&context) {
            events::not_swept(&context, &error);
        }
        sweep::took(&context, context.now().saturating_sub(begun));
        claim.touch()
    }

    /// Contends with one claim until it is linked to the lock file: then the lock is ours.
    async fn contend(&mut self, claim: &mut Claim) -> Result<(), ClaimError> {
        fitness::try_once(claim)?;
        let mut defers = self.looks_first(&claim.context);
        self.sweep_once(claim)?;
        let mut tries = 0;
        loop {
            if tries == AT_ONCE {
                tries = 0;
                // Other processes were quicker each time, or a client's cache shows a lock file
                // that is gone.
                let taken = errno::taken();
                self.rest(&claim.context, Obstacle::Unreadable(taken)).await?;
            }
            tries += 1;
            if !defers && link(claim)? == Link::Made {
                return Ok(());
            }
            match self.await_release(claim).await? {
                Release::Seen => defers = false,
                Release::Heard => {
                    tries = 0;
                    if link(claim)? == Link::Made {
                        return Ok(());
                    }
                    defers = !self.waiter.hears_more(&claim.context, self.parker).await;
                }
                Release::NotNeeded => return Ok(()),
            }
        }
    }

    /// Observes the lock until it is free.
    async fn await_release(&mut self, claim: &mut Claim) -> Result<Release, ClaimError> {
        let mut defers = self.waiter.is_behind();
        loop {
            let obstacle = match self.observe(claim, defers)? {
                Verdict::Free => {
                    self.leave_to_hinted(claim).await;
                    return Ok(Release::Seen);
                }
                Verdict::Mine if !Safeguard::TruthIsInode.stands() => {
                    let path = claim.context.lock_path().into();
                    return Err(Error::AlreadyLocked { path }.into());
                }
                Verdict::Mine => match lock_file_like(claim)? {
                    // Another process has taken it away meanwhile: a request was executed twice.
                    None => return Ok(Release::Seen),
                    // Two names; or one, the lock file's, because the claim was swept.
                    Some(attr) if attr.nlink >= 2 || !claim.is_there()? => {
                        return Ok(Release::NotNeeded);
                    }
                    Some(_) => return Err(claim.context.no_hard_links(&claim.path, None).into()),
                },
                // No other process knows the name in its content: our link made this file.
                Verdict::NotLinked => {
                    let _ = takeover::take_away(claim, |caught| caught.names(&claim.name));
                    return Err(claim.context.no_hard_links(&claim.path, None).into());
                }
                Verdict::Stale(stale, holder) => {
                    let observer = &mut self.observer;
                    match takeover::take_over(claim, &stale, |claim| {
                        observer.recheck(claim, &stale)
                    })? {
                        TakeoverOutcome::Ended => {
                            events::broken(&claim.context, &holder);
                            return Ok(Release::Seen);
                        }
                        TakeoverOutcome::Gone => {
                            events::ended_by_another(&claim.context, &holder);
                            return Ok(Release::Seen);
                        }
                        // The seat would look taken for as long as the claim in it is touched.
                        TakeoverOutcome::NotNow if claim.forfeited.is_some() => {
                            return Err(ClaimError::Swept);
                        }
                        TakeoverOutcome::NotNow => Obstacle::Holder(holder),
                        TakeoverOutcome::Forbidden(error) => Obstacle::CannotBreak(holder, error),
                    }
                }
                Verdict::Wait(obstacle) => obstacle,
            };
            match self.wait(claim, obstacle).await? {
                Waited::Turn => return Ok(Release::Heard),
                Waited::Look => defers = false,
            }
        }
    }

    /// Observes the lock, unless that is left to the waiters in front of us.
    fn observe(&mut self, claim: &Claim, defers: bool) -> Result<Verdict, Error> {
        if defers && !matches!(self.limit, WaitLimit::While(_)) {
            return Ok(Verdict::Wait(Obstacle::Queue));
        }
        match self.observer.observe(claim)? {
            Verdict::Free if defers => Ok(Verdict::Wait(Obstacle::Queue)),
            verdict => Ok(verdict),
        }
    }

    /// Waits until it is worthwhile to try or to observe again, and renews the claim meanwhile.
    async fn wait(&mut self, claim: &mut Claim, obstacle: Obstacle) -> Result<Waited, ClaimError> {
        let context = claim.context.clone();
        loop {
            let Some(left) = self.time_left(&context, &obstacle) else {
                return Err(self.give_up(&context, obstacle).into());
            };
            let at_most = left.min(claim.touch_due_in().max(context.config.polling.first));
            let holder = obstacle.holder().map(Holder::claim_path);
            let woken = self
                .waiter
                .pause(&context, claim.hints.as_mut(), holder, at_most, self.parker)
                .await;
            if Safeguard::RenewedWhileWaiting.stands() {
                claim.touch_if_due()?;
            }
            match woken {
                Woken::Turn => return Ok(Waited::Turn),
                Woken::Look => return Ok(Waited::Look),
                Woken::Early => {}
            }
        }
    }

    /// Waits a while for the obstacle to pass.
    async fn rest(&mut self, context: &Context, obstacle: Obstacle) -> Result<(), Error> {
        let Some(left) = self.time_left(context, &obstacle) else {
            return Err(self.give_up(context, obstacle));
        };
        self.waiter.pause(context, None, None, left, self.parker).await;
        Ok(())
    }

    /// How long to wait before the limit is checked again; `None` once it is reached.
    fn time_left(&mut self, context: &Context, obstacle: &Obstacle) -> Option<Duration> {
        self.has_waited = true;
        let waited = context.now().saturating_sub(self.begun);
        let left = self.limit.left(waited, obstacle);
        self.events.meets(context.lock_path(), obstacle, waited, left);
        (!left.is_zero()).then_some(left)
    }

    fn give_up(&self, context: &Context, obstacle: Obstacle) -> Error {
        let waited = context.now().saturating_sub(self.begun);
        let obstacle = match obstacle {
            Obstacle::Queue => who_holds(context).map_or(Obstacle::Queue, Obstacle::Holder),
            other => other,
        };
        self.limit.ended(context.lock_path().to_owned(), waited, obstacle)
    }
}

fn who_holds(context: &Context) -> Option<Holder> {
    match observe(context) {
        Ok(Observation::Held(_, holder)) => Some(holder),
        _ => None,
    }
}

/// How a wait for a held lock ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waited {
    /// It is our turn to try.
    Turn,
    /// It is time to observe the lock again.
    Look,
}

/// The result of observing a lock until it was released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Release {
    /// The lock is free, or was a moment ago.
    Seen,
    /// The contender was woken, most often by a release.
    Heard,
    /// The lock is ours: the first of two replies to our LINK was lost.
    NotNeeded,
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::sync::Mutex;

    use super::*;
    use crate::lock::Lock;
    use crate::sys::wake_fd::WakeFd;
    use crate::wait::park::run;

    /// Spends no time in its pauses: each of them removes one file.
    struct Removing {
        files: Mutex<std::vec::IntoIter<PathBuf>>,
        pauses: Mutex<Vec<Duration>>,
    }

    impl Park for Removing {
        async fn park(&self, _: &Context, fds: Vec<WakeFd>, time: Duration) -> Option<usize> {
            self.pauses.lock().unwrap().push(time);
            let file = self.files.lock().unwrap().next().expect("it has what it waits for");
            fs::remove_file(file).unwrap();
            (!fds.is_empty()).then_some(0)
        }
    }

    /// It may keep the holder from its core until it sleeps.
    #[test]
    fn a_waiter_that_is_woken_between_the_steps_of_a_release_goes_on_sleeping() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let hour = Duration::from_secs(3600);
        let by_ear = || Lock::options(&path).lifetime(hour).polling(hour, hour).build().unwrap();
        let held = by_ear().lock().unwrap();
        let files = Mutex::new(vec![held.claim_path().into(), path.clone()].into_iter());
        let parker = Removing { files, pauses: Mutex::default() };
        let waiter = by_ear();
        let limit: WaitLimit<'_> = WaitLimit::Endless;
        let tenure = run(waiter.contend(waiter.begin_acquisition(), limit, &parker)).unwrap();
        let pauses = parker.pauses.into_inner().unwrap();
        assert!(
            matches!(pauses[..], [_, moment] if moment < Duration::from_millis(10)),
            "{pauses:?}"
        );
        drop(tenure);
        assert!(!path.exists());
        assert!(held.unlock().is_err());
    }
}
