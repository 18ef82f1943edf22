//! Contending for locks, until the user's limit or a signal ends the wait. However the wait ends,
//! no claim is left behind.

use std::path::{Path, PathBuf};

use linklock::mailbox::{MailboxGuard, MailboxLock};
use linklock::{Error, LockGuard, Obstacle, RwLock, SlotGuard, Slots};
use nix::sys::signal::Signal;

use crate::access::Access;
use crate::events::Events;
use crate::exit::{Failure, by_signal};
use crate::journal::{Happening, Note};
use crate::occupied;
use crate::options::WaitLimit;
use crate::outer;
use crate::output::say;
use crate::progress::{Progress, explain};

/// Acquires all of the locks, or none.
///
/// Waits for one lock only while holding no other, so there is no deadlock, in whatever order and
/// under whatever names other processes take the locks.
pub(crate) fn acquire(
    locks: &[RwLock],
    access: Access,
    limit: &WaitLimit,
    events: &Events,
) -> Result<Vec<LockGuard>, Failure> {
    if locks.is_empty() {
        return Ok(Vec::new());
    }
    for lock in locks {
        if let Some(outer) = outer::holding(lock) {
            let (path, pid) = (lock.path().display(), outer.holder.pid());
            let advice = match (outer.access, access) {
                (Access::Shared, Access::Alone) => "a reader can't become a writer",
                _ => "run --reentrant runs COMMAND under that lock",
            };
            return Err(limit.failure(format_args!(
                "lock {path} is already held by the linklock that started this command, process \
                 {pid}: waiting would never end; {advice}"
            )));
        }
    }
    let guards = contend(limit, events, |contender| acquire_all(locks, access, contender))?;
    for guard in guards.iter().filter(|_| limit.verbose) {
        say(format_args!("acquired lock {}", guard.path().display()));
    }
    Ok(guards)
}

/// Acquires a slot of a set.
pub(crate) fn acquire_slot(
    slots: &Slots,
    limit: &WaitLimit,
    events: &Events,
) -> Result<SlotGuard, Failure> {
    let guard = contend(limit, events, |contender| {
        if limit.no_wait {
            return slots.try_lock();
        }
        slots.lock_while(|obstacle| contender.lasts(slots.path(), || obstacle.to_string()))
    })?;
    if limit.verbose {
        say(format_args!("acquired slot {} of {}", guard.slot(), slots.path().display()));
    }
    Ok(guard)
}

/// Locks a mailbox.
pub(crate) fn acquire_mailbox(
    lock: &MailboxLock,
    limit: &WaitLimit,
    events: &Events,
) -> Result<MailboxGuard, Failure> {
    if outer::has_locked(lock.path()) {
        return Err(limit.failure(format_args!(
            "mailbox {} is already locked by the linklock that started this command: waiting would \
             never end",
            lock.path().display()
        )));
    }
    let guard = contend(limit, events, |contender| {
        if limit.no_wait {
            return lock.try_lock();
        }
        let dotlock = lock.dotlock_path();
        lock.lock_while(|obstacle| {
            let is_in_vain = occupied::is_in_vain(dotlock, obstacle);
            !is_in_vain && contender.lasts(lock.path(), || obstacle.to_string())
        })
    })?;
    if limit.verbose {
        say(format_args!("acquired mailbox {}", guard.path().display()));
    }
    Ok(guard)
}

fn contend<T>(
    limit: &WaitLimit,
    events: &Events,
    acquire: impl FnOnce(&mut Contender<'_>) -> Result<T, Error>,
) -> Result<T, Failure> {
    let progress = Progress::new(limit);
    let mut contender =
        Contender { limit, events, ended: None, has_looked: false, waits_for: None, progress };
    let acquired = acquire(&mut contender);
    contender.progress.clear();

    // A signal that arrives before the command starts is not for the command, even if the lock is
    // ours by now.
    if let Some(signal) = contender.ended.or_else(|| events.ended_by_now()) {
        return Err(Failure::silent(by_signal(signal as i32)));
    }
    acquired.map_err(|error| match occupied::failure(&error) {
        Some(failure) => failure,
        None if error.is_contention() => limit.failure(error),
        None => error.into(),
    })
}

/// A waiter.
struct Contender<'a> {
    limit: &'a WaitLimit,
    events: &'a Events,
    /// The signal that has ended the wait.
    ended: Option<Signal>,
    /// Whether the ancestors have been checked.
    has_looked: bool,
    /// The lock that the last note was about.
    waits_for: Option<PathBuf>,
    progress: Progress,
}

