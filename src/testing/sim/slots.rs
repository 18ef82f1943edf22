//! Processes that contend for a set of two slots. One slot is the lock that the checkers know; the other
//! is checked by the processes themselves.

use std::path::PathBuf;
use std::sync::Arc;

use super::actor::Actor;
use super::constants::{OTHER_SLOT, PATH, POLL};
use super::mail_programs::{host, machine};
use crate::error::Error;
use crate::lock::Lock;
use crate::slots::{SlotGuard, Slots};

/// The number of the slot that is the lock.
const LOCK: usize = 0;

/// Acquires a slot, works twice and releases it.
pub(super) fn slot_tenure(actor: &Actor) {
    let slots = slots(actor);
    let Some(guard) = lock(actor, &slots) else { return };
    if guard.slot() == LOCK {
        actor.sleep(2);
        if actor.refresh(&guard) {
            actor.sleep(2);
        }
        actor.unlock(guard.into_guard());
    } else {
        actor.sleep(4);
        let _ = guard.into_guard().unlock();
    }
}

/// Acquires a slot twice.
pub(super) fn two_slot_tenures(actor: &Actor) {
    slot_tenure(actor);
    slot_tenure(actor);
}

/// Acquires a slot if it becomes free within a few seconds.
pub(super) fn impatient_slot_tenure(actor: &Actor) {
    let slots = slots(actor);
    match slots.try_lock_for(POLL) {
        Ok(guard) if guard.slot() == LOCK => {
            actor.holds(guard.remaining());
            actor.unlock(guard.into_guard());
        }
        Ok(guard) => drop(guard),
        Err(_) => {}
    }
}

/// Acquires the other slot and dies.
pub(super) fn last_tenure_of_the_other(actor: &Actor) {
    if let Ok(guard) = slots(actor).locks()[1 - LOCK].lock() {
        actor.sleep(1);
        actor.die();
        drop(guard);
    }
}

/// Takes over what a dead holder has left in the other slot, and sweeps.
pub(super) fn sweep(actor: &Actor) {
    actor.sweep();
    for lock in slots(actor).locks() {
        let _ = lock.lock().map(drop);
        let _ = lock.sweep();
    }
}

fn slots(actor: &Actor) -> Slots {
    let other = |path: &str| {
        let lock = Lock::options(path)
            .host_name(host(actor))
            .lifetime(actor.lock.lifetime())
            .clock_slop(actor.lock.context.config.clock_slop)
            .stale(actor.lock.context.config.stale)
            .polling(POLL / 4, POLL)
            .wake_hints(actor.lock.context.config.wake_hints);
        lock.build_on(machine(actor)).expect("the options are valid")
    };
    let locks = Arc::new([Lock::clone(&actor.lock), other(OTHER_SLOT)]);
    Slots::of(PathBuf::from(PATH), other(OTHER_SLOT), locks)
}

/// Acquires a slot, however long that takes. It fails only because a request failed.
fn lock(actor: &Actor, slots: &Slots) -> Option<SlotGuard> {
    loop {
        match slots.lock() {
            Ok(guard) => {
                actor.process.note(|| format!("has slot {}", guard.slot()));
                if guard.slot() == LOCK {
                    actor.holds(guard.remaining());
                }
                return Some(guard);
            }
            Err(_) if actor.process.has_crashed() => return None,
            Err(Error::Io { .. }) if actor.may_fail => {}
            Err(error) => {
                let id = actor.process.id;
                actor.process.is_wrong(format!("process {id} gets a wrong answer: {error}"));
                return None;
            }
        }
    }
}
