//! Ending a dotlock that is not ours.
//!
//! The right to do so is a lock of its own, so that two breakers never act at once, and one that
//! dies is succeeded. Whoever holds it looks again, and acts while its lease runs.

use std::io;

use crate::error::{Error, Operation};
use crate::events;
use crate::holder::Obstacle;
use crate::mailbox::context::Site;
use crate::mailbox::dotlock::is_same;
use crate::mailbox::observe::{Over, Stale, is_lease_over, is_still};
use crate::mailbox::permission;
use crate::model::context::is_forbidden;
use crate::protocol::takeover::{Caught, catch};

/// What came of ending a dotlock.
#[derive(Debug)]
pub(crate) enum Ending {
    /// It is gone, or was another's already: try again.
    Gone,
    /// Another is at it.
    NotNow,
    /// It is not permitted.
    Forbidden(io::Error),
}

/// Ends a dotlock, if at the second look it is still what was judged.
pub(crate) fn end(site: &Site, over: &Over) -> Result<Ending, Error> {
    let turn = match site.breaker.try_lock() {
        Ok(turn) => turn,
        Err(error) if error.is_contention() => return Ok(Ending::NotNow),
        Err(error) => return forbidden(site, error),
    };
    // Whatever it is by now, if it is not what it was it must be judged anew.
    if !is_still(site, &over.scene)? {
        return Ok(Ending::Gone);
    }
    if turn.remaining().is_zero() {
        return Ok(Ending::NotNow);
    }
    let ended = match &over.what {
        Stale::Dotlock(_) => take_away(site, over),
        Stale::Leased(_) => break_lock(site),
    };
    if let Err(error) = turn.unlock() {
        events::right_not_given_back(&site.mailbox, &error);
    }
    ended
}

fn take_away(site: &Site, over: &Over) -> Result<Ending, Error> {
    let expected = &over.scene.dotlock;
    let caught = catch(site.context(), &site.dotlock, site.aside(), |aside| {
        let attr = &aside.attr;
        is_same(attr, expected)
            && (attr.size, attr.permissions) == (expected.size, expected.permissions)
    });
    match caught {
        Ok(caught) => {
            if let (Caught::Expected, Stale::Dotlock(dotlock)) = (caught, &over.what) {
                events::dotlock_broken(&site.mailbox, dotlock);
            }
            Ok(Ending::Gone)
        }
        Err(error) => forbidden(site, error),
    }
}

/// A lock file of [`Lock`](crate::Lock)'s kind is ended by the rules of its kind.
fn break_lock(site: &Site) -> Result<Ending, Error> {
    let Some(lock) = &site.leased else { return Ok(Ending::NotNow) };
    match lock.break_if(|holder| is_lease_over(site, holder)) {
        Ok(Some(_)) => Ok(Ending::Gone),
        Ok(None) => Ok(Ending::NotNow),
        Err(Error::Held { obstacle, .. }) => Ok(match *obstacle {
            Obstacle::CannotBreak(_, error) => {
                Ending::Forbidden(permission::removal(&site.dotlock, &error))
            }
            _ => Ending::NotNow,
        }),
        Err(error) => forbidden(site, error),
    }
}

fn forbidden(site: &Site, error: Error) -> Result<Ending, Error> {
    match error {
        Error::Io { operation: Operation::Create | Operation::Rename, error, .. }
            if is_forbidden(&error) =>
        {
            Ok(Ending::Forbidden(permission::removal(&site.dotlock, &error)))
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

    /// A mailbox whose dotlock was judged to be over.
    fn judged() -> (TempDir, Site, Over) {
        let dir = tempdir().unwrap();
        let options = crate::mailbox::MailboxLock::options(dir.path().join("joe"));
        let site = options.clock(Arc::new(SystemClock)).site().unwrap();
        make_dotlock(&site);
        let over = Over::now(&site);
        (dir, site, over)
    }

    fn make_dotlock(site: &Site) {
        let _ = fs::remove_file(&site.dotlock);
        fs::write(&site.dotlock, "0\n").unwrap();
    }

    fn inode(site: &Site) -> u64 {
        fs::symlink_metadata(&site.dotlock).unwrap().ino()
    }

    /// Nothing but the dotlock.
    fn assert_alone(dir: &TempDir) {
        let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.collect::<Vec<_>>(), ["joe.lock"]);
    }

    #[test]
    fn what_was_judged_is_ended() {
        let (dir, site, over) = judged();
        assert!(matches!(end(&site, &over), Ok(Ending::Gone)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_breaker_of_yesterdays_dotlock_does_not_end_todays() {
        let (dir, site, over) = judged();
        make_dotlock(&site); // often with the very inode number of the other
        let todays = inode(&site);
        assert!(matches!(end(&site, &over), Ok(Ending::Gone)));
        assert_eq!(inode(&site), todays);
        assert_alone(&dir);
    }

    /// As when another program has broken the one and made the other after our second look.
    #[test]
    fn todays_is_put_back_if_it_was_taken_away_after_all() {
        let (dir, site, over) = judged();
        make_dotlock(&site);
        let todays = inode(&site);
        assert!(matches!(take_away(&site, &over), Ok(Ending::Gone)));
        assert_eq!(inode(&site), todays);
        assert_alone(&dir);
    }
}
