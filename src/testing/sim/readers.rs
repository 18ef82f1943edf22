//! Readers and writers of one lock. A writer is a holder of the lock file; a reader has a lock of its own.

use std::path::Path;

use super::actor::Actor;
use super::constants::{PATH, POLL};
use super::mail_programs::{host, machine};
use crate::error::Error;
use crate::lock::Lock;
use crate::rw_lock::{ReadGuard, RwLock, WriteGuard};

/// Reads once.
pub(super) fn reading(actor: &Actor) {
    let lock = rw_lock(actor);
    if let Some(guard) = read(actor, &lock) {
        read_on(actor, guard);
    }
}

/// Reads twice, through one handle.
pub(super) fn two_readings(actor: &Actor) {
    let lock = rw_lock(actor);
    for _ in 0..2 {
        let Some(guard) = read(actor, &lock) else { return };
        read_on(actor, guard);
    }
}

/// Reads if no writer is there.
pub(super) fn impatient_reading(actor: &Actor) {
    match rw_lock(actor).try_read() {
        Ok(guard) => {
            reads(actor, &guard);
            read_on(actor, guard);
        }
        Err(_) => actor.process.note(|| "does not read".to_owned()),
    }
}

/// Reads and dies.
pub(super) fn last_reading(actor: &Actor) {
    let lock = rw_lock(actor);
    if let Some(guard) = read(actor, &lock) {
        actor.sleep(1);
        actor.die();
        drop(guard);
    }
}

/// Writes once.
pub(super) fn writing(actor: &Actor) {
    let lock = rw_lock(actor);
    if let Some(guard) = write(actor, &lock) {
        write_on(actor, guard);
    }
}

/// Writes twice, through one handle.
pub(super) fn two_writings(actor: &Actor) {
    let lock = rw_lock(actor);
    for _ in 0..2 {
        let Some(guard) = write(actor, &lock) else { return };
        write_on(actor, guard);
    }
}

/// Writes if nobody is there for a few seconds.
pub(super) fn impatient_writing(actor: &Actor) {
    match rw_lock(actor).try_write_for(POLL) {
        Ok(guard) => {
            actor.holds(guard.remaining());
            actor.unlock(guard.into_guard());
        }
        Err(_) => actor.process.note(|| "does not write".to_owned()),
    }
}

/// Writes, and reads what it has written.
pub(super) fn writing_and_reading(actor: &Actor) {
    let lock = rw_lock(actor);
    let Some(guard) = write(actor, &lock) else { return };
    actor.sleep(2);
    if !actor.refresh(&guard) {
        return;
    }
    actor.process.note(|| "begins to become a reader".to_owned());
    actor.process.world().safety.ends(actor.process.id);
    if let Ok(guard) = guard.downgrade() {
        reads(actor, &guard);
        read_on(actor, guard);
    }
}

/// Removes what dead readers and writers have left.
pub(super) fn sweep(actor: &Actor) {
    actor.sweep();
    let _ = rw_lock(actor).sweep();
}

fn read_on(actor: &Actor, guard: ReadGuard) {
    actor.sleep(2);
    match guard.refresh() {
        Err(Error::Lost { .. }) => return actor.process.world().safety.ends(actor.process.id),
        _ if !guard.remaining().is_zero() => reads(actor, &guard),
        _ => {}
    }
    actor.sleep(2);
    actor.process.note(|| "has read".to_owned());
    actor.process.world().safety.ends(actor.process.id);
    let _ = guard.unlock();
}

fn write_on(actor: &Actor, guard: WriteGuard) {
    actor.sleep(2);
    if actor.refresh(&guard) {
        actor.sleep(2);
    }
    actor.unlock(guard.into_guard());
}

/// Records that this process is a reader, or has extended its lease.
fn reads(actor: &Actor, guard: &ReadGuard) {
    let left = guard.remaining();
    actor.process.note(|| format!("READS for {left:?}"));
    let mut world = actor.process.world();
    let now = world.now;
    let file = world.file_of(actor.process.id, guard.path());
    world.safety.reads(actor.process.id, file, now, left);
}

pub(super) fn rw_lock(actor: &Actor) -> RwLock {
    let options = Lock::options(Path::new(PATH))
        .host_name(host(actor))
        .lifetime(actor.lock.lifetime())
        .clock_slop(actor.lock.context.config.clock_slop)
        .stale(actor.lock.context.config.stale)
        .polling(POLL / 4, POLL)
        .wake_hints(actor.lock.context.config.wake_hints);
    options.rw_lock_on(&machine(actor)).expect("the options are valid")
}

fn read(actor: &Actor, lock: &RwLock) -> Option<ReadGuard> {
    let guard = insist(actor, || lock.read())?;
    reads(actor, &guard);
    Some(guard)
}

fn write(actor: &Actor, lock: &RwLock) -> Option<WriteGuard> {
    let guard = insist(actor, || lock.write())?;
    actor.holds(guard.remaining());
    Some(guard)
}

/// Tries until the lock is acquired. It fails only because a request failed, or because of a stall.
fn insist<T>(actor: &Actor, acquire: impl Fn() -> Result<T, Error>) -> Option<T> {
    loop {
        match acquire() {
            Ok(guard) => return Some(guard),
            Err(_) if actor.process.has_crashed() => return None,
            Err(Error::Io { .. }) if actor.may_fail => {}
            Err(error) if error.is_lost() => {
                actor.process.note(|| format!("begins again: {error}"));
            }
            Err(error) => {
                let id = actor.process.id;
                actor.process.is_wrong(format!("process {id} gets a wrong answer: {error}"));
                return None;
            }
        }
    }
}
