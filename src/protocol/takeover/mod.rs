//! Takeover: ends an incarnation that another process holds, or that is ours but late.
//!
//! `unlink(L)` is not conditional: a breaker that observed yesterday's holder would remove today's.
//! So the right to end one incarnation X is itself won by a hard link, from a claim to X's seat:
//!
//! 1. Touch the claim, and link it to seat 0. If another claim has been in that seat for too long,
//!    its owner died there: go on to seat 1, and so on. One process wins each seat, and a dead
//!    process's seat is never removed while L is still X.
//! 2. In the seat, recheck: is L still X, and still stale? Then remove X's claim. A server may
//!    delay that for minutes, which is harmless: the name is X's alone. Once the removal is done,
//!    whatever delayed it delays nothing more.
//! 3. Recheck L once more, and the clock: is the seat still ours?
//! 4. Take L away by renaming it, and check which file was caught: X is removed; another's lock
//!    file is put back.
//! 5. Only when L is no longer X, remove X's seats.
//!
//! A seat is good for [`SEAT_LEASE`](crate::model::lease::SEAT_LEASE), whatever the lifetime of the
//! claim in it, counted from before the touch; other processes count from the time at which the
//! claim's inode was last changed. A process that finds its time in the seat expired, after a
//! stall, has forfeited the seat: another may have passed it over and be in the next. It neither
//! acts in that seat nor leaves it nor comes back to it. A claim counts as in its seat until it has
//! been seen to be out of it, whatever error comes in between.
//!
//! Linking to the seat has a second use on NFS: the reply shows the client that others have changed
//! the directory, so that the recheck does not go by a cached name (RFC 1813, `wcc_data`; RFC 8881,
//! `change_info4`).

mod aside;
mod seat;

use std::io;

pub(crate) use self::aside::{Aside, Caught, catch, take_away};
pub(crate) use self::seat::{Seat, Sitting, is_forsaken, sit_down};
use crate::error::{Error, Operation};
use crate::events;
use crate::model::context::Context;
use crate::model::safeguard::Safeguard;
use crate::protocol::claim::{Claim, ClaimError};
use crate::protocol::observe::{Evidence, Incarnation, Recheck, recheck};
use crate::sys::errno::{is_forbidden, is_gone};

/// The outcome of a takeover.
#[derive(Debug)]
pub(crate) enum TakeoverOutcome {
    /// This process has ended it.
    Ended,
    /// It had already ended: the lock file is another's, or there is none.
    Gone,
    /// Not now: another process is ending it, or the incarnation is not stale after all.
    NotNow,
    /// The file system does not permit it.
    Forbidden(io::Error),
}

/// Ends an incarnation with this claim, if the recheck finds it still stale.
pub(crate) fn take_over(
    claim: &mut Claim,
    stale: &Incarnation,
    recheck: impl FnMut(&Claim) -> Result<Recheck, Error>,
) -> Result<TakeoverOutcome, ClaimError> {
    let seat = match sit_down(claim, stale, clear_the_way(stale, recheck))? {
        Sitting::Seated(seat) => seat,
        other => return Ok(other.into()),
    };
    match take_away(seat.claim, |caught| caught.is(stale)) {
        Ok(Caught::Expected) => {
            close(seat, stale);
            Ok(TakeoverOutcome::Ended)
        }
        Ok(Caught::Nothing | Caught::Another) => {
            seat.close();
            Ok(TakeoverOutcome::Gone)
        }
        Err(error) => {
            seat.leave();
            match error {
                Error::Io { operation: Operation::Rename, error, .. } if is_forbidden(&error) => {
                    Ok(TakeoverOutcome::Forbidden(error))
                }
                error => Err(error.into()),
            }
        }
    }
}

/// Puts another lock file in the place of an incarnation whose lease may still run, but whose
/// holder has left it to others: like [`take_over`], one process at a time.
pub(crate) fn replace(
    claim: &mut Claim,
    left: &Incarnation,
    put_in_place: impl FnOnce(&Claim) -> Result<(), Error>,
) -> Result<TakeoverOutcome, ClaimError> {
    if !Safeguard::AdoptionTakesSeat.stands() {
        put_in_place(claim)?;
        return Ok(TakeoverOutcome::Ended);
    }
    let is_left = |claim: &Claim| recheck(&claim.context, left, |_| true);
    let seat = match sit_down(claim, left, clear_the_way(left, is_left))? {
        Sitting::Seated(seat) => seat,
        other => return Ok(other.into()),
    };
    match put_in_place(seat.claim) {
        Ok(()) => {
            close(seat, left);
            Ok(TakeoverOutcome::Ended)
        }
        Err(error) => {
            seat.leave();
            Err(error.into())
        }
    }
}

/// Tidies up after an incarnation that has ended. Its claim may still be there: because it was the
/// only evidence of who held the lock, or because its owner has restored its name.
fn close(seat: Seat<'_>, ended: &Incarnation) {
    let context = &seat.claim.context;
    if let Err(error) = remove_claim(context, ended) {
        events::left_behind(context, &ended.claim.path, &error);
    }
    seat.close();
}

impl From<Sitting<'_>> for TakeoverOutcome {
    fn from(sitting: Sitting<'_>) -> TakeoverOutcome {
        match sitting {
            Sitting::Seated(seat) => {
                seat.leave();
                TakeoverOutcome::NotNow
            }
            Sitting::Gone => TakeoverOutcome::Gone,
            Sitting::NotNow => TakeoverOutcome::NotNow,
        }
    }
}

/// Rechecks, and rechecks again after the server has executed another request for the inode:
/// whatever delays that request, for however long, does not delay later ones.
fn clear_the_way(
    stale: &Incarnation,
    mut recheck: impl FnMut(&Claim) -> Result<Recheck, Error>,
) -> impl FnOnce(&Claim) -> Result<Recheck, Error> {
    move |claim| {
        let seen = recheck(claim)?;
        if seen != Recheck::StillStale || !Safeguard::ClaimFirst.stands() {
            return Ok(seen);
        }
        // If the content identifies no claim, only the claim itself shows who held the lock.
        let goes = stale.evidence != Evidence::Directory;
        if !(goes && remove_claim(&claim.context, stale)?) {
            touch_lock_file(&claim.context)?;
        }
        recheck(claim)
    }
}

/// Waits, if there is no claim to remove, for all that delays changes of the lock file's inode:
/// setting its atime is harmless, whichever file it is by then. If that is not permitted, the delay
/// remains unknown.
pub(crate) fn touch_lock_file(context: &Context) -> Result<(), Error> {
    let lock = context.lock_path();
    match context.machine.retry_estale(|| context.machine.fs.touch_atime(lock)) {
        Err(error) if !is_gone(&error) && !is_forbidden(&error) => {
            Err(Error::io(Operation::Touch, lock)(error))
        }
        _ => Ok(()),
    }
}

/// Removes the claim of an incarnation, if it is the file that its name says, and returns whether
/// that was tried. If removing it is not permitted, taking the lock file away is not either.
fn remove_claim(context: &Context, of: &Incarnation) -> Result<bool, Error> {
    let path = &of.claim.path;
    if context.machine.find(path)?.is_none_or(|attr| attr.id != of.id) {
        return Ok(false);
    }
    match context.machine.remove(path) {
        Err(error) if !is_forbidden(&error) => Err(Error::io(Operation::Remove, path)(error)),
        _ => Ok(true),
    }
}
