//! What is told of locks to whoever subscribes to it: the feature `tracing`. Without the feature
//! `silence` stands in the place of this module, and nothing is evaluated.
//!
//! Each function is one thing that can happen; `guide/tracing.md` lists them all for those who read
//! the log. What happens in any healthy program is told at DEBUG, for there may be thousands of it
//! in a second, and refreshes at TRACE; what takes long, at INFO; what has been survived and should
//! not have been, at WARN; and at ERROR what may have done harm.
//!
//! Nothing is told in a forked child of what its parent did: the subscriber could hang there, if
//! another thread of the parent was at it.

#[macro_use]
mod emit;
mod acquiring;
mod holding;
mod peer;
mod text;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::dotlock::Dotlock;
use crate::error::Error;
use crate::holder::{Holder, Owner};
use crate::model::context::Context;
use crate::sys::process::Life;

use self::peer::Peer;
use self::text::{plain, secs, words};

pub(crate) use self::acquiring::{Acquisition, Waiting};
pub(crate) use self::holding::Holding;

/// A contender has lost what it had got so far.
pub(crate) fn begun_anew(context: &Context, because: &'static str) {
    event!(WARN begun_anew "an acquisition had to begin anew", context.lock_path(), because = because);
}

// ---- breaking ----

/// We have ended the tenure of a holder that was stale.
pub(crate) fn broken(context: &Context, holder: &Holder) {
    let because = if holder.overdue() > context.clock_slop { "expired" } else { "dead" };
    tell_broken(context.lock_path(), holder.into(), because);
}

/// The same, because whoever asked for it said so.
pub(crate) fn broken_on_request(context: &Context, holder: &Holder) {
    tell_broken(context.lock_path(), holder.into(), "requested");
}

/// A file has been removed that is no lock, or that can't be read, because the caller said so.
pub(crate) fn removed_on_request(context: &Context, is_readable: bool) {
    let kind = if is_readable { "no_lock" } else { "unreadable" };
    tell_broken(context.lock_path(), Peer::of_kind(kind), "requested");
}

/// We have ended another program's dotlock.
pub(crate) fn dotlock_broken(mailbox: &Path, dotlock: &Dotlock) {
    let because = if dotlock.life == Life::Dead { "dead" } else { "unchanged" };
    tell_broken(mailbox, dotlock.into(), because);
}

fn tell_broken(path: &Path, whose: Peer<'_>, because: &'static str) {
    peer_event!(WARN whose => broken "a stale lock was broken", path, because = because);
}

/// Another was first, or the holder released the lock after all.
pub(crate) fn ended_by_another(context: &Context, holder: &Holder) {
    peer_event!(DEBUG holder.into() => ended_by_another "a stale lock was ended by another",
        context.lock_path());
}

/// What was renamed was not what was looked at: a request was executed twice, or a program breaks
/// locks without a seat.
pub(crate) fn caught_another(lock: &Path) {
    event!(ERROR caught_another "another's lock was taken away by mistake and is put back", lock);
}

// ---- holding ----

/// A lock could not be released, and nobody else is told. That it is lost is told already.
pub(crate) fn not_released(path: &Path, error: &Error) {
    if !error.is_lost() {
        event!(ERROR not_released "a lock was not released as it should be", path,
            error = words(error));
    }
}

/// A lock that is kept alive could not be refreshed: it is tried again while its lease runs. That
/// it is lost is told already.
pub(crate) fn not_kept_alive(path: &Path, left: Duration, error: &Error) {
    if error.is_lost() {
        return;
    }
    if left.is_zero() {
        event!(ERROR expired "the lease of a lock that is kept alive is over", path,
            error = words(error));
    } else {
        event!(WARN refresh_failed "a lock could not be refreshed: it is tried again", path,
            lease_secs = secs(left), error = words(error));
    }
}

/// The lock is held by a new claim, which is its owner's.
pub(crate) fn detached(context: &Context, claim: &Path, owner: Owner) {
    let pid = match owner {
        Owner::Process(pid) => Some(pid),
        Owner::Lease => None,
    };
    event!(DEBUG detached "detached a lock", context.lock_path(),
        claim = plain(claim), owner.pid = pid);
}

/// We are in charge of a lock that was detached.
pub(crate) fn adopted(context: &Context, claim: &Path, token: Option<u64>) {
    event!(DEBUG adopted "adopted a lock", context.lock_path(), claim = plain(claim), token = token);
}

// ---- tidying ----

/// What the dead had left was removed.
pub(crate) fn swept(context: &Context, files: &[PathBuf]) {
    for file in files {
        event!(DEBUG swept_file "swept a file", context.lock_path(), file = plain(file));
    }
    if !files.is_empty() {
        event!(INFO swept "swept what the dead had left", context.lock_path(), files = files.len());
    }
}

/// What the dead have left is left for later.
pub(crate) fn not_swept(context: &Context, error: &Error) {
    event!(WARN not_swept "what the dead have left could not be swept", context.lock_path(),
        error = words(error));
}

/// A file of ours could not be removed: others will do it.
pub(crate) fn left_behind(context: &Context, file: &Path, error: &dyn Display) {
    event!(WARN left_behind "a file was left behind", context.lock_path(),
        file = plain(file), error = words(error));
}

/// Who may end a mailbox's dotlock could not give that right back, which ends by its lease.
pub(crate) fn right_not_given_back(mailbox: &Path, error: &Error) {
    event!(WARN right_not_given_back "the right to break a mailbox's dotlock was not given back",
        mailbox, error = words(error));
}
