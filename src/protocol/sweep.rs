//! Sweeping: removing what the dead have left beside a lock file.

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

/// For how long a claim of flufl.lock's is left alone after it has expired: its maker may be waiting
/// still, does not touch it meanwhile, and would wait for ever if it were gone.
const FOREIGN_REST: Duration = Duration::from_secs(86_400);

/// A directory that took longer than this to sweep is large.
const LONG: Duration = Duration::from_millis(1);
/// What part of its time a process spends with sweeping a large directory.
const PART: u32 = 50;

/// Until when large directories are let be, on the machine's clock.
static RESTING: Mutex<BTreeMap<PathBuf, Duration>> = Mutex::new(BTreeMap::new());

/// Whether a handle may sweep by itself. Each has to list the whole directory, so ten thousand locks
/// in one would take a hundred million looks.
pub(crate) fn is_affordable(context: &Context) -> bool {
    if !context.can_wake {
        return true;
    }
    let resting = RESTING.lock().unwrap_or_else(PoisonError::into_inner);
    resting.get(context.names.dir()).is_none_or(|until| *until <= context.now())
}

/// Takes note of how long it took. (Simulated time says nothing of that.)
pub(crate) fn took(context: &Context, time: Duration) {
    if context.can_wake && time > LONG {
        let mut resting = RESTING.lock().unwrap_or_else(PoisonError::into_inner);
        resting.retain(|_, until| *until > context.now());
        resting.insert(context.names.dir().to_owned(), context.now() + time * PART);
    }
}

/// Removes the claims, seats and put-aside files of this lock, of any host, that have expired (or
/// whose process is provably dead) and that the lock file is not; but no claim of a process that
/// provably lives. Says what it has removed; what
/// it may not remove it leaves.
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

/// Removes a file of the lock's, or a draft of a directory, and says whether it was there.
fn remove(context: &Context, path: &Path) -> io::Result<bool> {
    match path.file_name().and_then(|name| context.names.parse_neighbour(name)) {
        Some(Neighbour::FenceDraft) => fencing::discard(context, path),
        _ => context.remove(path),
    }
}

/// Tells of each file that may be removed, at a moment at which it may.
pub(crate) fn orphans(context: &Context, mut tell: impl FnMut(PathBuf)) -> Result<(), Error> {
    let dir = context.names.dir();
    for entry in context.fs.list(dir).map_err(Error::io(Operation::List, dir))? {
        let Some(neighbour) = context.names.parse_neighbour(&entry) else { continue };
        if may_go(context, &entry, &neighbour)? {
            tell(dir.join(entry));
        }
    }
    Ok(())
}

fn may_go(context: &Context, entry: &OsStr, neighbour: &Neighbour) -> Result<bool, Error> {
    // Told without a request: where a hundred of one host come at once, each finds all the others.
    if matches!(neighbour, Neighbour::Claim(claim) if life(context, claim) == Life::Alive) {
        return Ok(false);
    }
    let path = context.names.dir().join(entry);
    let Some(attr) = context.find(&path)? else {
        return Ok(false);
    };
    let abandoned = match neighbour {
        Neighbour::Claim(claim) if claim.is_foreign() => {
            let rested = attr.mtime.checked_add(FOREIGN_REST);
            rested.is_some_and(|rested| has_expired(context, rested))
        }
        Neighbour::Claim(claim) => is_abandoned(context, &attr, Some(claim)),
        // Another name of its inode may have been swept just now, which has changed it.
        Neighbour::Seat(_) => {
            is_abandoned(context, &attr, None) || is_forsaken(context, &path, &attr)
        }
        // It was another's lock file: that its holder is dead says nothing of who put it there.
        Neighbour::Aside => is_abandoned(context, &attr, None),
        // It has no lease. A process that still makes it would have to make another.
        Neighbour::FenceDraft => !attr.is_file() && has_expired(context, attr.ctime),
    };
    Ok(abandoned && !is_in_use(context, &attr, neighbour)?)
}

/// Looked at last, after the file was seen to be abandoned. An owner that has stood still may make
/// it the lock file nevertheless: one that finds its claim gone looks whether it did.
fn is_in_use(context: &Context, attr: &Attr, neighbour: &Neighbour) -> Result<bool, Error> {
    match neighbour {
        Neighbour::FenceDraft => Ok(false),
        // By the inode, whatever the content says: it may be all that says who holds the lock.
        Neighbour::Claim(_) | Neighbour::Aside => {
            Ok(context.find(context.lock_path())?.is_some_and(|lock| lock.id == attr.id))
        }
        // A dead breaker's seat must be passed over for as long as the lock file is what it was.
        Neighbour::Seat(key) => Ok(match observe(context)? {
            Observation::Free => false,
            Observation::Held(held, _) => Names::is_key_of(key, &held.claim.nonce),
            Observation::NotALock | Observation::Unreadable(_) => true, // for all that is known
        }),
    }
}
