//! What must hold when all processes have ended: the next contender gets the lock, and no files are
//! left.

use std::path::Path;
use std::time::Duration;

use super::actor::Actor;
use super::constants::{DOTLOCK, FENCE, FOREIGN, LIFETIME, MAILBOX, PATH, POLL, REST, SLOP};
use super::faults::Faults;
use super::mail_programs;
use super::run::{Run, STRANGERS};
use super::scenario::{Scenario, Workload};
use super::schedule::{Choice, Schedule};
use super::{readers, slots};
use crate::model::lease::SEAT_LEASE;
use crate::policy::StalePolicy;
use crate::sys::dates::COARSEST;

impl Run<'_> {
    /// The next contender gets the lock in time, whatever dead processes left behind.
    pub(super) fn next_comer(&mut self) -> Option<String> {
        self.faults = Faults::default();
        let mut world = self.world();
        let held = world.server.find(Path::new(PATH));
        if world.safety.excuse.is_some()
            || self.scenario.policy == StalePolicy::Never && held.is_some()
        {
            return None;
        }
        // The longer a process took to ask for the server's time, the further ahead its lease may
        // end: by at most the length of the run, or by as much as the server's clock was set back.
        // Where time stamps are coarse, it ends later by twice as much.
        let last = world.server.last_lease().unwrap_or_default().saturating_sub(world.now);
        let longest = self.scenario.lifetime;
        let coarse = if self.scenario.resolution.is_zero() { Duration::ZERO } else { 2 * COARSEST };
        if last > longest + world.now + world.server.clock_error() + coarse {
            return Some(format!("a lease ends only in {last:?}"));
        }
        // Dates do not matter for a lock that is observed unchanged for the length of its lease.
        let last = match world.server.longest_lease() {
            // A lock that changed after its end is taken to have a lease as long as the observer's
            // own.
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
            // A seat whose breaker has died is passed over once its lease ends.
            Some(_) if !world.server.has_seats() => {
                let dead_wait = if world.safety.rules.local { Duration::ZERO } else { slop };
                dead_wait + 2 * POLL
            }
            // A lock without a known holder is taken over once it was observed unchanged for the
            // slop.
            _ if !tells_holder => last + SEAT_LEASE + 2 * slop + 2 * POLL,
            // Sweeping a dead breaker's claim changes the inode in the seat. If its date is in the
            // future, the seat is observed only after the lock file was.
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
                Some("no contender can get the lock".to_owned())
            } else if took > bound {
                Some(format!("the next contender waited for {took:?}, not {bound:?}"))
            } else {
                None
            }
        })
    }

    /// The same for a writer, which has to wait for readers too.
    pub(super) fn next_writer(&mut self) -> Option<String> {
        self.faults = Faults::default();
        let world = self.world();
        let last = world.server.last_lease().unwrap_or_default().saturating_sub(world.now);
        let bound = last.max(SEAT_LEASE) + SEAT_LEASE + 2 * SLOP + 8 * POLL;
        let (began, tenures) = (world.now, world.safety.tenures());
        drop(world);
        self.spawn(("next", self.scenario.clients.len(), readers::writing));
        self.go_on(&mut Undisturbed).or_else(|| {
            let world = self.world();
            let took = world.now.saturating_sub(began);
            if world.safety.tenures() == tenures {
                Some("no writer can get the lock".to_owned())
            } else {
                (took > bound).then(|| format!("the next writer waited for {took:?}"))
            }
        })
    }

    /// The same for a mailbox: what dead processes left has been unchanged for long enough.
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
                Some("no program can get the mailbox".to_owned())
            } else {
                (took > bound).then(|| format!("the next program waited for {took:?}"))
            }
        })
    }

    /// In the end no file of the lock is left, and unrelated files are untouched.
    pub(super) fn clean_up(&mut self) -> Option<String> {
        self.world().now += Duration::from_secs(100_000);
        let sweep: Workload = match self.scenario {
            Scenario { mailbox: Some(_), .. } => mail_programs::sweep,
            Scenario { slots: true, .. } => slots::sweep,
            Scenario { readers: true, .. } => readers::sweep,
            _ => Actor::sweep,
        };
        self.spawn(("sweeper", self.scenario.clients.len(), sweep));
        self.go_on(&mut Undisturbed).or_else(|| {
            let world = self.world();
            if let Some(hurt) = STRANGERS.iter().find(|path| !world.server.is_untouched(path)) {
                return Some(format!("a process touched {hurt}"));
            }
            let names = world.server.names().map(|name| name.display().to_string());
            let left: Vec<String> =
                names.filter(|name| !STRANGERS.contains(&name.as_str()) && !stays(name)).collect();
            let is_kept = world.safety.excuse.is_some();
            (!left.is_empty() && !is_kept).then(|| format!("files are left: {}", left.join(", ")))
        })
    }
}

/// The fencing counter outlives its lock, a mailbox stays, and mail programs of another kind leave
/// files when they die.
fn stays(name: &str) -> bool {
    Path::new(name).starts_with(FENCE) || name == MAILBOX || name.starts_with(FOREIGN)
}

/// The schedule without faults.
struct Undisturbed;

impl Schedule for Undisturbed {
    fn choose(&mut self, _options: &[Choice]) -> usize {
        0
    }
}
