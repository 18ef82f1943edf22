//! Decides whether a held lock is stale.
//!
//! A date shows when a lease ends, by the server's clock. A clock can be set, so what this process
//! has observed on its own clock outweighs a date: a lock file whose date has not changed for as
//! long as its lease was to run has an expired lease; and a holder that is provably alive, or whose
//! date is from before a jump of the clock, may have renewed in time, whatever the date says now.

use std::io;
use std::time::{Duration, SystemTime};

use crate::error::{Error, Operation};
use crate::holder::{Holder, Obstacle};
use crate::model::context::Context;
use crate::model::lease::SEAT_LEASE;
use crate::model::names::ClaimName;
use crate::model::safeguard::Safeguard;
use crate::model::server_clock::ObservedDate;
use crate::policy::StalePolicy;
use crate::protocol::claim::Claim;
use crate::protocol::observe::{
    Evidence, Incarnation, Observation, Recheck, has_expired, held, observe_file, unreadable,
};
use crate::sys::dates::coarseness;
use crate::sys::fs::Attr;
use crate::sys::process::Life;

/// Our own clock may be faster than the holder's by one part in this many, which is far more than
/// the error of any crystal.
const CLOCK_ERROR: u32 = 1000;

/// What a contender knows of the lock, from one observation to the next.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    /// The last observation: a lock file that has not changed since need not be read again, if its
    /// date shows that it is the same.
    last: Option<(Attr, Seen)>,
    /// Since when the lock file has been observed with the same date.
    observed: Option<Watched>,
    /// The jump of the server's clock after which the lock file was seen refreshed: only then is its
    /// date from after the jump. Any other change of its inode shows nothing about the date.
    refreshed_after: Option<SystemTime>,
    /// Since when the holder of this claim has been observed dead.
    dead_since: Option<(ClaimName, Duration)>,
}

/// A lock file that has had the same date in all observations so far.
#[derive(Clone, Copy, Debug)]
struct Watched {
    seen: ObservedDate,
    /// The length of its lease when it was first observed.
    length: Duration,
    /// The last jump of the server's clock that was known by then.
    jumped_to: Option<SystemTime>,
}

/// The result of an observation, without the file's attributes.
#[derive(Clone, Debug)]
enum Seen {
    Held(Incarnation),
    NotALock,
    Unreadable(i32),
}

/// What a contender may do.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Link: the lock is free.
    Free,
    /// Nothing: the contender's own claim holds the lock. The reply to its LINK was lost.
    Mine,
    /// Give up: the lock file has the content of our claim, but is another inode.
    NotLinked,
    /// Take over: the incarnation is stale.
    Stale(Incarnation, Holder),
    Wait(Obstacle),
}

impl Observer {
    /// Observes the lock for the contender with `claim`, and decides what it may do.
    pub(crate) fn observe(&mut self, claim: &Claim) -> Result<Verdict, Error> {
        Ok(match self.latest(&claim.context)? {
            Observation::Free => Verdict::Free,
            Observation::Held(held, _) if held.claim == claim.name => {
                if held.id == claim.id {
                    Verdict::Mine
                } else {
                    Verdict::NotLinked
                }
            }
            Observation::Held(held, holder) if self.is_stale(claim, &held, &holder) => {
                Verdict::Stale(held, holder)
            }
            Observation::Held(_, holder) => Verdict::Wait(Obstacle::Holder(holder)),
            Observation::NotALock => Verdict::Wait(Obstacle::NotALock),
            Observation::Unreadable(error) => {
                let attr = self.last.as_ref().map(|(attr, _)| attr);
                Verdict::Wait(unreadable(&claim.context, attr, error))
            }
        })
    }

    /// The contender's recheck, in the seat.
    pub(crate) fn recheck(&mut self, claim: &Claim, stale: &Incarnation) -> Result<Recheck, Error> {
        Ok(match self.latest(&claim.context)? {
            Observation::Held(held, holder) if held.is(stale) => {
                if self.is_stale(claim, &held, &holder) {
                    Recheck::StillStale
                } else {
                    Recheck::NotStale
                }
            }
            Observation::Free | Observation::Held(..) => Recheck::Gone,
            Observation::NotALock => Recheck::NotStale,
            Observation::Unreadable(error) => {
                return Err(Error::io(Operation::Read, claim.context.lock_path())(error));
            }
        })
    }

    /// Observes the lock file: by one request, if it has not changed since the last time.
    fn latest(&mut self, context: &Context) -> Result<Observation, Error> {
        let before = context.now();
        let Some(attr) = context.machine.find(context.lock_path())? else {
            (self.last, self.observed, self.refreshed_after) = (None, None, None);
            return Ok(Observation::Free);
        };
        self.note(context, &attr, before);
        // A date in whole seconds has no tag, so that a lock file with a reused inode number may have
        // the same one.
        let is_telling = coarseness(attr.mtime).is_zero();
        if let Some((_, seen)) = self.last.as_ref().filter(|(last, _)| is_telling && *last == attr)
        {
            return Ok(seen.sight(context, &attr));
        }
        let sight = observe_file(context, &attr)?;
        let seen = Seen::of(&sight).map(|seen| (attr, seen));
        // The waiting time begins when no process can tell any more who holds the lock.
        if is_nameless(seen.as_ref()) && !is_nameless(self.last.as_ref()) {
            self.observed = None;
            self.note(context, &attr, before);
        }
        self.last = seen;
        Ok(sight)
    }

