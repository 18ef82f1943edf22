//! Seats: the right to end one incarnation, for a short time.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::error::{Error, Operation};
use crate::events;
use crate::model::context::Context;
use crate::model::lease::{Lease, ObservedDate, SEAT_LEASE};
use crate::model::names::{ClaimName, LAST_SEAT, Nonce};
use crate::model::safeguard::Safeguard;
use crate::protocol::claim::{Claim, ClaimError};
use crate::protocol::observe::{Incarnation, Recheck, claim_in, is_dated_over, life};
use crate::sys::errno::{self, is_gone};
use crate::sys::fs::Attr;
use crate::sys::process::Life;

/// A seat in the succession of one incarnation, won for a claim.
#[derive(Debug)]
#[must_use = "a seat that is not left keeps others from breaking the lock"]
pub(crate) struct Seat<'a> {
    pub(super) claim: &'a mut Claim,
    nonce: &'a Nonce,
    number: u32,
    lease: Lease,
}

/// What came of trying for a seat and looking again.
#[derive(Debug)]
pub(crate) enum Sitting<'a> {
    /// In the seat, with the lock file still the incarnation that is stale.
    Seated(Seat<'a>),
    /// The lock file is another's, or none.
    Gone,
    /// Another is in the seat, or the incarnation is not over after all.
    NotNow,
}

/// Touches the claim, takes the first seat that is free, and looks again. The touch shows what
/// time it is on the server, and by that both others' seats and the lock are judged.
pub(crate) fn sit_down<'a>(
    claim: &'a mut Claim,
    stale: &'a Incarnation,
    recheck: impl FnOnce(&Claim) -> Result<Recheck, Error>,
) -> Result<Sitting<'a>, ClaimError> {
    let lease = Lease { ends: claim.context.now().saturating_add(SEAT_LEASE) };
    if Safeguard::TouchBeforeSeat.stands() {
        claim.touch_by_server()?;
    }
    let Some(seat) = Seat::take(claim, &stale.claim.nonce, lease)? else {
        return Ok(Sitting::NotNow);
    };
    if !Safeguard::SecondLook.stands() {
        return Ok(Sitting::Seated(seat));
    }
    match recheck(seat.claim) {
        Ok(Recheck::StillStale) if seat.is_good() => Ok(Sitting::Seated(seat)),
        Ok(Recheck::StillStale | Recheck::NotStale) => {
            seat.leave();
            Ok(Sitting::NotNow)
        }
        Ok(Recheck::Gone) => {
            seat.close();
            Ok(Sitting::Gone)
        }
        Err(error) => {
            seat.leave();
            Err(error.into())
        }
    }
}

