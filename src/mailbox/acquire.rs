//! Taking both locks, as Debian Policy 11.6 requires.
//!
//! 1. The mailbox by fcntl(2), if there is a mailbox.
//! 2. The dotlock. Another program's is observed, and taken over once it is stale.
//! 3. Check that the mailbox is still the file that was locked: a program that rewrites a mailbox
//!    may put another file in its place.
//!
//! If one lock is taken, the other is released, and both are tried again after a random time:
//! programs that take them in the opposite order must not wait for us while we wait for them.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Error;
use crate::events;
use crate::holder::Obstacle;
use crate::mailbox::context::MailboxContext;
use crate::mailbox::dotlock::{Making, OwnDotlock};
use crate::mailbox::mbox_file::{Locking, MboxFile, check_kind};
use crate::mailbox::observe::{MailboxObserver, Verdict};
use crate::mailbox::takeover::{TakeoverOutcome, take_over};
use crate::mailbox::tenure::MailboxTenure;
use crate::model::backoff::Backoff;
use crate::sys::errno;
use crate::sys::range_lock::Locker;
use crate::wait::limit::WaitLimit;

/// How often to retry at once for a lock that has just become free.
const AT_ONCE: u32 = 4;

/// The outcome of one attempt.
#[derive(Debug)]
enum Attempt {
    Held(MailboxTenure),
    /// The obstacle is gone, or has changed: retry without waiting.
    Again,
    Busy(Obstacle),
}

/// Contends for the mailbox until we hold it or the limit is reached.
pub(crate) fn acquire(
    context: &Arc<MailboxContext>,
    observer: &Mutex<MailboxObserver>,
    mut limit: WaitLimit<'_>,
) -> Result<MailboxTenure, Error> {
    let core = context.core();
    let begun = core.now();
    let mut backoff = Backoff::new(context.polling);
    let mut waiting = events::Waiting::default();
    let mut at_once = 0;
    loop {
        let obstacle = match attempt(context, observer)? {
            Attempt::Held(tenure) => return Ok(tenure),
            Attempt::Again if at_once < AT_ONCE => {
                at_once += 1;
                continue;
            }
            // Other programs were quicker each time.
            Attempt::Again => Obstacle::Unreadable(errno::taken()),
            Attempt::Busy(obstacle) => obstacle,
        };
        at_once = 0;
        let waited = core.now().saturating_sub(begun);
        let left = limit.left(waited, &obstacle);
        waiting.meets(&context.mailbox, &obstacle, waited, left);
        if left.is_zero() {
            return Err(limit.ended(context.mailbox.clone(), waited, obstacle));
        }
        core.pause(&mut backoff, left);
    }
}

fn attempt(
    context: &Arc<MailboxContext>,
    observer: &Mutex<MailboxObserver>,
) -> Result<Attempt, Error> {
    let mailbox = match lock_mailbox(context)? {
        Locking::Locked(mailbox) => Some(mailbox),
        Locking::None => None,
        Locking::Busy(pid) => return Ok(Attempt::Busy(Obstacle::Fcntl(pid))),
    }; // 1
    let began = context.core().now();
    // 2
    match OwnDotlock::make(context).inspect_err(|_| unlock(context, mailbox.as_ref()))? {
        Making::Made(dotlock) => {
            let tenure = MailboxTenure::begin(context, mailbox, dotlock, began);
            // 3: if it is not, dropping the tenure releases both locks.
            Ok(if is_still_there(&tenure)? { Attempt::Held(tenure) } else { Attempt::Again })
        }
        Making::Taken => {
            let attempt = behind_a_dotlock(context, observer);
            unlock(context, mailbox.as_ref());
            attempt
        }
    }
}

/// Unlocks explicitly, since a child that another thread has just forked has the file open, too.
fn unlock(context: &MailboxContext, mailbox: Option<&MboxFile>) {
    if let Some(mailbox) = mailbox {
        let _ = mailbox.unlock(context);
    }
}

fn behind_a_dotlock(
    context: &Arc<MailboxContext>,
    observer: &Mutex<MailboxObserver>,
) -> Result<Attempt, Error> {
    Ok(match observe(context, observer)? {
        Verdict::Gone => Attempt::Again,
        Verdict::Wait(obstacle) => Attempt::Busy(obstacle),
        Verdict::Stale(stale) => match take_over(context, &stale)? {
            TakeoverOutcome::Gone => Attempt::Again,
            TakeoverOutcome::NotNow => Attempt::Busy(stale.what.obstacle()),
            TakeoverOutcome::Forbidden(error) => Attempt::Busy(stale.what.forbidden(error)),
        },
    })
}

/// The handle's other users wait for this mutex, but only for one observation.
fn observe(context: &MailboxContext, observer: &Mutex<MailboxObserver>) -> Result<Verdict, Error> {
    observer.lock().unwrap_or_else(PoisonError::into_inner).observe(context)
}

/// Locks the mailbox, if there is one and the options ask for that.
fn lock_mailbox(context: &MailboxContext) -> Result<Locking, Error> {
    if context.uses_fcntl {
        return MboxFile::lock(context);
    }
    if let Some(attr) = context.find_mailbox()? {
        check_kind(&context.mailbox, &attr)?;
    }
    Ok(Locking::None)
}

/// Whether the mailbox is still the file that was locked, or still does not exist.
fn is_still_there(tenure: &MailboxTenure) -> Result<bool, Error> {
    let context = &tenure.context;
    let there = context.find_mailbox()?.map(|attr| attr.id);
    match tenure.mailbox() {
        None => Ok(!context.uses_fcntl || there.is_none()),
        Some(mailbox) => Ok(there == Some(mailbox.attributes(context)?.id)),
    }
}

/// The present obstacles, without taking any lock.
pub(crate) fn obstacles(
    context: &MailboxContext,
    observer: &Mutex<MailboxObserver>,
) -> Result<Vec<Obstacle>, Error> {
    let mut all = Vec::new();
    if context.uses_fcntl {
        if let Locker::Held(pid) = MboxFile::locker(context)? {
            all.push(Obstacle::Fcntl(pid));
        }
    }
    let verdict = observe(context, observer)?;
    match verdict {
        Verdict::Gone => {}
        Verdict::Wait(obstacle) => all.push(obstacle),
        Verdict::Stale(stale) => all.push(stale.what.obstacle()),
    }
    Ok(all)
}
