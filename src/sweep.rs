//! Sweeping: removing what the dead have left beside a lock file.

use std::ffi::OsStr;
use std::path::PathBuf;

use crate::context::Context;
use crate::error::{Error, Operation};
use crate::fs::Attr;
use crate::judge::{Sight, is_abandoned, look};
use crate::names::{Names, Neighbour};

/// Removes the claims, seats and put-aside files of this lock, of any host, that have expired (or
/// whose process is provably dead) and that the lock file is not. Says what it has removed; what
/// it may not remove it leaves.
pub(crate) fn sweep(context: &Context) -> Result<Vec<PathBuf>, Error> {
    let dir = context.names.dir();
    let mut swept = Vec::new();
    for entry in context.fs.list(dir).map_err(Error::io(Operation::List, dir))? {
        let Some(neighbour) = context.names.parse_neighbour(&entry) else { continue };
        if may_go(context, &entry, &neighbour)? {
            let path = dir.join(entry);
            if context.remove(&path).is_ok() {
                swept.push(path);
            }
        }
    }
    Ok(swept)
}

fn may_go(context: &Context, entry: &OsStr, neighbour: &Neighbour) -> Result<bool, Error> {
    let path = context.names.dir().join(entry);
    let Some(attr) = context.find(&path).map_err(Error::io(Operation::Stat, &path))? else {
        return Ok(false);
    };
    let claim = match neighbour {
        Neighbour::Claim(claim) => Some(claim),
        Neighbour::Seat(_) | Neighbour::Aside => None,
    };
    Ok(is_abandoned(context, &attr, claim) && !is_in_use(context, &attr, neighbour)?)
}

/// Looked at last, after the file was seen to be abandoned: an abandoned file never becomes the
/// lock file, for its owner would touch it first.
fn is_in_use(context: &Context, attr: &Attr, neighbour: &Neighbour) -> Result<bool, Error> {
    Ok(match (look(context)?, neighbour) {
        (Sight::Free, _) => false,
        // A dead breaker's seat must be passed over for as long as the lock file is what it was.
        (Sight::Held(held, _), Neighbour::Seat(key)) => Names::is_key_of(key, &held.claim.nonce),
        (Sight::Held(held, _), Neighbour::Claim(_) | Neighbour::Aside) => held.id == attr.id,
        (Sight::NotALock, _) => false,
        (Sight::Unreadable(_), _) => true, // for all that can be told
    })
}
