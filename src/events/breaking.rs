//! Events of a tenure that another process ends.

use std::path::Path;

use crate::dotlock::Dotlock;
use crate::error::Error;
use crate::events::peer::Peer;
use crate::events::text::words;
use crate::holder::Holder;
use crate::model::context::Context;
use crate::sys::process::Life;

/// This process has ended the tenure of a stale holder.
pub(crate) fn broken(context: &Context, holder: &Holder) {
    let because = if holder.overdue() > context.config.clock_slop { "expired" } else { "dead" };
    emit_broken(context.lock_path(), holder.into(), because);
}

/// This process has ended a tenure at its caller's request.
pub(crate) fn broken_on_request(context: &Context, holder: &Holder) {
    emit_broken(context.lock_path(), holder.into(), "requested");
}

/// A file that is not a lock or cannot be read was removed at the caller's request.
pub(crate) fn removed_on_request(context: &Context, is_readable: bool) {
    let kind = if is_readable { "no_lock" } else { "unreadable" };
    emit_broken(context.lock_path(), Peer::of_kind(kind), "requested");
}

/// This process has broken another program's dotlock.
pub(crate) fn dotlock_broken(mailbox: &Path, dotlock: &Dotlock) {
    let because = if dotlock.life == Life::Dead { "dead" } else { "unchanged" };
    emit_broken(mailbox, dotlock.into(), because);
}

fn emit_broken(path: &Path, whose: Peer<'_>, because: &'static str) {
    peer_event!(WARN whose => broken "a stale lock was broken", path, because = because);
}

/// Another process ended the tenure first, or the holder released the lock after all.
pub(crate) fn ended_by_another(context: &Context, holder: &Holder) {
    peer_event!(DEBUG holder.into() => ended_by_another "a stale lock was ended by another",
        context.lock_path());
}

/// The renamed file was not the observed one: a request was executed twice, or a program breaks
/// locks without a seat.
pub(crate) fn caught_another(lock: &Path) {
    event!(ERROR caught_another "another's lock was taken away by mistake and put back", lock);
}

/// The same, but the other's lock file could not be put back: its holder has lost the lock.
pub(crate) fn not_put_back(lock: &Path, error: &Error) {
    event!(ERROR not_put_back "another's lock was taken away by mistake and not put back", lock,
        error = words(error));
}

/// A process could not give back the right to break a mailbox's dotlock, which ends with its lease.
pub(crate) fn right_not_given_back(mailbox: &Path, error: &Error) {
    event!(WARN right_not_given_back "the right to break a mailbox's dotlock was not given back",
        mailbox, error = words(error));
}
