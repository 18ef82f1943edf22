//! Programs that lock a mailbox: ours, and one of another kind that judges a dotlock by its name.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::actor::Actor;
use super::constants::{BREAKER, DOTLOCK, FOREIGN, MAILBOX, POLL, REST};
use super::hint_sockets::SimNetwork;
use super::host::{SimProcesses, random};
use super::safety_checker::LockFile;
use crate::clock::Clock;
use crate::error::Error;
use crate::guard::LockGuard;
use crate::lock::Lock;
use crate::mailbox::{LEASE, MailboxGuard, MailboxLock};
use crate::model::machine::Machine;
use crate::sys::fs::Fs;

/// When the other program considers a dotlock stale: Mail Avenger's limit, the shortest known.
const BREAKS_AFTER: Duration = Duration::from_secs(30);

pub(super) fn machine(actor: &Actor) -> Machine {
    Machine {
        fs: Arc::new(actor.fs.clone()),
        clock: Arc::new(actor.clock.clone()),
        processes: Arc::new(SimProcesses(actor.process.clone())),
        random,
        network: Arc::new(SimNetwork(actor.process.clone())),
        can_wake: false,
    }
}

pub(super) fn host(actor: &Actor) -> String {
    format!("host{}", actor.process.world().processes[actor.process.id].client)
}

/// A mailbox lock, with checks of what its process learns.
struct Program<'a> {
    actor: &'a Actor,
    lock: MailboxLock,
}

