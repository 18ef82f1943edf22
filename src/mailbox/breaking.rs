//! Ending a dotlock that is not ours.
//!
//! The right to do so is a lock of its own, so that two breakers never act at once, and one that
//! dies is succeeded. Whoever holds it looks again, and acts while its lease runs.

use std::io;

use crate::context::is_forbidden;
use crate::error::{Error, Operation};
use crate::holder::Obstacle;
use crate::mailbox::denied;
use crate::mailbox::own::is_same;
use crate::mailbox::site::Site;
use crate::mailbox::watch::{Over, Stale, is_lease_over, is_still};
use crate::report::report;
use crate::succession::catch;

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
        report!(error, "the right to break a mailbox's dotlock was not given back");
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
        Ok(_) => Ok(Ending::Gone),
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
                Ending::Forbidden(denied::removal(&site.dotlock, &error))
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
            Ok(Ending::Forbidden(denied::removal(&site.dotlock, &error)))
        }
        error => Err(error),
    }
}