impl<'a> Seat<'a> {
    /// Takes the first seat that nobody is in who may still act; `None` if somebody is. The claim must
    /// have been touched just now.
    fn take(
        claim: &'a mut Claim,
        nonce: &'a Nonce,
        lease: Lease,
    ) -> Result<Option<Seat<'a>>, ClaimError> {
        let context = claim.context.clone();
        let mut number = claim.first_seat(nonce);
        let (mut attempts, mut was_linked) = (4, false);
        if !Safeguard::Seat.stands() {
            return Ok(Some(Seat { claim, nonce, number, lease }));
        }
        loop {
            let path = context.names.seat(nonce, number);
            let before = context.now();
            let linked = context.retry_estale(|| context.fs.link(&claim.path, &path));
            was_linked |= linked.is_ok();
            // Whatever the reply was, or whether it was lost: the truth is the inode.
            let taken = match context.find(&path) {
                Ok(taken) => taken,
                Err(error) => {
                    // It may be ours all the same.
                    let seat = Seat { claim, nonce, number, lease };
                    seat.give_up(was_linked);
                    return Err(error.into());
                }
            };
            match (linked, taken) {
                (_, Some(attr)) if attr.id == claim.id => {
                    let seat = Seat { claim, nonce, number, lease };
                    return Ok(seat.if_those_before_are_there()?);
                }
                // Its name is ours, and shows another inode: there are no hard links here.
                (Ok(()), Some(_))
                    if claim_in(&context, &path).is_some_and(|it| it == claim.name) =>
                {
                    let _ = context.remove(&path);
                    return Err(context.no_hard_links(&claim.path, None).into());
                }
                (_, Some(_)) if number >= LAST_SEAT => return Ok(None),
                (_, Some(attr)) => {
                    if !is_forsaken(&context, &path, &attr) && !claim.sees_forsaken(&attr, before) {
                        return Ok(None);
                    }
                    claim.seats_passed = Some((nonce.clone(), number));
                    (number, was_linked) = (number + 1, false);
                }
                (Err(error), None) if is_gone(&error) => return Err(ClaimError::Swept),
                (Err(error), None) if error.kind() != io::ErrorKind::AlreadyExists => {
                    Seat { claim, nonce, number, lease }.forfeit(); // it may be made yet
                    return Err(Error::io(Operation::Link, &path)(error).into());
                }
                // It was left in this very moment: try for it again, but not for ever.
                (_, None) if attempts > 0 => attempts -= 1,
                (_, None) => {
                    Seat { claim, nonce, number, lease }.give_up(was_linked);
                    return Err(Error::io(Operation::Stat, &path)(errno::gone()).into());
                }
            }
        }
    }

    /// A client may have shown a seat that is there no more, and that another may take. But the link
    /// to this one has told it that the directory has changed, so that it asks again.
    fn if_those_before_are_there(self) -> Result<Option<Seat<'a>>, Error> {
        for number in 0..self.number {
            let path = self.claim.context.names.seat(self.nonce, number);
            let is_there = match self.claim.context.find(&path) {
                Ok(found) => found.is_some() || !Safeguard::SeatsBefore.stands(),
                Err(error) => {
                    self.leave();
                    return Err(error);
                }
            };
            if !is_there {
                self.claim.seats_passed = None;
                self.claim.is_out_of(number);
                self.leave();
                return Ok(None);
            }
        }
        Ok(Some(self))
    }

    /// It can't be looked at: it is ours if the link was made, and may be ours or another's if not.
    fn give_up(self, was_linked: bool) {
        if was_linked {
            self.leave();
        } else {
            self.forfeit();
        }
    }

    /// The lease of the claim in it.
    pub(crate) fn lease_of_claim(&self) -> Lease {
        self.claim.lease
    }

    /// Whether its owner may act in it still.
    fn is_good(&self) -> bool {
        self.lease.runs(self.claim.context.now()) || !Safeguard::SeatLease.stands()
    }

    /// Leaves the seat while the lock file is still the incarnation that it belongs to. The seats
    /// of those who died in theirs stay, and so does this one if it is forfeited: they must be
    /// passed stale, not taken.
    ///
    /// The removal of the seat must not be held back until another has passed it stale. So the claim is
    /// touched first, which has to wait for the same and hurts nobody.
    pub(crate) fn leave(self) {
        if !Safeguard::SeatsOfTheDead.stands() {
            return self.close();
        }
        let mut touch = || self.claim.touch().is_ok();
        let in_time = (touch() || touch()) && self.is_good();
        let may_leave = in_time || !Safeguard::ForfeitedSeat.stands();
        if !may_leave || !self.remove(self.number) {
            self.forfeit();
        }
    }

    /// Does not come back to the seat, or to those before it.
    fn forfeit(self) {
        if Safeguard::ForfeitedSeat.stands() {
            self.claim.forfeited = Some((self.nonce.clone(), self.number));
            self.claim.forfeited_at = self.claim.context.now();
        }
    }

    /// Leaves the seat and removes those below it. The lock file is another's now, or none.
    pub(crate) fn close(self) {
        for number in 0..=self.number {
            self.remove(number);
        }
    }

    /// Removes a seat, and says whether that is sure.
    fn remove(&self, number: u32) -> bool {
        let context = &self.claim.context;
        let path = context.names.seat(self.nonce, number);
        let removed = context.remove(&path);
        if let Err(error) = &removed {
            events::left_behind(context, &path, error);
        }
        removed.is_ok()
    }
}

/// Whether the process in a seat can't act in it any more, by its date or by its death. A claim in a
/// seat was last changed when it was linked to it, or later.
pub(crate) fn is_forsaken(context: &Context, seat: &Path, attr: &Attr) -> bool {
    let ends = attr.ctime.checked_add(SEAT_LEASE);
    if ends.is_some_and(|ends| is_dated_over(context, attr.ctime, ends)) {
        return true;
    }
    // Only where a death counts at once need anybody know whose it was.
    let is_dead = |claim: &ClaimName| life(context, claim) == Life::Dead;
    context.is_local() && claim_in(context, seat).as_ref().is_some_and(is_dead)
}

impl Claim {
    /// A seat is not there. If it is the one that was forfeited, and the link to it would have been made
    /// by now, the claim is out of it.
    fn is_out_of(&mut self, number: u32) {
        let since = self.context.now().saturating_sub(self.forfeited_at);
        let is_it = |(_, forfeited): &mut (Nonce, u32)| *forfeited == number;
        if since >= self.context.clock_slop {
            if let Some((of, _)) = self.forfeited.take_if(is_it) {
                // It may be in one before.
                self.forfeited = number.checked_sub(1).map(|before| (of, before));
            }
        }
    }

    /// Removes the seats of its own tenure that it has left behind as a holder that was late, now that
    /// the lock file is no longer its.
    pub(crate) fn remove_seats_left(&mut self) {
        let nonce = self.name.nonce.clone();
        if let Some((_, number)) = self.forfeited.take_if(|(of, _)| *of == nonce) {
            let lease = Lease { ends: Duration::ZERO };
            Seat { claim: self, nonce: &nonce, number, lease }.close();
        }
    }

    /// Whether another's claim has been seen unchanged in its seat for so long that it can't act in it
    /// any more: its date may be one that is yet to come, if the server's clock was set back.
    fn sees_forsaken(&mut self, other: &Attr, before: Duration) -> bool {
        match &mut self.seen_in_seat {
            Some(seen) if seen.is(other.id, other.ctime) => {
                seen.until = before;
                seen.unchanged_for() >= SEAT_LEASE.saturating_add(self.context.clock_slop)
            }
            seen => {
                *seen = Some(ObservedDate::begin(other.id, other.ctime, self.context.now()));
                false
            }
        }
    }
}