impl<'a> Program<'a> {
    fn new(actor: &'a Actor) -> Program<'a> {
        let uses_fcntl =
            actor.process.world().safety.rules.mailbox.is_some_and(|mailbox| mailbox.uses_fcntl);
        let lock = MailboxLock::options(MAILBOX)
            .clock(Arc::new(actor.clock.clone()))
            .host_name(host(actor))
            .unchanged_for(REST)
            .polling(POLL / 4, POLL)
            .fcntl(uses_fcntl)
            .build_on(&machine(actor))
            .expect("the options are valid");
        Program { actor, lock }
    }

    /// Locks the mailbox, however long that takes. It fails only if a request failed.
    fn lock(&self) -> Option<MailboxGuard> {
        let process = &self.actor.process;
        loop {
            match self.lock.lock() {
                Ok(guard) => {
                    self.holds(guard.remaining());
                    return Some(guard);
                }
                Err(_) if process.has_crashed() => return None,
                Err(error @ Error::Io { .. }) if self.actor.may_fail => {
                    process.note(|| format!("fails: {error}"));
                }
                Err(error) => {
                    process.is_wrong(format!("process {} gets a false error: {error}", process.id));
                    return None;
                }
            }
        }
    }

    fn holds(&self, left: Duration) {
        holds(self.actor, left);
    }

    /// Refreshes the lock, and returns whether it is still held.
    fn refresh(&self, guard: &MailboxGuard) -> bool {
        match guard.refresh() {
            Ok(()) if !guard.remaining().is_zero() => {
                self.is_assured();
                self.holds(guard.remaining());
                true
            }
            Err(Error::Lost { .. }) => self.loses(),
            _ => true,
        }
    }

    /// Verifies that the mailbox is still locked, and returns whether it is.
    fn verify(&self, guard: &MailboxGuard) -> bool {
        match guard.verify() {
            Ok(()) if !guard.remaining().is_zero() => {
                self.is_assured();
                true
            }
            Err(Error::Lost { .. }) => self.loses(),
            _ => true,
        }
    }

    fn unlock(&self, guard: MailboxGuard) {
        let process = &self.actor.process;
        process.note(|| "begins to unlock".to_owned());
        process.world().safety.ends(process.id);
        let has_dotlock = self.has_dotlock();
        if guard.unlock().is_ok() && !has_dotlock {
            process.is_wrong(format!("process {} did not learn that it lost the lock", process.id));
        }
    }

    /// Whether the dotlock is really this process's.
    fn has_dotlock(&self) -> bool {
        let world = self.actor.process.world();
        match world.server.find(Path::new(DOTLOCK)) {
            Some(there) => world.safety.dotlocks.get(&self.actor.process.id) == Some(&there),
            // A rename that is executed twice catches another program's dotlock, and puts it back.
            None => self.actor.may_be_caught,
        }
    }

    fn is_assured(&self) {
        if !self.has_dotlock() {
            let process = &self.actor.process;
            process.is_wrong(format!("process {} did not learn that it lost the lock", process.id));
        }
    }

    fn loses(&self) -> bool {
        let process = &self.actor.process;
        process.note(|| "LOST the mailbox".to_owned());
        // ESTALE for an open file means that it is gone, even when it is an injected fault.
        if self.has_dotlock() && !self.actor.may_be_caught && !self.actor.may_fail {
            process
                .is_wrong(format!("process {} learned of a loss, but holds the lock", process.id));
        }
        process.world().safety.ends(process.id);
        false
    }
}

/// Records that a process has the mailbox, for `left`.
fn holds(actor: &Actor, left: Duration) {
    actor.process.note(|| format!("HOLDS the mailbox for {left:?}"));
    let mut world = actor.process.world();
    let now = world.now;
    let file = world.server.find(Path::new(DOTLOCK));
    let file = file.filter(|file| world.safety.dotlocks.get(&actor.process.id) == Some(file));
    let file = file.map(|handle| LockFile { handle, is_provable: false });
    world.safety.holds(actor.process.id, file, now, left);
}

/// Locks the mailbox and unlocks it.
pub(super) fn brief_tenure(actor: &Actor) {
    let program = Program::new(actor);
    if let Some(guard) = program.lock() {
        program.unlock(guard);
    }
}

/// Locks the mailbox, works, refreshes the lock, works, and unlocks it.
pub(super) fn tenure(actor: &Actor) {
    let program = Program::new(actor);
    let Some(guard) = program.lock() else { return };
    actor.sleep(2);
    if program.refresh(&guard) {
        actor.sleep(2);
    }
    program.unlock(guard);
}

pub(super) fn two_tenures(actor: &Actor) {
    brief_tenure(actor);
    tenure(actor);
}

/// Keeps the mailbox for longer than an untouched dotlock is respected.
pub(super) fn long_tenure(actor: &Actor) {
    let program = Program::new(actor);
    let Some(guard) = program.lock() else { return };
    for _ in 0..5 {
        actor.sleep(15);
        if !program.refresh(&guard) {
            break;
        }
    }
    program.unlock(guard);
}

/// Verifies before each piece of work that the mailbox is still locked.
pub(super) fn careful_tenure(actor: &Actor) {
    let program = Program::new(actor);
    let Some(guard) = program.lock() else { return };
    for _ in 0..3 {
        actor.sleep(7);
        if !program.verify(&guard) {
            break;
        }
    }
    program.unlock(guard);
}

/// Resumes when its dotlock may have been removed, and refreshes it all the same.
pub(super) fn late_refresh(actor: &Actor) {
    let program = Program::new(actor);
    let Some(guard) = program.lock() else { return };
    actor.sleep(REST.as_secs() + 1);
    if program.refresh(&guard) {
        actor.sleep(2);
    }
    program.unlock(guard);
}

/// The same, but unlocks it.
pub(super) fn late_unlock(actor: &Actor) {
    let program = Program::new(actor);
    let Some(guard) = program.lock() else { return };
    actor.sleep(REST.as_secs() + 1);
    program.unlock(guard);
}

/// Locks the mailbox and dies.
pub(super) fn last_tenure(actor: &Actor) {
    let program = Program::new(actor);
    if let Some(_guard) = program.lock() {
        actor.die();
    }
}

/// Sweeps what dead processes left of the right to remove a dotlock.
pub(super) fn sweep(actor: &Actor) {
    let lock = Lock::options(BREAKER).host_name(host(actor)).build_on(machine(actor));
    let lock = lock.expect("the options are valid");
    let swept = lock.lock().and_then(LockGuard::unlock).and_then(|()| lock.sweep());
    actor.process.note(|| format!("sweeps: {swept:?}"));
}

/// A mail program of another kind. It links its dotlock, considers one stale that has been
/// unchanged for a while, and removes it by name. If that removes a later dotlock, or the holder
/// comes back, the run is excused from then on.
pub(super) fn foreign_tenure(actor: &Actor) {
    tenure_by_name(actor, excuse);
}

pub(super) fn two_foreign_tenures(actor: &Actor) {
    foreign_tenure(actor);
    foreign_tenure(actor);
}

/// The same without an excuse: the checkers must find the damage.
pub(super) fn careless_tenure(actor: &Actor) {
    tenure_by_name(actor, |_| ());
}

fn excuse(actor: &Actor) {
    let mut world = actor.process.world();
    world.safety.excuse.get_or_insert_with(|| "removed a dotlock by name".to_owned());
}

fn tenure_by_name(actor: &Actor, on_breaking: fn(&Actor)) {
    let Some(began) = lock_by_name(actor, on_breaking) else { return };
    let ends = began + LEASE;
    holds(actor, ends.saturating_sub(actor.clock.now()));
    actor.sleep(2);
    actor.process.note(|| "begins to unlock".to_owned());
    actor.process.world().safety.ends(actor.process.id);
    if actor.clock.now() >= ends {
        on_breaking(actor);
    }
    let _ = actor.fs.unlink(Path::new(DOTLOCK));
}

/// Returns the earliest time at which it can have had the dotlock.
fn lock_by_name(actor: &Actor, on_breaking: fn(&Actor)) -> Option<Duration> {
    let dotlock = Path::new(DOTLOCK);
    let id = actor.process.id;
    for number in 0.. {
        if actor.process.has_crashed() {
            return None;
        }
        let draft = PathBuf::from(format!("{FOREIGN}{id}.{number}"));
        let began = actor.clock.now();
        let Ok(file) = actor.fs.create_new(&draft, b"0\n", 0o644) else { continue };
        let _ = actor.fs.link(&draft, dotlock);
        let now = file.attributes();
        let _ = actor.fs.unlink(&draft);
        let Ok(now) = now else { continue };
        if now.nlink == 2 {
            return Some(began);
        }
        if let Ok(there) = actor.fs.stat(dotlock) {
            if there.mtime + BREAKS_AFTER < now.mtime {
                on_breaking(actor);
                let _ = actor.fs.unlink(dotlock);
            }
        }
        actor.clock.sleep(Duration::from_millis(500 + random() % 4000));
    }
    None
}
