//! Succession: ending an incarnation that is not ours, or is ours but late.
//!
//! `unlink(L)` is not conditional: a breaker that judged yesterday's holder removes today's. So the
//! right to end one incarnation X is itself won by a hard link, from a claim to X's seat:
//!
//! 1. Link the claim to seat 0. If a claim sits there that is no use any more, its owner died in
//!    the seat: on to seat 1, and so on. One process wins each seat, and a dead one's seat is never
//!    removed while L is still X.
//! 2. In the seat, look again: is L still X, and still over?
//! 3. Take L away by renaming it, and look at what came: X, and it is removed with its claim;
//!    another's, and it is put back.
//! 4. Only when L is no longer X, remove X's seats.
//!
//! A seat is as good as the claim in it: whoever takes one first touches the claim, and acts only
//! while it is fresh. Who finds that it has expired in the seat, after a stall, has forfeited it:
//! another may have passed it over and be in the next. It neither acts nor leaves nor comes back to
//! that seat, but tries for a later one. (The simulator found two breakers in two seats at once
//! where the first came to, left its seat, and so let a third into it.)
//!
//! Linking to the seat has a second use on NFS: the reply tells the client that others have changed
//! the directory, so that the second look does not go by a name that it has cached (RFC 1813,
//! `wcc_data`; RFC 8881, `change_info4`).

use std::io;
use std::path::{Path, PathBuf};

use crate::claim::{Claim, Kept};
use crate::context::{Context, is_forbidden, is_gone};
use crate::error::{Error, Operation};
use crate::fs::Attr;
use crate::judge::{Again, Incarnation, claim_in, is_abandoned};
use crate::names::Nonce;
use crate::report;
use crate::safeguard::Safeguard;

/// A seat in the succession of one incarnation, won for a claim.
#[derive(Debug)]
#[must_use = "a seat that is not left keeps others from breaking the lock"]
pub(crate) struct Seat<'a> {
    claim: &'a mut Claim,
    nonce: &'a Nonce,
    number: u32,
}

/// What came of ending an incarnation.
#[derive(Debug)]
pub(crate) enum Ending {
    /// We have ended it.
    Ended,
    /// It had ended already: the lock file is another's, or none.
    Gone,
    /// Not now: another is at it, or it is not over after all.
    NotNow,
    /// The file system does not permit it.
    Forbidden(io::Error),
    /// Our own claim was swept.
    Swept,
}

/// Ends an incarnation, if it is still over at the second look, for whoever has this claim.
pub(crate) fn end(
    claim: &mut Claim,
    over: &Incarnation,
    look_again: impl FnOnce(&Claim) -> Result<Again, Error>,
) -> Result<Ending, Error> {
    let seat = match sit_down(claim, over, look_again)? {
        Sitting::Seated(seat) => seat,
        Sitting::Gone => return Ok(Ending::Gone),
        Sitting::NotNow => return Ok(Ending::NotNow),
        Sitting::Swept => return Ok(Ending::Swept),
    };
    match take_away(seat.claim, |caught| caught.is(over)) {
        Ok(Caught::Expected) => {
            remove_claim(&seat.claim.context, over);
            seat.close();
            Ok(Ending::Ended)
        }
        Ok(Caught::Nothing | Caught::Another) => {
            seat.close();
            Ok(Ending::Gone)
        }
        Err(error) => {
            seat.leave();
            match error {
                Error::Io { operation: Operation::Rename, error, .. } if is_forbidden(&error) => {
                    Ok(Ending::Forbidden(error))
                }
                error => Err(error),
            }
        }
    }
}

/// What came of trying for a seat and looking again.
#[derive(Debug)]
pub(crate) enum Sitting<'a> {
    /// In the seat, with the lock file still the incarnation that is over.
    Seated(Seat<'a>),
    /// The lock file is another's, or none.
    Gone,
    /// Another is in the seat, or the incarnation is not over after all.
    NotNow,
    /// Our own claim was swept.
    Swept,
}

