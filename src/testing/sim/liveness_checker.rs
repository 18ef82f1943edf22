//! What must be so when all have ended: the next comer has the lock, and nothing is left behind.

use std::path::Path;
use std::time::Duration;

use super::actor::Actor;
use super::constants::{DOTLOCK, FENCE, FOREIGN, LIFETIME, MAILBOX, PATH, POLL, REST, SLOP};
use super::faults::Faults;
use super::mail_programs;
use super::run::{Run, STRANGERS};
use super::scenario::Workload;
use super::schedule::{Choice, Schedule};
use crate::model::lease::SEAT_LEASE;
use crate::policy::StalePolicy;

impl Run<'_> {
    /// The next contender gets the lock in time, whatever the dead have left.
    pub(super) fn next_comer(&mut self) -> Option<String> {
        self.faults = Faults::default();
        let mut world = self.world();
        let held = world.server.find(Path::new(PATH));
        if world.safety.excuse.is_some()
            || self.scenario.policy == StalePolicy::Never && held.is_some()
        {
            return None;
        }
        // The longer it took to ask what time it is on the server, the further ahead a lease may end:
        // but for no longer than the run took, or by as much as the server's clock was set back.
        let last = world.server.last_lease().unwrap_or_default().saturating_sub(world.now);
        let longest = self.scenario.lifetime;
        if last > longest + world.now + world.server.clock_error() {
            return Some(format!("a lease runs for {last:?} to come"));
        }
        // Whatever the dates are: what is seen unchanged for as long as its lease is over.
        let last = match world.server.longest_lease() {
            // One that was changed after its end is taken to have been as long as the own lease.
            Some(Duration::ZERO) if !world.server.clock_error().is_zero() => last.min(longest),
            Some(observed) if !world.server.clock_error().is_zero() => last.min(observed),
            _ => last,
        };
        let tells_holder = world.server.tells_holder();
        let deathbed = held.and_then(|file| world.safety.deathbed(file));
        let by_death = |&(client, _): &(usize, u64)| {
            self.scenario.policy_on(client) == StalePolicy::ExpiredOrDead
        };
        let is_now = |&(client, boot): &(usize, u64)| world.clients[client].boot == boot;
        let deathbed = deathbed
            .filter(|_| tells_holder)
            .filter(by_death)
            .filter(is_now)
            .map(|(client, _)| client);
        let slop = self.scenario.longest_slop();
        let bound = match deathbed {
            _ if held.is_none() => Duration::from_secs(1),
            // A breaker that died in its seat must be passed over by its lease.
            Some(_) if !world.server.has_seats() => {
                let dead_wait = if world.safety.rules.local { Duration::ZERO } else { slop };
                dead_wait + 2 * POLL
            }
            // What nobody knows is ended once it was seen unchanged for the slop.
            _ if !tells_holder => last + SEAT_LEASE + 2 * slop + 2 * POLL,
            // A sweep of a dead breaker's claim changes the inode that is in the seat.
            // Where its date is yet to come the seat is watched after the lock file was.
            _ if world.server.has_seats() && !world.server.clock_error().is_zero() => {
                last + slop + SEAT_LEASE + slop + 2 * POLL
            }
            _ if world.server.has_seats() => last.max(SEAT_LEASE) + slop + 2 * POLL,
            _ => last + slop + 2 * POLL,
        };
        let (began, tenures) = (world.now, world.safety.tenures());
        world.handed_over = None;
        drop(world);
        self.spawn(("next", deathbed.unwrap_or(self.scenario.clients.len()), |actor| {
            if let Some(guard) = actor.lock() {
                actor.unlock(guard);
            }
        }));
        self.go_on(&mut Undisturbed).or_else(|| {
            let world = self.world();
            let took = world.now.saturating_sub(began);
            if world.safety.tenures() == tenures {
                Some("nobody gets the lock any more".to_owned())
            } else if took > bound {
                Some(format!("the next comer has waited for {took:?}, not {bound:?}"))
            } else {
                None
            }
        })
    }

    /// The same of a mailbox: what the dead have left has rested for long enough.
    pub(super) fn next_mail_program(&mut self) -> Option<String> {
        self.faults = Faults::default();
        let world = self.world();
        if world.safety.excuse.is_some() {
            return None;
        }
        let is_held = world.server.find(Path::new(DOTLOCK)).is_some();
        let in_seats = LIFETIME + SEAT_LEASE + 2 * SLOP;
        let bound = if is_held { REST + in_seats + 2 * POLL } else { Duration::from_secs(1) };
        let (began, tenures) = (world.now, world.safety.tenures());
        drop(world);
        self.spawn(("next", self.scenario.clients.len(), mail_programs::brief_tenure));
        self.go_on(&mut Undisturbed).or_else(|| {
            let world = self.world();
            let took = world.now.saturating_sub(began);
            if world.safety.tenures() == tenures {
                Some("nobody gets the mailbox any more".to_owned())
            } else {
                (took > bound).then(|| format!("the next comer has waited for {took:?}"))
            }
        })
    }

    /// When all is over no file is left, and those that are nobody's business are as they were.
    pub(super) fn clean_up(&mut self) -> Option<String> {
        self.world().now += Duration::from_secs(100_000);
        let sweep: Workload =
            if self.scenario.mailbox.is_some() { mail_programs::sweep } else { Actor::sweep };
        self.spawn(("sweeper", self.scenario.clients.len(), sweep));
        self.go_on(&mut Undisturbed).or_else(|| {
            let world = self.world();
            if let Some(hurt) = STRANGERS.iter().find(|path| !world.server.is_untouched(path)) {
                return Some(format!("somebody has touched {hurt}"));
            }
            let names = world.server.names().map(|name| name.display().to_string());
            let left: Vec<String> =
                names.filter(|name| !STRANGERS.contains(&name.as_str()) && !stays(name)).collect();
            let is_kept = world.safety.excuse.is_some();
            (!left.is_empty() && !is_kept).then(|| format!("files are left: {}", left.join(", ")))
        })
    }
}

/// The counter of fencing tokens outlives its lock, a mailbox stays, and other mail programs that die
/// leave their files.
fn stays(name: &str) -> bool {
    Path::new(name).starts_with(FENCE) || name == MAILBOX || name.starts_with(FOREIGN)
}

/// The schedule in which nothing happens but what must.
struct Undisturbed;

impl Schedule for Undisturbed {
    fn choose(&mut self, _options: &[Choice]) -> usize {
        0
    }
}
