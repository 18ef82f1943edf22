//! Taking over a dotlock that is not ours.
//!
//! The right to do so is a lock of its own, so that two breakers never act at once, and the place
//! of a breaker that dies is taken over. Its holder rechecks the dotlock, and acts while its lease
//! runs.

use std::io;
use std::path::PathBuf;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{Error, Operation};
use crate::events;
use crate::guard::LockGuard;
use crate::holder::Obstacle;
use crate::mailbox::context::MailboxContext;
use crate::mailbox::dotlock::is_unchanged;
use crate::mailbox::observe::{Occupant, StaleDotlock, is_lease_over, is_still};
use crate::mailbox::permission;
use crate::protocol::takeover::{Caught, catch};
use crate::sys::errno::is_forbidden;

/// The outcome of a takeover.
#[derive(Debug)]
pub(crate) enum TakeoverOutcome {
    /// It is gone, or another program has already replaced it: try again.
    Gone,
    /// Another breaker has the right to.
    NotNow,
    /// The file system does not permit it.
    Forbidden(io::Error),
}

/// Removes a dotlock, if a recheck finds it unchanged since it was found stale.
pub(crate) fn take_over(
    context: &MailboxContext,
    stale: &StaleDotlock,
) -> Result<TakeoverOutcome, Error> {
    break_left_behind(context);
    let turn = match context.breaker.try_lock() {
        Ok(turn) => turn,
        Err(error) if error.is_contention() => return Ok(TakeoverOutcome::NotNow),
        Err(error) => return forbidden(context, error),
    };
    let outcome = take_over_in_turn(context, stale, &turn);
    give_back(context, turn);
    outcome
}

fn take_over_in_turn(
    context: &MailboxContext,
    stale: &StaleDotlock,
    turn: &LockGuard,
) -> Result<TakeoverOutcome, Error> {
    // A dotlock that has changed must be observed from the beginning.
    if !is_still(context, &stale.snapshot)? {
        return Ok(TakeoverOutcome::Gone);
    }
    if turn.remaining().is_zero() {
        return Ok(TakeoverOutcome::NotNow);
    }
    match &stale.what {
        Occupant::Dotlock(_) => take_away(context, stale),
        Occupant::LockFile(_) => break_lock(context),
    }
}

/// Calls `act` while no breaker can act, after waiting for that right for `limit` at most.
pub(crate) fn in_turn<T>(
    context: &MailboxContext,
    limit: Duration,
    act: impl FnOnce(&LockGuard) -> Result<T, Error>,
) -> Result<T, Error> {
    break_left_behind(context);
    let turn = context.breaker.try_lock_for(limit)?;
    let done = act(&turn);
    give_back(context, turn);
    done
}

fn give_back(context: &MailboxContext, turn: LockGuard) {
    let claim = turn.claim_path().to_owned();
    if let Err(error) = turn.unlock() {
        events::right_not_given_back(&context.mailbox, &error);
        *left_behind(context) = Some(claim);
    }
}

/// Breaks our own lock that could not be released. Other processes of this host see only that its
/// process is alive, not that it no longer uses the lock.
fn break_left_behind(context: &MailboxContext) {
    let Some(claim) = left_behind(context).take() else { return };
    if context.breaker.break_if(|holder| holder.claim_path() == claim).is_err() {
        *left_behind(context) = Some(claim);
    }
}

fn left_behind(context: &MailboxContext) -> MutexGuard<'_, Option<PathBuf>> {
    context.left_behind.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take_away(context: &MailboxContext, stale: &StaleDotlock) -> Result<TakeoverOutcome, Error> {
    let caught = catch(context.core(), &context.dotlock, context.aside(), |aside| {
        is_unchanged(&stale.snapshot.dotlock, &aside.attr)
    });
    match caught {
        Ok(caught) => {
            if let (Caught::Expected, Occupant::Dotlock(dotlock)) = (caught, &stale.what) {
                events::dotlock_broken(&context.mailbox, dotlock);
            }
            Ok(TakeoverOutcome::Gone)
        }
        Err(error) => forbidden(context, error),
    }
}

