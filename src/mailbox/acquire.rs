//! Taking both locks, as Debian Policy 11.6 says.
//!
//! 1. The mailbox by fcntl(2), if there is a mailbox.
//! 2. The dotlock. Another's is judged, and ended if it is over.
//! 3. See that the mailbox is still the file that was locked: whoever rewrites a mailbox may put
//!    another in its place.
//!
//! When one of them can't be had, what was got is given back, and after a random time it starts
//! over: programs that take them in the other order must not wait for us while we wait for them.

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Operation};
use crate::events;
use crate::holder::Obstacle;
use crate::mailbox::context::Site;
use crate::mailbox::dotlock::{Making, OwnDotlock};
use crate::mailbox::fcntl::{self, Locker};
use crate::mailbox::mbox_file::{Opened, Opening};
use crate::mailbox::observe::{Verdict, Watch};
use crate::mailbox::permission;
use crate::mailbox::takeover::{Ending, end};
use crate::mailbox::tenure::Hold;
use crate::model::backoff::Backoff;
use crate::model::context::is_gone;
use crate::sys::fs::{attributes, process_id};
use crate::wait::limit::Patience;

/// How often to try again at once for what has just come free.
const AT_ONCE: u32 = 4;

/// What came of one attempt.
#[derive(Debug)]
enum Attempt {
    Held(Hold),
    /// What was in the way is gone, or not what it was: no need to wait.
    Again,
    Busy(Obstacle),
}

/// Contends for the mailbox until it is ours or patience ends.
pub(crate) fn acquire(
    site: &Arc<Site>,
    watch: &Mutex<Watch>,
    mut patience: Patience<'_>,
) -> Result<Hold, Error> {
    let context = site.context();
    let begun = context.now();
    let mut backoff = Backoff::new(site.polling);
    let mut told = events::Waiting::default();
    let mut at_once = 0;
    loop {
        let obstacle = match attempt(site, watch)? {
            Attempt::Held(hold) => return Ok(hold),
            Attempt::Again if at_once < AT_ONCE => {
                at_once += 1;
                continue;
            }
            // Others are quicker each time.
            Attempt::Again => Obstacle::Unreadable(io::Error::from_raw_os_error(libc::EEXIST)),
            Attempt::Busy(obstacle) => obstacle,
        };
        at_once = 0;
        let waited = context.now().saturating_sub(begun);
        let left = patience.left(waited, &obstacle);
        told.meets(&site.mailbox, &obstacle, waited, left);
        if left.is_zero() {
            return Err(patience.ended(site.mailbox.clone(), waited, obstacle));
        }
        context.pause(&mut backoff, left);
    }
}

fn attempt(site: &Arc<Site>, watch: &Mutex<Watch>) -> Result<Attempt, Error> {
    // 1
    let mailbox = match open(site)? {
        None => None,
        Some(Opening::Opened(mailbox)) => Some(mailbox),
        Some(Opening::Busy) => return Ok(Attempt::Busy(Obstacle::Fcntl(Some(process_id())))),
    };
    if let Some(Opened { file, .. }) = &mailbox {
        let locked = fcntl::try_lock(file).map_err(Error::io(Operation::FcntlLock, &site.mailbox));
        if !locked? {
            return Ok(Attempt::Busy(Obstacle::Fcntl(locker(file))));
        }
    }
    let began = site.context().now();
    let making = OwnDotlock::make(site)?; // 2
    match making {
        Making::Made(dotlock) => {
            let hold = Hold::begin(site, mailbox, dotlock, began);
            // 3: if it is not, the hold is dropped, and both locks with it.
            Ok(if is_still_there(&hold)? { Attempt::Held(hold) } else { Attempt::Again })
        }
        Making::Taken => {
            let verdict = judge(site, watch)?;
            Ok(match verdict {
                Verdict::Gone => Attempt::Again,
                Verdict::Wait(obstacle) => Attempt::Busy(obstacle),
                Verdict::Over(over) => match end(site, &over)? {
                    Ending::Gone => Attempt::Again,
                    Ending::NotNow => Attempt::Busy(over.what.obstacle()),
                    Ending::Forbidden(error) => Attempt::Busy(over.what.forbidden(error)),
                },
            })
        }
    }
}

/// Nobody else who uses the handle waits for this but for a look.
fn judge(site: &Site, watch: &Mutex<Watch>) -> Result<Verdict, Error> {
    watch.lock().unwrap_or_else(PoisonError::into_inner).judge(site)
}

/// Opens the mailbox, if there is one and it is to be locked itself.
fn open(site: &Site) -> Result<Option<Opening>, Error> {
    let id = match site.find_mailbox()? {
        Some(attr) if !attr.is_file => return Err(not_a_mailbox(site)),
        Some(attr) if site.uses_fcntl => attr.id,
        _ => return Ok(None),
    };
    match site.context().until_fresh(|| Opened::open(&site.mailbox, id, true)) {
        Ok(Opening::Opened(mailbox))
            if !attributes(&mailbox.file).is_ok_and(|attr| attr.is_file) =>
        {
            Err(not_a_mailbox(site))
        }
        Ok(opening) => Ok(Some(opening)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(permission::to_mailbox(&site.mailbox, error)),
    }
}

/// A link's two names would have two dotlocks, and in a spool that many may write to it could lead
/// anywhere.
fn not_a_mailbox(site: &Site) -> Error {
    let path = site.mailbox.clone();
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
    match fcntl::locker(file) {
        Ok(Locker::Somebody(pid)) => pid,
        Ok(Locker::Nobody) | Err(_) => None,
    }
}

/// Whether the file that was locked is the mailbox, or there is none as before.
fn is_still_there(hold: &Hold) -> Result<bool, Error> {
    let site = &hold.site;
    let there = site.find_mailbox()?.map(|attr| attr.id);
    match hold.mailbox() {
        None => Ok(!site.uses_fcntl || there.is_none()),
        Some(file) => {
            let locked = attributes(file).map_err(Error::io(Operation::Stat, &site.mailbox))?;
            Ok(there == Some(locked.id))
        }
    }
}

/// Who or what is in the way now, without taking anything.
pub(crate) fn obstacles(site: &Site, watch: &Mutex<Watch>) -> Result<Vec<Obstacle>, Error> {
    let mut all = Vec::new();
    if site.uses_fcntl {
        if let Locker::Somebody(pid) = fcntl_locked_by(site)? {
            all.push(Obstacle::Fcntl(pid));
        }
    }
    let verdict = judge(site, watch)?;
    match verdict {
        Verdict::Gone => {}
        Verdict::Wait(obstacle) => all.push(obstacle),
        Verdict::Over(over) => all.push(over.what.obstacle()),
    }
    Ok(all)
}

fn fcntl_locked_by(site: &Site) -> Result<Locker, Error> {
    let id = match site.find_mailbox()? {
        Some(attr) if attr.is_file => attr.id,
        Some(_) => return Err(not_a_mailbox(site)),
        None => return Ok(Locker::Nobody),
    };
    match Opened::open(&site.mailbox, id, false) {
        Ok(Opening::Opened(mailbox)) => {
            fcntl::locker(&mailbox.file).map_err(Error::io(Operation::FcntlLock, &site.mailbox))
        }
        Ok(Opening::Busy) => Ok(Locker::Somebody(Some(process_id()))),
        Err(error) if is_gone(&error) => Ok(Locker::Nobody),
        Err(error) => Err(Error::io(Operation::Open, &site.mailbox)(error)),
    }
}
