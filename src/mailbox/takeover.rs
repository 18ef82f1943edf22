//! TakeoverOutcome a dotlock that is not ours.
//!
//! The right to do so is a lock of its own, so that two breakers never act at once, and one that
//! dies is succeeded. Whoever holds it looks again, and acts while its lease runs.

use std::io;

use crate::error::{Error, Operation};
use crate::events;
use crate::holder::Obstacle;
use crate::mailbox::context::MailboxContext;
use crate::mailbox::dotlock::is_same;
use crate::mailbox::observe::{Occupant, StaleDotlock, is_lease_over, is_still};
use crate::mailbox::permission;
use crate::protocol::takeover::{Caught, catch};
use crate::sys::errno::is_forbidden;

/// What came of ending a dotlock.
#[derive(Debug)]
pub(crate) enum TakeoverOutcome {
    /// It is gone, or was another's already: try again.
    Gone,
    /// Another is at it.
    NotNow,
    /// It is not permitted.
    Forbidden(io::Error),
}

/// Ends a dotlock, if at the second look it is still what was judged.
pub(crate) fn take_over(
    context: &MailboxContext,
    stale: &StaleDotlock,
) -> Result<TakeoverOutcome, Error> {
    let turn = match context.breaker.try_lock() {
        Ok(turn) => turn,
        Err(error) if error.is_contention() => return Ok(TakeoverOutcome::NotNow),
        Err(error) => return forbidden(context, error),
    };
    // Whatever it is by now, if it is not what it was it must be judged anew.
    if !is_still(context, &stale.scene)? {
        return Ok(TakeoverOutcome::Gone);
    }
    if turn.remaining().is_zero() {
        return Ok(TakeoverOutcome::NotNow);
    }
    let ended = match &stale.what {
        Occupant::Dotlock(_) => take_away(context, stale),
        Occupant::LockFile(_) => break_lock(context),
    };
    if let Err(error) = turn.unlock() {
        events::right_not_given_back(&context.mailbox, &error);
    }
    ended
}

fn take_away(context: &MailboxContext, stale: &StaleDotlock) -> Result<TakeoverOutcome, Error> {
    let expected = &stale.scene.dotlock;
    let caught = catch(context.core(), &context.dotlock, context.aside(), |aside| {
        let attr = &aside.attr;
        is_same(attr, expected)
            && (attr.size, attr.permissions) == (expected.size, expected.permissions)
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

/// A lock file of [`Lock`](crate::Lock)'s kind is ended by the rules of its kind.
fn break_lock(context: &MailboxContext) -> Result<TakeoverOutcome, Error> {
    let Some(lock) = &context.leased else { return Ok(TakeoverOutcome::NotNow) };
    match lock.break_if(|holder| is_lease_over(context, holder)) {
        Ok(Some(_)) => Ok(TakeoverOutcome::Gone),
        Ok(None) => Ok(TakeoverOutcome::NotNow),
        Err(Error::Held { obstacle, .. }) => Ok(match *obstacle {
            Obstacle::CannotBreak(_, error) => {
                TakeoverOutcome::Forbidden(permission::removal(context, &error))
            }
            _ => TakeoverOutcome::NotNow,
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

    use tempfile::{TempDir, tempdir};

    use super::*;
    use crate::clock::SystemClock;

    /// A mailbox whose dotlock was judged to be stale.
    fn judged() -> (TempDir, MailboxContext, StaleDotlock) {
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

    /// Nothing but the dotlock.
    fn assert_alone(dir: &TempDir) {
        let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.collect::<Vec<_>>(), ["joe.lock"]);
    }

    #[test]
    fn what_was_judged_is_ended() {
        let (dir, context, stale) = judged();
        assert!(matches!(take_over(&context, &stale), Ok(TakeoverOutcome::Gone)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_breaker_of_yesterdays_dotlock_does_not_end_todays() {
        let (dir, context, stale) = judged();
        make_dotlock(&context); // often with the very inode number of the other
        let todays = inode(&context);
        assert!(matches!(take_over(&context, &stale), Ok(TakeoverOutcome::Gone)));
        assert_eq!(inode(&context), todays);
        assert_alone(&dir);
    }

    /// As when another program has broken the one and made the other after our second look.
    #[test]
    fn todays_is_put_back_if_it_was_taken_away_after_all() {
        let (dir, context, stale) = judged();
        make_dotlock(&context);
        let todays = inode(&context);
        assert!(matches!(take_away(&context, &stale), Ok(TakeoverOutcome::Gone)));
        assert_eq!(inode(&context), todays);
        assert_alone(&dir);
    }
}
