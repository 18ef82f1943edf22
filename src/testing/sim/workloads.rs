//! The workloads of processes.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::actor::Actor;
use super::constants::{DIR, LIFETIME, LONG_LIFETIME};
use crate::clock::Clock;
use crate::holder::Owner;
use crate::sys::fs::Fs;

/// Acquires the lock, works, refreshes it, works, and releases it.
pub(super) fn tenure(actor: &Actor) {
    let Some(guard) = actor.lock() else { return };
    actor.sleep(2);
    if actor.refresh(&guard) {
        actor.sleep(2);
    }
    actor.unlock(guard);
}

/// Acquires the lock and releases it.
pub(super) fn brief_tenure(actor: &Actor) {
    if let Some(guard) = actor.lock() {
        actor.unlock(guard);
    }
}

/// Acquires the lock, works for less than its lease, and releases it.
pub(super) fn tenure_without_refresh(actor: &Actor) {
    let Some(guard) = actor.lock() else { return };
    actor.sleep(13);
    actor.unlock(guard);
}

/// The same, with the release that others' breaks may meet.
pub(super) fn tenure_that_others_may_end(actor: &Actor) {
    let Some(guard) = actor.lock() else { return };
    actor.sleep(5);
    actor.end(&guard);
}

pub(super) fn two_tenures(actor: &Actor) {
    brief_tenure(actor);
    tenure(actor);
}

/// Verifies before each piece of work that the lock is still held, and stops if not.
pub(super) fn careful_tenure(actor: &Actor) {
    let Some(guard) = actor.lock() else { return };
    for _ in 0..3 {
        actor.sleep(3);
        if !actor.verify(&guard) {
            break;
        }
    }
    actor.unlock(guard);
}

/// Acquires the lock and keeps it for longer than its lifetime and the slop together.
pub(super) fn long_tenure(actor: &Actor) {
    let Some(guard) = actor.lock() else { return };
    for _ in 0..6 {
        actor.sleep(9);
        if !actor.refresh(&guard) {
            break;
        }
    }
    actor.unlock(guard);
}

/// Acquires the lock three times: soon, and after its claim has expired.
pub(super) fn three_tenures(actor: &Actor) {
    tenure(actor);
    actor.sleep(1);
    brief_tenure(actor);
    actor.sleep(27);
    tenure(actor);
}

/// Acquires the lock and dies.
pub(super) fn last_tenure(actor: &Actor) {
    if let Some(_guard) = actor.lock() {
        actor.die();
    }
}

/// Acquires the lock and leaves it to its lease, or to a process that knows of it.
pub(super) fn leave_to_the_lease(actor: &Actor) {
    let Some(guard) = actor.lock() else { return };
    actor.sleep(1);
    actor.hand_over(guard, Owner::Lease);
}

/// Acquires the lock and leaves it to the first process of its machine.
pub(super) fn leave_to_the_first(actor: &Actor) {
    let Some(guard) = actor.lock() else { return };
    actor.hand_over(guard, Owner::Process(100));
}

/// Adopts a lock that is handed over.
pub(super) fn adopt(actor: &Actor) {
    let Some(guard) = actor.adopt() else { return };
    if actor.refresh(&guard) {
        actor.sleep(2);
    }
    actor.unlock(guard);
}

/// Sweeps, over and over.
pub(super) fn janitor(actor: &Actor) {
    for _ in 0..4 {
        actor.sweep();
        actor.sleep(9);
    }
}

pub(super) fn sweep_once(actor: &Actor) {
    actor.sweep();
}

/// Acquires the lock for long, shortens its lease, and works on until the lock is taken over or the
/// work is done.
pub(super) fn shortened_tenure(actor: &Actor) {
    let Some(guard) = actor.lock() else { return };
    actor.refresh_for(&guard, LONG_LIFETIME);
    actor.sleep(1);
    actor.refresh_for(&guard, LIFETIME);
    actor.sleep(60);
    actor.unlock(guard);
}

/// Acquires the lock and works, while it lengthens and shortens the lease by turns.
pub(super) fn tenure_of_many_lengths(actor: &Actor) {
    let Some(guard) = actor.lock() else { return };
    for seconds in [60, 5, 120, 15] {
        if !actor.refresh_for(&guard, Duration::from_secs(seconds)) {
            break;
        }
        actor.sleep(4);
    }
    actor.unlock(guard);
}

/// A tenure with a longer lifetime than the others'.
pub(super) fn long_lifetime(actor: &Actor) {
    with_lifetime(actor, LONG_LIFETIME);
}

/// A tenure with a shorter lifetime than the others'.
pub(super) fn short_lifetime(actor: &Actor) {
    with_lifetime(actor, Duration::from_secs(3));
}

fn with_lifetime(actor: &Actor, lifetime: Duration) {
    let Some(guard) = actor.lock_for(lifetime) else { return };
    actor.sleep(2);
    if actor.refresh(&guard) {
        actor.sleep(2);
    }
    actor.unlock(guard);
}

/// Is late, renews its lease, unlocks in time, acquires the lock again and stalls.
pub(super) fn late_and_again(actor: &Actor) {
    let Some(guard) = actor.lock() else { return };
    actor.sleep(1);
    actor.refresh(&guard);
    actor.unlock(guard);
    let Some(guard) = actor.lock() else { return };
    actor.sleep(500);
    actor.unlock(guard);
}

/// Acquires the lock within a minute, although a breaker has died or stalled.
pub(super) fn impatient_tenure(actor: &Actor) {
    let began = actor.clock.now();
    let Some(guard) = actor.lock() else { return };
    let waited = actor.clock.now().saturating_sub(began);
    actor.unlock(guard);
    if waited > Duration::from_secs(60) {
        actor.process.is_wrong(format!("waited for {waited:?} in all"));
    }
}

