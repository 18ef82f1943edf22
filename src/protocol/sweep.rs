//! Sweeping: removes what dead processes have left beside a lock file.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::error::{Error, Operation};
use crate::events;
use crate::model::context::Context;
use crate::model::names::{Names, Neighbour};
use crate::protocol::fencing;
use crate::protocol::observe::{Observation, has_expired, is_abandoned, life, observe};
use crate::protocol::takeover::is_forsaken;
use crate::sys::fs::Attr;
use crate::sys::process::Life;

/// How long an expired claim of flufl.lock's is left alone: its maker may still be waiting, does not
/// touch the claim meanwhile, and would wait for ever if the claim were gone.
const FOREIGN_REST: Duration = Duration::from_secs(86_400);

/// A directory that takes longer than this to sweep counts as large.
const LONG: Duration = Duration::from_millis(1);
/// A process spends at most one part in this many of its time sweeping a large directory.
const PART: u32 = 50;

/// When, on the machine's clock, each large directory may be swept again.
static RESTING: Mutex<BTreeMap<PathBuf, Duration>> = Mutex::new(BTreeMap::new());

/// Whether a handle may sweep by itself. Each sweep lists the whole directory, so the handles of
/// ten thousand locks in one directory would read a hundred million entries.
pub(crate) fn is_affordable(context: &Context) -> bool {
    if !context.machine.can_wake {
        return true;
    }
    let resting = RESTING.lock().unwrap_or_else(PoisonError::into_inner);
    resting.get(context.names.dir()).is_none_or(|until| *until <= context.now())
}

/// Records how long a sweep took. (Simulated time has no meaning here.)
pub(crate) fn took(context: &Context, time: Duration) {
    if context.machine.can_wake && time > LONG {
        let mut resting = RESTING.lock().unwrap_or_else(PoisonError::into_inner);
        resting.retain(|_, until| *until > context.now());
        resting.insert(context.names.dir().to_owned(), context.now() + time * PART);
    }
}

/// Removes the claims, seats and put-aside files of this lock, of any host, that have expired (or
/// whose process is provably dead) and that are not the lock file; but no claim of a process that
/// is provably alive. Returns what was removed. A file that cannot be removed is left.
pub(crate) fn sweep(context: &Context) -> Result<Vec<PathBuf>, Error> {
    let mut swept = Vec::new();
    orphans(context, |path| {
        if matches!(remove(context, &path), Ok(true)) {
            swept.push(path);
        }
    })?;
    events::swept(context, &swept);
    Ok(swept)
}

/// Removes a file of the lock's, or a draft of a directory; returns whether it was there.
fn remove(context: &Context, path: &Path) -> io::Result<bool> {
    match path.file_name().and_then(|name| context.names.parse_neighbour(name)) {
        Some(Neighbour::FenceDraft) => fencing::discard(context, path),
        _ => context.machine.remove(path),
    }
}

/// Passes each file that may be removed to `tell`, right after deciding so.
pub(crate) fn orphans(context: &Context, mut tell: impl FnMut(PathBuf)) -> Result<(), Error> {
    let dir = context.names.dir();
    for entry in context.machine.fs.list(dir).map_err(Error::io(Operation::List, dir))? {
        let Some(neighbour) = context.names.parse_neighbour(&entry) else { continue };
        if may_go(context, &entry, &neighbour)? {
            tell(dir.join(entry));
        }
    }
    Ok(())
}

fn may_go(context: &Context, entry: &OsStr, neighbour: &Neighbour) -> Result<bool, Error> {
    // Decided without a request: where a hundred processes of one host start at once, each finds
    // the claims of all the others.
    if matches!(neighbour, Neighbour::Claim(claim) if life(context, claim) == Life::Alive) {
        return Ok(false);
    }
    let path = context.names.dir().join(entry);
    let Some(attr) = context.machine.find(&path)? else {
        return Ok(false);
    };
    let abandoned = match neighbour {
        Neighbour::Claim(claim) if claim.is_foreign() => {
            let rested = attr.mtime.checked_add(FOREIGN_REST);
            rested.is_some_and(|rested| has_expired(context, rested))
        }
        Neighbour::Claim(claim) => is_abandoned(context, &attr, Some(claim)),
        // Another name of its inode may just have been swept, which changes the inode's ctime.
        Neighbour::Seat(_) => {
            is_abandoned(context, &attr, None) || is_forsaken(context, &path, &attr)
        }
        // It was another process's lock file: that its holder is dead says nothing about the
        // process that put the file there.
        Neighbour::Aside => is_abandoned(context, &attr, None),
        // A draft has no lease. A process that is still making it would have to make another.
        Neighbour::FenceDraft => !attr.is_file() && has_expired(context, attr.ctime),
    };
    Ok(abandoned && !is_in_use(context, &attr, neighbour)?)
}

/// Checked last, after the file was found to be abandoned. A stalled owner may make the file the
/// lock file nevertheless: an owner that finds its claim gone checks whether it did.
fn is_in_use(context: &Context, attr: &Attr, neighbour: &Neighbour) -> Result<bool, Error> {
    match neighbour {
        Neighbour::FenceDraft => Ok(false),
        // By the inode, whatever the content says: the file may be all that shows who holds the lock.
        Neighbour::Claim(_) | Neighbour::Aside => {
            Ok(context.machine.find(context.lock_path())?.is_some_and(|lock| lock.id == attr.id))
        }
        // A dead breaker's seat must be passed over for as long as the lock file is the same
        // incarnation.
        Neighbour::Seat(key) => Ok(match observe(context)? {
            Observation::Free => false,
            Observation::Held(held, _) => Names::is_key_of(key, &held.claim.nonce),
            Observation::NotALock | Observation::Unreadable(_) => true, // possibly
        }),
    }
}