impl Contender<'_> {
    /// Acquires one lock, waiting for it unless the user said not to.
    fn acquire(&mut self, lock: &RwLock, access: Access) -> Result<LockGuard, Error> {
        if self.limit.no_wait {
            return access.try_lock(lock);
        }
        access.lock_while(lock, |obstacle| {
            self.warn_of_ancestor(lock.path(), obstacle);
            let is_in_vain = occupied::is_in_vain(lock.path(), obstacle);
            !is_in_vain && self.lasts(lock.path(), || explain(lock.as_lock(), obstacle))
        })
    }

    /// Warns once if an ancestor holds the lock: a script, say, that has acquired it earlier.
    fn warn_of_ancestor(&mut self, lock: &Path, obstacle: &Obstacle) {
        let Some(holder) = obstacle.holder().filter(|_| !self.has_looked) else { return };
        self.has_looked = true;
        if !self.limit.quiet && outer::is_ancestor(holder) {
            say(format_args!(
                "lock {} is held by process {}, which started this command: if it waits for the \
                 command to end, neither ever goes on",
                lock.display(),
                holder.pid()
            ));
        }
    }

    fn lasts(&mut self, lock: &Path, why: impl Fn() -> String) -> bool {
        if self.waits_for.as_deref() != Some(lock) {
            self.waits_for = Some(lock.to_owned());
            self.events.journal.note(|| Note {
                lock: Some(lock.display().to_string()),
                reason: Some(why()),
                ..Note::of(Happening::Waiting)
            });
        }
        self.progress.show(lock, why);
        self.ended = self.events.ended_by();
        self.ended.is_none() && self.limit.lasts(self.progress.waited())
    }
}

fn acquire_all(
    locks: &[RwLock],
    access: Access,
    contender: &mut Contender<'_>,
) -> Result<Vec<LockGuard>, Error> {
    let mut first = 0;
    loop {
        let guard = contender.acquire(&locks[first], access)?;
        let (index, error) = match try_others(locks, access, first, guard) {
            Ok(guards) => return Ok(guards),
            Err(failed) => failed,
        };
        // The guards are dropped by now. Wait next for the lock that was held.
        match &error {
            Error::Held { obstacle, .. } if !contender.limit.no_wait => {
                let lock = &locks[index];
                let is_in_vain = occupied::is_in_vain(lock.path(), obstacle);
                if is_in_vain || !contender.lasts(lock.path(), || explain(lock.as_lock(), obstacle))
                {
                    return Err(error);
                }
            }
            Error::Lost { .. } => {}
            _ => return Err(error),
        }
        first = index;
    }
}

/// With the first lock held, takes all others that are free. On failure returns which one was not,
/// and releases the rest.
fn try_others(
    locks: &[RwLock],
    access: Access,
    first: usize,
    guard: LockGuard,
) -> Result<Vec<LockGuard>, (usize, Error)> {
    let mut first_guard = Some(guard);
    let mut guards = Vec::with_capacity(locks.len());
    for (index, lock) in locks.iter().enumerate() {
        let guard = match first_guard.take_if(|_| index == first) {
            Some(guard) => guard,
            None => access.try_lock(lock).map_err(|error| (index, error))?,
        };
        guards.push(guard);
    }
    // Acquiring the other locks may have taken some time.
    for (index, guard) in guards.iter().enumerate().filter(|_| locks.len() > 1) {
        guard.refresh().map_err(|error| (index, error))?;
    }
    Ok(guards)
}
