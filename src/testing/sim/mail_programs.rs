//! Programs that lock a mailbox: ours, and one of another kind, that goes by the dotlock's name.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::actor::Actor;
use super::constants::{BREAKER, DOTLOCK, FOREIGN, MAILBOX, POLL, REST};
use super::host::{SimProcesses, random};
use super::safety_checker::LockFile;
use crate::clock::Clock;
use crate::error::Error;
use crate::guard::LockGuard;
use crate::lock::Lock;
use crate::mailbox::{LEASE, MailboxGuard, MailboxLock};
use crate::model::machine::Machine;
use crate::sys::fs::Fs;

/// After which time the other program takes a dotlock for stale: as Mail Avenger, the quickest.
const BREAKS_AFTER: Duration = Duration::from_secs(30);

fn machine(actor: &Actor) -> Machine {
    Machine {
        fs: Arc::new(actor.fs.clone()),
        clock: Arc::new(actor.clock.clone()),
        processes: Arc::new(SimProcesses(actor.process.clone())),
        random,
        can_wake: false,
    }
}

fn host(actor: &Actor) -> String {
    format!("host{}", actor.process.world().processes[actor.process.id].client)
}

/// A mailbox's lock, and what must be true of what its process learns.
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
            .expect("the options are right");
        Program { actor, lock }
    }

    /// Locks the mailbox, for as long as it takes: only a request that failed may be in the way.
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

    /// Refreshes the lock, and says whether it is not lost.
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

    /// Looks whether the mailbox is still locked, and says whether it is not lost.
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
            process.is_wrong(format!("process {} was not told that it lost it", process.id));
        }
    }

    /// Whether the dotlock is this process's, in truth.
    fn has_dotlock(&self) -> bool {
        let world = self.actor.process.world();
        match world.server.find(Path::new(DOTLOCK)) {
            Some(there) => world.safety.dotlocks.get(&self.actor.process.id) == Some(&there),
            // A rename that is executed twice catches another's dotlock, and puts it back.
            None => self.actor.may_be_caught,
        }
    }

    fn is_assured(&self) {
        if !self.has_dotlock() {
            let process = &self.actor.process;
            process.is_wrong(format!("process {} was not told that it lost it", process.id));
        }
    }

    fn loses(&self) -> bool {
        let process = &self.actor.process;
        process.note(|| "LOST the mailbox".to_owned());
        // ESTALE for an open file says that it is gone, even if it is a fault.
        if self.has_dotlock() && !self.actor.may_be_caught && !self.actor.may_fail {
            process.is_wrong(format!("process {} was told that it lost what it has", process.id));
        }
        process.world().safety.ends(process.id);
        false
    }
}

/// A process has the mailbox, for so long.
fn holds(actor: &Actor, left: Duration) {
    actor.process.note(|| format!("HOLDS the mailbox for {left:?}"));
    let mut world = actor.process.world();
    let now = world.now;
    let file = world.server.find(Path::new(DOTLOCK));
    let file = file.filter(|file| world.safety.dotlocks.get(&actor.process.id) == Some(file));
    let file = file.map(|handle| LockFile { handle, is_provable: false });
    world.safety.holds(actor.process.id, file, now, left);
}

/// Takes the mailbox and gives it back.
pub(super) fn brief_tenure(actor: &Actor) {
    let program = Program::new(actor);
    if let Some(guard) = program.lock() {
        program.unlock(guard);
    }
}

/// Takes the mailbox, works, refreshes the lock, works, and gives it back.
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

/// Keeps the mailbox for longer than a dotlock is respected that nobody touches.
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

/// Looks before each piece of its work whether it still has the mailbox.
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

/// Comes back to the dotlock when others may have removed it, and refreshes it all the same.
pub(super) fn late_refresh(actor: &Actor) {
    let program = Program::new(actor);
    let Some(guard) = program.lock() else { return };
    actor.sleep(REST.as_secs() + 1);
    if program.refresh(&guard) {
        actor.sleep(2);
    }
    program.unlock(guard);
}

/// The same, but gives it back.
pub(super) fn late_unlock(actor: &Actor) {
    let program = Program::new(actor);
    let Some(guard) = program.lock() else { return };
    actor.sleep(REST.as_secs() + 1);
    program.unlock(guard);
}

/// Takes the mailbox and dies.
pub(super) fn last_tenure(actor: &Actor) {
    let program = Program::new(actor);
    if let Some(_guard) = program.lock() {
        actor.die();
    }
}

/// Removes what the dead have left of the right to remove a dotlock.
pub(super) fn sweep(actor: &Actor) {
    let lock = Lock::options(BREAKER).host_name(host(actor)).build_on(machine(actor));
    let lock = lock.expect("the options are right");
    let swept = lock.lock().and_then(LockGuard::unlock).and_then(|()| lock.sweep());
    actor.process.note(|| format!("sweeps: {swept:?}"));
}

/// Another mail program. It makes its dotlock by a link, takes one for stale that was not changed for a
/// while, and removes it by its name: whatever that does to a later one, and to a holder that comes back,
/// is its own affair. From then on the run is excused.
pub(super) fn foreign_tenure(actor: &Actor) {
    tenure_by_name(actor, excuse);
}

pub(super) fn two_foreign_tenures(actor: &Actor) {
    foreign_tenure(actor);
    foreign_tenure(actor);
}

/// The same without an excuse: the checkers must find what it does.
pub(super) fn careless_tenure(actor: &Actor) {
    tenure_by_name(actor, |_| ());
}

fn excuse(actor: &Actor) {
    let mut world = actor.process.world();
    world.safety.excuse.get_or_insert_with(|| "removed a dotlock by its name".to_owned());
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

/// Returns since when it has had the dotlock at most.
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
