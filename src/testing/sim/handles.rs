//! Threads of one process that take the lock by turns, through one handle.

use std::sync::Arc;
use std::time::Duration;

use super::actor::Actor;
use super::world::Turn;
use crate::lock::Lock;

/// Shares its handle with other threads, and takes the lock as they do. The process ends when all
/// of them are done.
pub(super) fn shared_handle(actor: &Actor) {
    actor.process.world().handle = Some(actor.lock.clone());
    take_turns(actor, &actor.lock);
    let unused = actor.process.world().handle.take();
    drop(unused);
    while Arc::strong_count(&actor.lock) > 1 {
        actor.sleep(1);
    }
}

/// A thread that uses the handle of [`shared_handle`].
pub(super) fn second_user(actor: &Actor) {
    let shared = actor.waits_for(|| actor.process.world().handle.clone());
    let Some(lock) = shared else { return };
    take_turns(actor, &lock);
}

fn take_turns(actor: &Actor, lock: &Lock) {
    for _ in 0..2 {
        let Some(guard) = actor.lock_through(lock) else { return };
        begin(actor, guard.remaining());
        actor.sleep(3);
        end(actor);
        actor.unlock(guard);
    }
}

/// The safety checker knows processes, not threads: here no two of these may hold the lock.
fn begin(actor: &Actor, left: Duration) {
    let mut world = actor.process.world();
    let (thread, now) = (world.running, world.now);
    if left.is_zero() {
        return; // it knows that it holds nothing
    }
    let other = world.turn.replace(Turn { thread, ends: now + left });
    drop(world);
    if let Some(other) = other.filter(|other| now < other.ends) {
        actor.process.is_wrong(format!(
            "thread {thread} holds the lock at {now:?} while the lease of thread {} runs until {:?}",
            other.thread, other.ends
        ));
    }
}

fn end(actor: &Actor) {
    let mut world = actor.process.world();
    let thread = world.running;
    world.turn.take_if(|turn| turn.thread == thread);
}