/// Lives for a while, and does nothing.
pub(super) fn short_life(actor: &Actor) {
    actor.sleep(3);
}

/// Adopts a lock that is handed over, though another process may adopt it too, and keeps it.
pub(super) fn adopt_too(actor: &Actor) {
    let Some(guard) = actor.adopt_too() else { return };
    for _ in 0..6 {
        actor.sleep(5);
        if !actor.refresh(&guard) {
            break;
        }
    }
    actor.unlock(guard);
}

/// Removes all claims, as a careless administrator might.
pub(super) fn remove_claims(actor: &Actor) {
    let Ok(names) = actor.fs.list(Path::new(DIR)) else { return };
    let is_claim = |name: &&OsString| {
        let name = name.to_string_lossy();
        name.starts_with("L|host") && name.matches('|').count() == 3
    };
    for name in names.iter().filter(is_claim) {
        let _ = actor.fs.unlink(&Path::new(DIR).join(name));
    }
}

/// Acquires the lock and forks; works, and releases it once the child is gone.
pub(super) fn fork(actor: &Actor) {
    let Some(guard) = actor.lock() else { return };
    let guard = Arc::new(guard);
    actor.process.world().inherited = Some(guard.clone());
    for _ in 0..4 {
        actor.sleep(4);
        if !actor.refresh(&guard) {
            break;
        }
    }
    let unused = actor.process.world().inherited.take();
    drop(unused);
    while Arc::strong_count(&guard) > 1 && !actor.process.has_crashed() {
        actor.sleep(1); // the processes share memory here, and must not both drop it
    }
    if let Ok(guard) = Arc::try_unwrap(guard) {
        actor.unlock(guard);
    }
}

/// A forked child: it has a copy of the guard, and calls all its methods.
pub(super) fn child(actor: &Actor) {
    for _ in 0..10 {
        actor.sleep(1);
        let inherited = actor.process.world().inherited.take();
        if let Some(guard) = inherited {
            let answers = [guard.verify(), guard.refresh()];
            if answers.iter().any(Result::is_ok) {
                actor.process.is_wrong(format!("a forked child gets a wrong answer: {answers:?}"));
            }
            actor.sleep(2);
            return;
        }
    }
}

/// Acquires the lock for long, and works without a refresh.
pub(super) fn long_work(actor: &Actor) {
    let Some(guard) = actor.lock_for(LONG_LIFETIME) else { return };
    actor.sleep(120);
    actor.unlock(guard);
}

/// Acquires the lock and shares its guard with other threads, until they are done with it.
pub(super) fn shared_guard(actor: &Actor) {
    let Some(guard) = actor.lock() else { return };
    let guard = Arc::new(guard);
    actor.process.world().inherited = Some(guard.clone());
    for _ in 0..4 {
        actor.sleep(4);
        if !actor.refresh(&guard) {
            break;
        }
    }
    let unused = actor.process.world().inherited.take();
    drop(unused);
    while Arc::strong_count(&guard) > 1 {
        actor.sleep(1);
    }
    if let Ok(guard) = Arc::try_unwrap(guard) {
        actor.unlock(guard);
    }
}

/// A thread that checks the lock of [`shared_guard`] from time to time.
pub(super) fn second_thread(actor: &Actor) {
    let shared = actor.waits_for(|| actor.process.world().inherited.clone());
    let Some(guard) = shared else { return };
    for _ in 0..2 {
        actor.sleep(3);
        if !actor.verify(&guard) || !actor.refresh_for(&guard, Duration::from_secs(60)) {
            break;
        }
    }
}

/// Acquires the lock, which another thread keeps alive, works for long, and releases it.
pub(super) fn kept_alive_tenure(actor: &Actor) {
    let Some(guard) = actor.lock() else { return };
    actor.process.world().tenure = Some(guard.tenure().clone());
    actor.sleep(20);
    actor.unlock(guard);
    let unused = actor.process.world().tenure.take();
    drop(unused);
}

/// A thread that keeps the lock of [`kept_alive_tenure`] alive until it is released.
pub(super) fn keep_alive(actor: &Actor) {
    let shared = actor.waits_for(|| actor.process.world().tenure.clone());
    let Some(tenure) = shared else { return };
    while actor.keep_alive(&tenure) {
        actor.sleep(5);
    }
}

/// Acts for the owner of a lock that was handed over: refreshes it for a while.
pub(super) fn refresh_for_another(actor: &Actor) {
    let Some((holder, guard)) = actor.attach() else { return };
    for _ in 0..4 {
        if !actor.refresh_attached(holder, &guard) {
            break;
        }
        actor.sleep(5);
    }
    actor.die(); // the lock still belongs to its owner
}

/// Acts for the owner of a lock that was handed over: unlocks it.
pub(super) fn unlock_for_another(actor: &Actor) {
    let Some((holder, guard)) = actor.attach() else { return };
    actor.sleep(9);
    actor.unlock_attached(holder, guard);
}

/// Acts for the owner of a lock that was handed over: refreshes it and unlocks it.
pub(super) fn refresh_and_unlock_for_another(actor: &Actor) {
    let Some((holder, guard)) = actor.attach() else { return };
    actor.refresh_attached(holder, &guard);
    actor.sleep(9);
    actor.refresh_attached(holder, &guard);
    actor.unlock_attached(holder, guard);
}

/// Lives for as long as others act for it.
pub(super) fn long_life(actor: &Actor) {
    actor.sleep(60);
}

/// Breaks a lock twice, although its holder may be alive.
pub(super) fn administrator(actor: &Actor) {
    for _ in 0..2 {
        actor.sleep(5);
        actor.break_held();
    }
}