/// Breaks a lock file of [`Lock`](crate::Lock)'s kind, by the rules of that kind.
fn break_lock(context: &MailboxContext) -> Result<TakeoverOutcome, Error> {
    let Some(lock) = &context.leased else { return Ok(TakeoverOutcome::NotNow) };
    match lock.break_if(|holder| is_lease_over(context, holder)) {
        Ok(Some(_)) => Ok(TakeoverOutcome::Gone),
        Ok(None) => Ok(TakeoverOutcome::NotNow),
        Err(Error::Held { obstacle, .. }) => Ok(match *obstacle {
            Obstacle::CannotBreak(_, error) => {
                TakeoverOutcome::Forbidden(permission::removal(context, &error))
            }
            Obstacle::Holder(_)
            | Obstacle::NotALock
            | Obstacle::Unreadable(_)
            | Obstacle::ReadDenied(..)
            | Obstacle::Queue
            | Obstacle::Dotlock(_)
            | Obstacle::CannotBreakDotlock(..)
            | Obstacle::Fcntl(_) => TakeoverOutcome::NotNow,
        }),
        Err(error) => forbidden(context, error),
    }
}

fn forbidden(context: &MailboxContext, error: Error) -> Result<TakeoverOutcome, Error> {
    match error {
        Error::Io { operation: Operation::Create | Operation::Rename, error, .. }
            if is_forbidden(&error) =>
        {
            Ok(TakeoverOutcome::Forbidden(permission::removal(context, &error)))
        }
        error => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::sync::Arc;
    use std::thread;

    use tempfile::{TempDir, tempdir};

    use super::*;
    use crate::clock::SystemClock;

    /// A mailbox whose dotlock was found stale.
    fn found_stale() -> (TempDir, MailboxContext, StaleDotlock) {
        let dir = tempdir().unwrap();
        let options = crate::mailbox::MailboxLock::options(dir.path().join("joe"));
        let context = options.clock(Arc::new(SystemClock)).context(None).unwrap();
        make_dotlock(&context);
        let stale = StaleDotlock::now(&context);
        (dir, context, stale)
    }

    fn make_dotlock(context: &MailboxContext) {
        let _ = fs::remove_file(&context.dotlock);
        fs::write(&context.dotlock, "0\n").unwrap();
    }

    fn inode(context: &MailboxContext) -> u64 {
        fs::symlink_metadata(&context.dotlock).unwrap().ino()
    }

    /// Checks that only the dotlock is left.
    fn assert_alone(dir: &TempDir) {
        let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.collect::<Vec<_>>(), ["joe.lock"]);
    }

    #[test]
    fn a_stale_dotlock_is_removed() {
        let (dir, context, stale) = found_stale();
        assert!(matches!(take_over(&context, &stale), Ok(TakeoverOutcome::Gone)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_breaker_of_yesterdays_dotlock_does_not_remove_todays() {
        let (dir, context, stale) = found_stale();
        make_dotlock(&context); // often with the inode number of the first
        let todays = inode(&context);
        assert!(matches!(take_over(&context, &stale), Ok(TakeoverOutcome::Gone)));
        assert_eq!(inode(&context), todays);
        assert_alone(&dir);
    }

    /// A lock's clones share the right to break, and may be in different threads.
    #[test]
    fn threads_take_turns_as_breakers() {
        let (_dir, context, stale) = found_stale();
        in_turn(&context, Duration::ZERO, |_| {
            thread::scope(|scope| {
                let other = scope.spawn(|| in_turn(&context, Duration::ZERO, |_| Ok(())));
                let error = other.join().unwrap().unwrap_err();
                assert!(error.is_contention(), "{error:?}");
                let other = scope.spawn(|| take_over(&context, &stale)).join().unwrap();
                assert!(matches!(other, Ok(TakeoverOutcome::NotNow)), "{other:?}");
            });
            Ok(())
        })
        .unwrap();
    }

    /// As if another program had broken the first dotlock and made the second after the recheck.
    #[test]
    fn todays_dotlock_is_put_back_if_it_was_caught_by_mistake() {
        let (dir, context, stale) = found_stale();
        make_dotlock(&context);
        let todays = inode(&context);
        assert!(matches!(take_away(&context, &stale), Ok(TakeoverOutcome::Gone)));
        assert_eq!(inode(&context), todays);
        assert_alone(&dir);
    }
}