/// Touches the claim, takes the first seat that can be had, and looks again. The touch shows what
/// time it is on the server, and by that both others' seats and the lock are judged.
pub(crate) fn sit_down<'a>(
    claim: &'a mut Claim,
    over: &'a Incarnation,
    look_again: impl FnOnce(&Claim) -> Result<Again, Error>,
) -> Result<Sitting<'a>, Error> {
    if Safeguard::TouchBeforeSeat.stands() && claim.touch_by_server()? == Kept::Swept {
        return Ok(Sitting::Swept);
    }
    let seat = match Seat::take(claim, &over.claim.nonce)? {
        Seating::Seated(seat) => seat,
        Seating::Occupied => return Ok(Sitting::NotNow),
        Seating::Swept => return Ok(Sitting::Swept),
    };
    if !Safeguard::SecondLook.stands() {
        return Ok(Sitting::Seated(seat));
    }
    match look_again(seat.claim) {
        Ok(Again::StillOver) if seat.claim.is_fresh() => Ok(Sitting::Seated(seat)),
        Ok(Again::StillOver | Again::NotOver) => {
            seat.leave();
            Ok(Sitting::NotNow)
        }
        Ok(Again::Gone) => {
            seat.close();
            Ok(Sitting::Gone)
        }
        Err(error) => {
            seat.leave();
            Err(error)
        }
    }
}

/// What came of trying for a seat.
#[derive(Debug)]
enum Seating<'a> {
    Seated(Seat<'a>),
    /// Another is in the seat, and fresh.
    Occupied,
    /// Our own claim was swept.
    Swept,
}

impl<'a> Seat<'a> {
    /// Takes the first seat that nobody fresh is in. The claim must have been touched just now.
    fn take(claim: &'a mut Claim, nonce: &'a Nonce) -> Result<Seating<'a>, Error> {
        let context = claim.context.clone();
        let mut number = claim.first_seat(nonce);
        let mut attempts = 4;
        if !Safeguard::Seat.stands() {
            return Ok(Seating::Seated(Seat { claim, nonce, number }));
        }
        loop {
            let path = context.names.seat(nonce, number);
            let linked = context.until_fresh(|| context.fs.link(&claim.path, &path));
            // Whatever the reply was, or whether it was lost: the truth is the inode.
            let taken = match context.find(&path) {
                Ok(taken) => taken,
                Err(error) => {
                    get_up(&context, &linked, &path);
                    return Err(error);
                }
            };
            match (linked, taken) {
                (_, Some(attr)) if attr.id == claim.id => {
                    return Ok(Seating::Seated(Seat { claim, nonce, number }));
                }
                (_, Some(attr)) => {
                    let other = claim_in(&context, &path);
                    if !is_abandoned(&context, &attr, other.as_ref()) {
                        return Ok(Seating::Occupied);
                    }
                    number += 1;
                }
                (Err(error), None) if is_gone(&error) => return Ok(Seating::Swept),
                (Err(error), None) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(Error::io(Operation::Link, &path)(error));
                }
                // It was left in this very moment: try for it again, but not for ever.
                (_, None) if attempts > 0 => attempts -= 1,
                (_, None) => {
                    let gone = io::Error::from_raw_os_error(libc::ENOENT);
                    get_up(&context, &Ok(()), &path);
                    return Err(Error::io(Operation::Stat, &path)(gone));
                }
            }
        }
    }

    /// Leaves the seat while the lock file is still the incarnation that it belongs to. The seats
    /// of those who died in theirs stay, and so does this one if it is forfeited: they must be
    /// passed over, not taken.
    pub(crate) fn leave(self) {
        if !Safeguard::SeatsOfTheDead.stands() {
            return self.close();
        }
        if self.claim.is_fresh() || !Safeguard::ForfeitedSeat.stands() {
            self.remove(self.number);
        } else {
            self.claim.forfeited = Some((self.nonce.clone(), self.number));
        }
    }

    /// Leaves the seat and removes those below it. The lock file is another's now, or none.
    pub(crate) fn close(self) {
        for number in 0..=self.number {
            self.remove(number);
        }
    }

    fn remove(&self, number: u32) {
        let context = &self.claim.context;
        let path = context.names.seat(self.nonce, number);
        if let Err(error) = context.remove(&path) {
            report::left_behind(context, &path, &error);
        }
    }
}