    fn note(&mut self, context: &Context, attr: &Attr, before: Duration) {
        let jumped_to = context.memory.server.jumped_to();
        match &mut self.observed {
            Some(watched) if watched.seen.is(attr.id, attr.mtime) => watched.seen.until = before,
            other => {
                let is_refreshed =
                    |it: &Watched| it.seen.is_of(attr.id) && it.jumped_to == jumped_to;
                self.refreshed_after =
                    jumped_to.filter(|_| other.as_ref().is_some_and(is_refreshed));
                let seen = ObservedDate::begin(attr.id, attr.mtime, context.now());
                *other = Some(Watched { seen, length: length_of_lease(context, attr), jumped_to });
            }
        }
    }

    /// Whether the policy lets the contender with `claim` take over this tenure.
    fn is_stale(&mut self, claim: &Claim, held: &Incarnation, holder: &Holder) -> bool {
        match claim.context.config.stale {
            StalePolicy::Never => false,
            StalePolicy::Expired => self.lease_is_over(claim, held, holder),
            StalePolicy::ExpiredOrDead => {
                self.lease_is_over(claim, held, holder)
                    || self.is_dead(&claim.context, held, holder)
            }
        }
    }

    /// Whether the holder's lease has been expired for at least the clock slop: by its date, where
    /// that is reliable, or because the lock file has been observed unchanged for as long.
    fn lease_is_over(&self, claim: &Claim, held: &Incarnation, holder: &Holder) -> bool {
        let (context, slop) = (&claim.context, claim.context.config.clock_slop);
        let watched = self.observed.filter(|it| it.seen.is(held.id, holder.expires_at));
        let unchanged = watched.map_or(Duration::ZERO, |it| it.seen.unchanged_for());
        let length = watched.map(|it| it.length).filter(|length| !length.is_zero());
        // A lease of unknown length is taken to be as long as our own.
        let length = length.unwrap_or(claim.lifetime);
        let at_least = length.saturating_add(length / CLOCK_ERROR).saturating_add(slop);
        let ran_out = unchanged >= at_least && Safeguard::ObservedUnchanged.stands();
        let is_comparable = context.memory.server.jumped_to() == self.refreshed_after
            || !Safeguard::ObservedAfterJump.stands();
        let is_dated_over = is_comparable && has_expired(context, holder.expires_at);
        match holder.life {
            Life::Alive if Safeguard::ObservedAlive.stands() => ran_out,
            // Its maker and its age are unknown: it must be observed unchanged.
            _ if held.evidence == Evidence::Nothing => {
                (ran_out || is_dated_over) && unchanged >= rest_of_the_nameless(context)
            }
            _ => ran_out || is_dated_over,
        }
    }

    /// Whether the holder is dead and none of its requests is still under way. On a local file
    /// system none ever is. A request to a server may outlive its process: it gets the clock slop,
    /// as every request does.
    fn is_dead(&mut self, context: &Context, held: &Incarnation, holder: &Holder) -> bool {
        if holder.life != Life::Dead {
            self.dead_since = None;
            return false;
        }
        let now = context.now();
        let since = match &self.dead_since {
            Some((claim, since)) if *claim == held.claim => *since,
            _ => self.dead_since.insert((held.claim.clone(), now)).1,
        };
        let nothing_is_under_way = context.is_local() || !Safeguard::RestForTheDead.stands();
        nothing_is_under_way || now.saturating_sub(since) >= context.config.clock_slop
    }
}

/// The length of the lease of a lock file that was first observed now. What is left of it, where the
/// ctime does not show when it began; zero if that is unknown too.
fn length_of_lease(context: &Context, attr: &Attr) -> Duration {
    if attr.is_changed_at_mtime() {
        return attr.mtime.duration_since(context.server_time()).unwrap_or_default();
    }
    attr.lease_length()
}

/// How long a lock file must be observed without a name: until processes that knew its holder have
/// acted. A power cut leaves none of them on the machine itself, but a client of a server may be in
/// a seat.
fn rest_of_the_nameless(context: &Context) -> Duration {
    let seat = if context.is_this_machines_alone() { Duration::ZERO } else { SEAT_LEASE };
    seat.saturating_add(context.config.clock_slop)
}

fn is_nameless(seen: Option<&(Attr, Seen)>) -> bool {
    matches!(seen, Some((_, Seen::Held(it))) if it.evidence == Evidence::Nothing)
}

impl Seen {
    fn of(sight: &Observation) -> Option<Seen> {
        match sight {
            Observation::Free => None,
            Observation::Held(incarnation, _) => Some(Seen::Held(incarnation.clone())),
            Observation::NotALock => Some(Seen::NotALock),
            Observation::Unreadable(error) => error.raw_os_error().map(Seen::Unreadable),
        }
    }

    /// Repeats the last observation, for a lock file that still has these attributes.
    fn sight(&self, context: &Context, attr: &Attr) -> Observation {
        match self {
            Seen::Held(it) => held(context, attr, it.claim.clone(), it.evidence),
            Seen::NotALock => Observation::NotALock,
            Seen::Unreadable(errno) => {
                Observation::Unreadable(io::Error::from_raw_os_error(*errno))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::holder::Role;
    use crate::model::names::Names;
    use crate::sys::fs::FileId;
    use crate::sys::process::Process;

    #[test]
    fn a_tenure_is_identified_by_inode_number_and_name_together() {
        let names =
            Names::new(Path::new("/shared/lock"), '|', "host".as_ref(), Role::Alone).unwrap();
        let claim = |random| names.new_claim(random, &Process { pid: 1, proof: None });
        let tenure = |ino, random, evidence| Incarnation {
            id: FileId { dev: 1, ino },
            claim: claim(random),
            evidence,
        };
        let this = tenure(1, 1, Evidence::Content);
        assert!(this.is(&tenure(1, 1, Evidence::Directory)), "its content was lost");
        assert!(!this.is(&tenure(1, 2, Evidence::Content)), "its inode number was reused");
        assert!(!this.is(&tenure(2, 1, Evidence::Content)), "its content was copied");
    }
}
