//! Taking both locks, as Debian Policy 11.6 says.
//!
//! 1. The mailbox by fcntl(2), if there is a mailbox.
//! 2. The dotlock. Another's is judged, and ended if it is stale.
//! 3. See that the mailbox is still the file that was locked: whoever rewrites a mailbox may put
//!    another in its place.
//!
//! When one of them can't be had, what was got is given back, and after a random time it starts
//! stale: programs that take them in the other order must not wait for us while we wait for them.

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Operation};
use crate::events;
use crate::holder::Obstacle;
use crate::mailbox::context::MailboxContext;
use crate::mailbox::dotlock::{Making, OwnDotlock};
use crate::mailbox::mbox_file::{MboxFile, Opening};
use crate::mailbox::observe::{MailboxObserver, Verdict};
use crate::mailbox::permission;
use crate::mailbox::takeover::{TakeoverOutcome, take_over};
use crate::mailbox::tenure::MailboxTenure;
use crate::model::backoff::Backoff;
use crate::sys::errno::{self, is_gone};
use crate::sys::fs::{attributes, process_id};
use crate::sys::range_lock::{self, Locker};
use crate::wait::limit::WaitLimit;

/// How often to try again at once for what has just come free.
const AT_ONCE: u32 = 4;

/// What came of one attempt.
#[derive(Debug)]
enum Attempt {
    Held(MailboxTenure),
    /// What was in the way is gone, or not what it was: no need to wait.
    Again,
    Busy(Obstacle),
}

/// Contends for the mailbox until it is ours or patience ends.
pub(crate) fn acquire(
    context: &Arc<MailboxContext>,
    observer: &Mutex<MailboxObserver>,
    mut limit: WaitLimit<'_>,
) -> Result<MailboxTenure, Error> {
    let core = context.core();
    let begun = core.now();
    let mut backoff = Backoff::new(context.polling);
    let mut told = events::Waiting::default();
    let mut at_once = 0;
    loop {
        let obstacle = match attempt(context, observer)? {
            Attempt::Held(tenure) => return Ok(tenure),
            Attempt::Again if at_once < AT_ONCE => {
                at_once += 1;
                continue;
            }
            // Others are quicker each time.
            Attempt::Again => Obstacle::Unreadable(errno::taken()),
            Attempt::Busy(obstacle) => obstacle,
        };
        at_once = 0;
        let waited = core.now().saturating_sub(begun);
        let left = limit.left(waited, &obstacle);
        told.meets(&context.mailbox, &obstacle, waited, left);
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
    // 1
    let mailbox = match open(context)? {
        None => None,
        Some(Opening::MboxFile(mailbox)) => Some(mailbox),
        Some(Opening::Busy) => return Ok(Attempt::Busy(Obstacle::Fcntl(Some(process_id())))),
    };
    if let Some(MboxFile { file, .. }) = &mailbox {
        let locked =
            range_lock::try_lock(file).map_err(Error::io(Operation::FcntlLock, &context.mailbox));
        if !locked? {
            return Ok(Attempt::Busy(Obstacle::Fcntl(locker(file))));
        }
    }
    let began = context.core().now();
    let making = OwnDotlock::make(context); // 2
    match making.inspect_err(|_| unlock(mailbox.as_ref()))? {
        Making::Made(dotlock) => {
            let tenure = MailboxTenure::begin(context, mailbox, dotlock, began);
            // 3: if it is not, the hold is dropped, and both locks with it.
            Ok(if is_still_there(&tenure)? { Attempt::Held(tenure) } else { Attempt::Again })
        }
        Making::Taken => {
            let attempt = behind_a_dotlock(context, observer);
            unlock(mailbox.as_ref());
            attempt
        }
    }
}

/// Closing it would not do: a child that another thread has just forked has it open, too.
fn unlock(mailbox: Option<&MboxFile>) {
    if let Some(MboxFile { file, .. }) = mailbox {
        let _ = range_lock::unlock(file);
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

/// Nobody else who uses the handle waits for this but for a look.
fn observe(context: &MailboxContext, observer: &Mutex<MailboxObserver>) -> Result<Verdict, Error> {
    observer.lock().unwrap_or_else(PoisonError::into_inner).observe(context)
}

/// Opens the mailbox, if there is one and it is to be locked itself.
fn open(context: &MailboxContext) -> Result<Option<Opening>, Error> {
    let id = match context.find_mailbox()? {
        Some(attr) if !attr.is_file => return Err(not_a_mailbox(context)),
        Some(attr) if context.uses_fcntl => attr.id,
        _ => return Ok(None),
    };
    match context.core().retry_estale(|| MboxFile::open(&context.mailbox, id, true)) {
        Ok(Opening::MboxFile(mailbox))
            if !attributes(&mailbox.file).is_ok_and(|attr| attr.is_file) =>
        {
            Err(not_a_mailbox(context))
        }
        Ok(opening) => Ok(Some(opening)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(permission::to_mailbox(&context.mailbox, error)),
    }
}

/// A link's two names would have two dotlocks, and in a spool that many may write to it could lead
/// anywhere.
fn not_a_mailbox(context: &MailboxContext) -> Error {
    let path = context.mailbox.clone();
    let kind = std::fs::symlink_metadata(&path).map(|meta| meta.file_type());
    let reason = match kind {
        Ok(kind) if kind.is_dir() => {
            "it is a directory: guard it with a lock beside it, see `linklock::Lock`"
        }
        Ok(kind) if kind.is_symlink() => {
            "it is a symbolic link: lock the file that it leads to, by that name"
        }
        _ => "it is no file",
    };
    Error::Invalid { path, reason: reason.into() }
}

fn locker(file: &File) -> Option<u32> {
    match range_lock::locker(file) {
        Ok(Locker::Somebody(pid)) => pid,
        Ok(Locker::Nobody) | Err(_) => None,
    }
}

/// Whether the file that was locked is the mailbox, or there is none as before.
fn is_still_there(tenure: &MailboxTenure) -> Result<bool, Error> {
    let context = &tenure.context;
    let there = context.find_mailbox()?.map(|attr| attr.id);
    match tenure.mailbox() {
        None => Ok(!context.uses_fcntl || there.is_none()),
        Some(file) => {
            let locked = attributes(file).map_err(Error::io(Operation::Stat, &context.mailbox))?;
            Ok(there == Some(locked.id))
        }
    }
}

/// Who or what is in the way now, without taking anything.
pub(crate) fn obstacles(
    context: &MailboxContext,
    observer: &Mutex<MailboxObserver>,
) -> Result<Vec<Obstacle>, Error> {
    let mut all = Vec::new();
    if context.uses_fcntl {
        if let Locker::Somebody(pid) = fcntl_locked_by(context)? {
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

fn fcntl_locked_by(context: &MailboxContext) -> Result<Locker, Error> {
    let id = match context.find_mailbox()? {
        Some(attr) if attr.is_file => attr.id,
        Some(_) => return Err(not_a_mailbox(context)),
        None => return Ok(Locker::Nobody),
    };
    match MboxFile::open(&context.mailbox, id, false) {
        Ok(Opening::MboxFile(mailbox)) => range_lock::locker(&mailbox.file)
            .map_err(Error::io(Operation::FcntlLock, &context.mailbox)),
        Ok(Opening::Busy) => Ok(Locker::Somebody(Some(process_id()))),
        Err(error) if is_gone(&error) => Ok(Locker::Nobody),
        Err(error) => Err(Error::io(Operation::Open, &context.mailbox)(error)),
    }
}