/// Leaves a seat that was linked but can't be looked at. One that was not may be another's.
fn get_up(context: &Context, linked: &io::Result<()>, seat: &Path) {
    if linked.is_ok() {
        let _ = context.remove(seat); // or it is swept once it has expired
    }
}

/// What was found to have been taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caught {
    Expected,
    /// Nothing: the lock file was gone already.
    Nothing,
    /// Another's, which was put back.
    Another,
}

/// A file that had the lock file's name until it was renamed.
pub(crate) struct Aside<'a> {
    context: &'a Context,
    lock: &'a Path,
    path: PathBuf,
    pub(crate) attr: Attr,
}

/// Takes the lock file away, if it is what it should be. Whoever calls this is in a seat of that
/// incarnation or holds the lock.
pub(crate) fn take_away(
    claim: &Claim,
    is_expected: impl FnOnce(&Aside) -> bool,
) -> Result<Caught, Error> {
    let context = &claim.context;
    // A fresh name each time: a request that is repeated late must not find it in use.
    let path = context.names.aside(&claim.name.nonce, context.random_number());
    catch(context, context.lock(), path, is_expected)
}

/// Takes a file away by renaming it to `path`, and looks at what came.
///
/// A request that is executed twice, and a peer that keeps to no seats, can make the rename catch
/// another's lock file. It is put back.
pub(crate) fn catch(
    context: &Context,
    lock: &Path,
    path: PathBuf,
    is_expected: impl FnOnce(&Aside) -> bool,
) -> Result<Caught, Error> {
    let Some(aside) = Aside::put(context, lock, path)? else { return Ok(Caught::Nothing) };
    let caught = if is_expected(&aside) || !Safeguard::LookAtCatch.stands() {
        Caught::Expected
    } else {
        aside.put_back()?;
        Caught::Another
    };
    aside.remove()?;
    Ok(caught)
}

impl<'a> Aside<'a> {
    /// Renames the lock file and looks at what came. `None` if nothing did.
    fn put(
        context: &'a Context,
        lock: &'a Path,
        path: PathBuf,
    ) -> Result<Option<Aside<'a>>, Error> {
        let renamed = context.fs.rename(lock, &path);
        // If the first of two replies was lost, the second says ENOENT: look at what came.
        // What is there is nobody's to remove but ours: that is worth a second try.
        let caught = context.find(&path).or_else(|_| context.find(&path))?;
        match (caught, renamed) {
            (Some(attr), _) => Ok(Some(Aside { context, lock, path, attr })),
            (None, Err(error)) if !is_gone(&error) => {
                Err(Error::io(Operation::Rename, lock)(error))
            }
            (None, _) => Ok(None),
        }
    }

    /// Whether it was this incarnation's lock file.
    pub(crate) fn is(&self, incarnation: &Incarnation) -> bool {
        let named = || claim_in(self.context, &self.path);
        self.attr.id == incarnation.id && named().is_none_or(|name| name == incarnation.claim)
    }

    /// Gives a lock file that was caught by mistake its name back.
    fn put_back(&self) -> Result<(), Error> {
        let lock = self.lock;
        let linked = self.context.fs.link(&self.path, lock);
        report::caught_another(lock);
        match linked {
            // EEXIST: a third has taken the lock meanwhile, or our own first request did it.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(Error::io(Operation::Link, lock)(error))
            }
            _ => Ok(()),
        }
    }

    fn remove(self) -> Result<(), Error> {
        let removed = self.context.remove(&self.path);
        removed.map(|_| ()).map_err(Error::io(Operation::Remove, &self.path))
    }
}

/// Removes the claim of an incarnation that has ended, if it is what its name says.
fn remove_claim(context: &Context, ended: &Incarnation) {
    let path = &ended.claim.path;
    if matches!(context.find(path), Ok(Some(attr)) if attr.id == ended.id) {
        if let Err(error) = context.remove(path) {
            report::left_behind(context, path, &error);
        }
    }
}
