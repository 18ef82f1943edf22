//! Seats: the right to end one incarnation, for a short time.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::error::{Error, Operation};
use crate::events;
use crate::model::context::Context;
use crate::model::lease::{Lease, SEAT_LEASE};
use crate::model::names::{ClaimName, LAST_SEAT};
use crate::model::nonce::Nonce;
use crate::model::safeguard::Safeguard;
use crate::model::server_clock::ObservedDate;
use crate::protocol::claim::{Claim, ClaimError};
use crate::protocol::observe::{Incarnation, Recheck, claim_in, is_dated_over, life};
use crate::sys::dates::coarseness;
use crate::sys::errno::{self, is_gone};
use crate::sys::fs::Attr;
use crate::sys::process::Life;

/// A seat in the takeover of one incarnation, won for a claim.
#[derive(Debug)]
#[must_use = "a seat that is not left keeps others from breaking the lock"]
pub(crate) struct Seat<'a> {
    pub(super) claim: &'a mut Claim,
    nonce: &'a Nonce,
    number: u32,
    lease: Lease,
}

/// The outcome of trying for a seat and rechecking.
#[derive(Debug)]
pub(crate) enum Sitting<'a> {
    /// In the seat, with the lock file still the stale incarnation.
    Seated(Seat<'a>),
    /// The lock file is another process's, or there is none.
    Gone,
    /// Another process is in the seat, or the incarnation is not stale after all.
    NotNow,
}

/// Touches the claim, takes the first seat that is free, and rechecks. The touch shows the server's
/// time, which decides about other seats and about the lock.
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
    if !Safeguard::Recheck.stands() {
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
    /// Takes the first free seat, passing over those whose owners can no longer act; `None` if an
    /// owner still may. The claim must have been touched just now.
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
            let linked =
                context.machine.retry_estale(|| context.machine.fs.link(&claim.path, &path));
            was_linked |= linked.is_ok();
            // The reply may be wrong or lost: the inode decides.
            let taken = match context.machine.find(&path) {
                Ok(taken) => taken,
                Err(error) => {
                    // The seat may be ours nevertheless.
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
                // The seat names our claim, but is another inode: there are no hard links here.
                (Ok(()), Some(_))
                    if claim_in(&context, &path).is_some_and(|it| it == claim.name) =>
                {
                    let _ = context.machine.remove(&path);
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
                    Seat { claim, nonce, number, lease }.forfeit(); // the link may still be made
                    return Err(Error::io(Operation::Link, &path)(error).into());
                }
                // The seat was left at this very moment: try for it again, but not for ever.
                (_, None) if attempts > 0 => attempts -= 1,
                (_, None) => {
                    Seat { claim, nonce, number, lease }.give_up(was_linked);
                    return Err(Error::io(Operation::Stat, &path)(errno::gone()).into());
                }
            }
        }
    }

    /// A client may have shown an earlier seat that no longer exists, and that another process may
    /// take. But the link to this seat has shown the client that the directory has changed, so it
    /// asks the server again.
    fn if_those_before_are_there(self) -> Result<Option<Seat<'a>>, Error> {
        for number in 0..self.number {
            let path = self.claim.context.names.seat(self.nonce, number);
            let is_there = match self.claim.context.machine.find(&path) {
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

    /// Gives up a seat that cannot be checked: it is ours if the link was made, and otherwise may
    /// be ours or another's.
    fn give_up(self, was_linked: bool) {
        if was_linked {
            self.leave();
        } else {
            self.forfeit();
        }
    }

    /// The lease of the claim in the seat.
    pub(crate) fn lease_of_claim(&self) -> Lease {
        self.claim.lease
    }

    /// Whether the seat's owner may still act in it.
    fn is_good(&self) -> bool {
        self.lease.runs(self.claim.context.now()) || !Safeguard::SeatLease.stands()
    }

    /// Leaves the seat while the lock file is still the incarnation that it belongs to. The seats
    /// of processes that died in them stay, and so does this one if it is forfeited: they must be
    /// passed over, not taken.
    ///
    /// The removal of the seat must not be delayed until another process has passed it over. So the
    /// claim is touched first, which has to wait for the same delay and is harmless.
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

    /// Forfeits the seat: the claim does not come back to it, or to those before it.
    fn forfeit(self) {
        if Safeguard::ForfeitedSeat.stands() {
            self.claim.forfeited = Some((self.nonce.clone(), self.number));
            self.claim.forfeited_at = self.claim.context.now();
        }
    }

    /// Leaves the seat and removes those below it. The lock file is another process's now, or there
    /// is none.
    pub(crate) fn close(self) {
        for number in 0..=self.number {
            self.remove(number);
        }
    }

    /// Removes a seat; returns whether that is certain.
    fn remove(&self, number: u32) -> bool {
        let context = &self.claim.context;
        let path = context.names.seat(self.nonce, number);
        let removed = context.machine.remove(&path);
        if let Err(error) = &removed {
            events::left_behind(context, &path, error);
        }
        removed.is_ok()
    }
}

/// Whether the process in a seat can no longer act in it, by its date or by its death. A claim in a
/// seat was last changed when it was linked to the seat, or later. A coarse date may be older than
/// that, and hides a jump of the clock by as much.
pub(crate) fn is_forsaken(context: &Context, seat: &Path, attr: &Attr) -> bool {
    let ends = attr.ctime.checked_add(2 * coarseness(attr.ctime) + SEAT_LEASE);
    if ends.is_some_and(|ends| is_dated_over(context, attr.ctime, ends)) {
        return true;
    }
    // The owner of the seat matters only where a death counts at once.
    let is_dead = |claim: &ClaimName| life(context, claim) == Life::Dead;
    context.is_local() && claim_in(context, seat).as_ref().is_some_and(is_dead)
}

impl Claim {
    /// Takes note that a seat does not exist. If it is the forfeited one, and the link to it would
    /// have been made by now, the claim is out of it.
    fn is_out_of(&mut self, number: u32) {
        let since = self.context.now().saturating_sub(self.forfeited_at);
        let is_it = |(_, forfeited): &mut (Nonce, u32)| *forfeited == number;
        if since >= self.context.config.clock_slop {
            if let Some((of, _)) = self.forfeited.take_if(is_it) {
                // The claim may still be in an earlier seat.
                self.forfeited = number.checked_sub(1).map(|before| (of, before));
            }
        }
    }

    /// Removes the seats of its own tenure that the claim left behind as a late holder's, now that
    /// the lock file is no longer its own.
    pub(crate) fn remove_seats_left(&mut self) {
        let nonce = self.name.nonce.clone();
        if let Some((_, number)) = self.forfeited.take_if(|(of, _)| *of == nonce) {
            let lease = Lease { ends: Duration::ZERO };
            Seat { claim: self, nonce: &nonce, number, lease }.close();
        }
    }

    /// Whether another's claim has been observed unchanged in its seat for so long that its owner
    /// can no longer act in it: its date may lie in the future, if the server's clock was set back.
    fn sees_forsaken(&mut self, other: &Attr, before: Duration) -> bool {
        match &mut self.seen_in_seat {
            Some(seen) if seen.is(other.id, other.ctime) => {
                seen.until = before;
                seen.unchanged_for() >= SEAT_LEASE.saturating_add(self.context.config.clock_slop)
            }
            seen => {
                *seen = Some(ObservedDate::begin(other.id, other.ctime, self.context.now()));
                false
            }
        }
    }
}
