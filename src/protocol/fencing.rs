//! Fencing tokens: numbers that grow from one tenure of a lock to the next.
//!
//! The counter of a lock `L` is the name of an empty file in the directory `L.fence`. A process
//! that has acquired the lock renames the file from N to N+1, checks that the lock is still its
//! own, and only then has the token N+1.
//!
//! # Why tokens grow in the order of acquisition
//!
//! A rename is a compare-and-swap: of the processes that try to rename N one succeeds, and the
//! others learn that N is gone. So each executed rename leaves a higher number than all before it.
//! A token is the number left by a rename that was executed after its tenure's link, and before a
//! check that found the lock file still to be that tenure's: within the tenure. Two tenures do not
//! overlap, so the renames of one all precede those of the next, and its tokens are lower.
//!
//! This relies on no lease and no clock. A process that stalls between its link and its rename, and
//! whose lock is taken over meanwhile, may still advance the counter: from N if the next holder has
//! not done so yet, which then finds N gone and takes the next number; or from a later one. Either
//! way its check shows that it has lost the lock, so the number is never used as a token. A RENAME
//! whose reply is lost, or that is executed for a process that has died, uses up a number too.
//! Tokens grow, but may have gaps.
//!
//! # The first token
//!
//! The directory is drafted beside the lock under a name of its own, with the counter 0 in it, and
//! then renamed. That succeeds only if there is no `L.fence`, or an empty one (rename(2)), so a
//! process that comes too late cannot add a second counter. 0 is never a token: if the counter is
//! lost, no token is issued twice.
//!
//! If there are several counters nevertheless, made by hand, the highest counts. A lower one may be
//! removed at any time, since the counter never returns to a lower number.
//!
//! Numbers are plain decimals without leading zeros: each number has one name, no width has to be
//! agreed on, and an administrator can set the counter with mv(1). Names of any other form are ignored.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::error::{Error, Operation};
use crate::events;
use crate::model::context::Context;
use crate::model::names::Names;
use crate::model::nonce::Nonce;
use crate::sys::errno::{is_forbidden, is_gone, is_taken, may_pass};
use crate::sys::fs::Mount;

/// How often to try for the next number, within about a second. Only processes that have lost the
/// lock can get in the way, each of them once.
const ATTEMPTS: u32 = 10;
/// The counter from which no token was drawn yet.
const FIRST: &str = "0";

/// Draws the next number for the tenure with this nonce. The caller has yet to check that it still
/// has the lock.
pub(crate) fn draw(context: &Context, tenure: &Nonce) -> Result<u64, Error> {
    let dir = context.names.fence();
    let mut trouble = None;
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            // This shows an NFS client that its cached names are out of date.
            let _ = context.machine.fs.stat(&dir);
        }
        if attempt > 1 {
            context.machine.clock.sleep(Duration::from_millis(1 << attempt));
        }
        let counters = match counters(context, &dir) {
            Ok(counters) => counters,
            Err(error) if is_gone(&error) => {
                let failed = make(context, &dir, tenure)?;
                trouble = failed.or(Some(Error::io(Operation::List, &dir)(error)));
                continue;
            }
            Err(error) => return Err(Error::io(Operation::List, &dir)(error)),
        };
        let Some(&highest) = counters.iter().max() else {
            // Or the counter was missed while it was renamed: readdir(3) is no snapshot.
            let failed = make(context, &dir, tenure)?;
            let none = io::Error::new(io::ErrorKind::InvalidData, "it contains no counter");
            trouble = failed.or(Some(Error::io(Operation::List, &dir)(none)));
            continue;
        };
        let name = highest.to_string();
        let from = dir.join(&name);
        let Some(next) = highest.checked_add(1) else {
            let last = io::Error::other("there is no higher number");
            return Err(Error::io(Operation::Rename, &from)(last));
        };
        match context
            .machine
            .retry_estale(|| context.machine.fs.rename_in(&dir, &name, &next.to_string()))
        {
            Ok(()) => {
                remove_lower(context, &dir, &counters, highest);
                return Ok(next);
            }
            // A process that has lost the lock renamed it; or we did, and the reply was lost.
            Err(error) if is_gone(&error) => {
                trouble = Some(Error::io(Operation::Rename, &from)(error));
            }
            Err(error) => return Err(failed(context, Operation::Rename, &from)(error)),
        }
    }
    Err(trouble.expect("there were attempts"))
}

/// The numbers in the directory: one, unless others were made there by hand.
fn counters(context: &Context, dir: &Path) -> io::Result<Vec<u64>> {
    let names = context.machine.retry_estale(|| context.machine.fs.list(dir))?;
    Ok(names.iter().filter_map(|name| Names::parse_counter(name)).collect())
}

fn remove_lower(context: &Context, dir: &Path, counters: &[u64], highest: u64) {
    for lower in counters.iter().filter(|counter| **counter < highest) {
        if let Err(error) = context.machine.fs.unlink_in(dir, &lower.to_string()) {
            events::left_behind(context, &dir.join(lower.to_string()), &error);
        }
    }
}

/// Puts a directory with a counter in its place, if there is none. Returns the error, if any, that
/// only another listing can distinguish from success.
fn make(context: &Context, dir: &Path, tenure: &Nonce) -> Result<Option<Error>, Error> {
    let draft = context.names.fence_draft(tenure, context.machine.random_number());
    let gone = |operation, path, error| Ok(Put::Gone(Error::io(operation, path)(error)));
    let permissions = context.config.mode;
    let make_dir = || context.machine.fs.make_dir(&draft, FIRST, permissions);
    let made = match context.machine.retry_estale(make_dir) {
        Ok(()) => match context.machine.fs.rename(&draft, dir) {
            Ok(()) => Ok(Put::Here),
            Err(error) if is_taken(&error) => Ok(Put::ByAnother),
            // The first of two replies was lost, or a sweeper was quick.
            Err(error) if is_gone(&error) => gone(Operation::Rename, dir, error),
            Err(error) => Err(failed(context, Operation::Rename, dir)(error)),
        },
        // A sweeper was quicker still.
        Err(error) if is_gone(&error) => gone(Operation::Create, &draft, error),
        Err(error) => Err(failed(context, Operation::Create, &draft)(error)),
    };
    if !matches!(made, Ok(Put::Here)) {
        if let Err(error) = discard(context, &draft) {
            events::left_behind(context, &draft, &error);
        }
    }
    Ok(match made? {
        Put::Here | Put::ByAnother => None,
        Put::Gone(error) => Some(error),
    })
}

/// The error for a file system that has no directories of this kind, or for a failure. (The directory
/// may be another user's, so that a permission may be missing.)
fn failed(context: &Context, operation: Operation, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |error| {
        if context.mount() != Mount::Other || may_pass(&error) || is_forbidden(&error) {
            return Error::io(operation, path)(error);
        }
        let lacks = "does not let directories be made and renamed, as fencing tokens need";
        context.unsupported(lacks, Some(error))
    }
}

/// The outcome of putting a draft in its place.
enum Put {
    Here,
    ByAnother,
    Gone(Error),
}

/// Removes a draft; returns whether it was there.
pub(crate) fn discard(context: &Context, draft: &Path) -> io::Result<bool> {
    match context.machine.retry_estale(|| context.machine.fs.remove_dir(draft, FIRST)) {
        Ok(()) => Ok(true),
        Err(error) if is_gone(&error) => Ok(false),
        Err(error) => Err(error),
    }
}
