//! Handing a lock over: detaches it from this process, and adopts or attaches to a detached one.
//!
//! The name of a lock's claim says who holds the lock, and the lock file names the claim. So a lock
//! changes hands by a new claim, which takes the old one's place at the lock file in one rename(2):
//! there is no moment at which the lock is free.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Operation};
use crate::events;
use crate::holder::{Holder, Obstacle, Owner};
use crate::model::context::Context;
use crate::model::names::{ClaimName, Neighbour};
use crate::protocol::acquire::settle;
use crate::protocol::claim::{Claim, ClaimError};
use crate::protocol::observe::{Incarnation, Observation, is_lock_file, observe};
use crate::protocol::takeover::{self, TakeoverOutcome};
use crate::protocol::tenure::Tenure;
use crate::sys::errno::{self, is_estale, is_gone};
use crate::sys::fs::Mount;
use crate::sys::process::Process;

/// How many seats, whose owners died in them one after another, an adopter waits for.
const SEATS: u32 = 16;

/// A process that never ends, so that flufl.lock does not consider a lock dead that depends on its
/// lease alone.
const NOBODY: Process = Process { pid: 1, proof: None };

/// Hands the lock to `owner`; returns the claim that then holds it.
pub(crate) fn detach(tenure: &Tenure, owner: Owner) -> Result<PathBuf, Error> {
    let context = &tenure.context;
    if tenure.is_shared() {
        let reason =
            "this process may not hand it over: it has attached to the lock, not adopted it".into();
        return Err(Error::Invalid { path: context.lock_path().into(), reason });
    }
    let process = match owner {
        Owner::Lease => NOBODY,
        Owner::Process(pid) => context
            .machine
            .processes
            .find(pid)
            .map_err(|_| Error::NoSuchOwner { path: context.lock_path().into(), pid })?,
    };
    let mut new = Claim::make_for(&process, context, tenure.lifetime())?;
    let aside = put_aside(&new)?;
    // Last before the rename, because it waits for all that may delay changes of the replaced
    // inode.
    let replaced = tenure.refresh().and_then(|()| tenure.let_go(|| replace(&new, &aside)));
    // Already gone, if all went well.
    if let Err(error) = context.machine.remove(&aside) {
        events::left_behind(context, &aside, &error);
    }
    replaced?;
    new.date_again();
    events::detached(context, &new.path, owner);
    Ok(new.let_go().to_owned())
}

/// Puts the new claim's inode in the lock file's place, from its put-aside name.
fn replace(new: &Claim, aside: &Path) -> Result<(), Error> {
    let context = &new.context;
    let renamed = context.machine.fs.rename(aside, context.lock_path());
    // The kernel itself reports success, or the server through it: it was done.
    if renamed.is_ok() && context.mount() != Mount::Other {
        return Ok(());
    }
    // If the first of two replies was lost, the second says ENOENT: the inode decides.
    if is_lock_file(new)? {
        return Ok(());
    }
    match renamed {
        Err(error) => Err(Error::io(Operation::Rename, context.lock_path())(error)),
        Ok(()) => Err(lost(context)?),
    }
}

/// Adopts a lock that was detached with this claim. This process's new claim takes the old one's place,
/// in the seat of the tenure that ends: of the processes that adopt a lock at once, one succeeds.
pub(crate) fn adopt(
    context: &Arc<Context>,
    claim: &Path,
    lifetime: Duration,
) -> Result<Tenure, Error> {
    let name = parse(context, claim)?;
    let new = succeed(context, &name, lifetime)?;
    new.date_again();
    let mut tenure = Tenure::begin(new);
    settle(&mut tenure)?;
    events::adopted(context, claim, tenure.token);
    Ok(tenure)
}

/// Puts a new claim in the place of that one. Waits until no other process is about to end it or to
/// adopt it, which is soon decided, one way or the other.
fn succeed(
    context: &Arc<Context>,
    name: &ClaimName,
    lifetime: Duration,
) -> Result<Box<Claim>, Error> {
    let (mut backoff, mut trouble) = (context.config.backoff(), None);
    let until = context.now().saturating_add(context.config.time_of_seats(SEATS));
    loop {
        let (left, holder) = held_with(context, name)?;
        if context.now() > until {
            let obstacle = Box::new(Obstacle::Holder(holder));
            let held = Error::Held { path: context.lock_path().into(), obstacle };
            return Err(trouble.unwrap_or(held));
        }
        let mut new = Claim::make(context, lifetime)?;
        match put_in_place(&mut new, &left) {
            Ok(TakeoverOutcome::Ended) => return Ok(new),
            Err(ClaimError::Swept) => {
                trouble = Some(Error::io(Operation::Touch, &new.path)(errno::gone()));
            }
            // The lock may be ours nevertheless, and no other process would ever know.
            Err(_) if matches!(is_lock_file(&new), Ok(true)) => return Ok(new),
            // A sweeper has removed it, while this process was stalled.
            Err(ClaimError::Other(error)) if is_of_what_was_swept(&error) => trouble = Some(error),
            Ok(TakeoverOutcome::Forbidden(error)) => {
                return Err(Error::io(Operation::Rename, context.lock_path())(error));
            }
            Ok(TakeoverOutcome::Gone | TakeoverOutcome::NotNow) => {}
            Err(ClaimError::Other(error)) => return Err(error),
        }
        context.pause(&mut backoff, Duration::MAX);
    }
}

fn is_of_what_was_swept(error: &Error) -> bool {
    match error {
        Error::Io { operation: Operation::Rename | Operation::Link, error, .. } => {
            is_gone(error) || is_estale(error)
        }
        _ => false,
    }
}

fn put_in_place(new: &mut Claim, left: &Incarnation) -> Result<TakeoverOutcome, ClaimError> {
    let context = new.context.clone();
    let aside = put_aside(new)?;
    let replaced = takeover::replace(new, left, |new| replace(new, &aside));
    // Already gone, if all went well.
    let tidied = context.machine.remove(&aside).map_err(Error::io(Operation::Remove, &aside));
    replaced.and_then(|outcome| tidied.map(|_| outcome).map_err(ClaimError::from))
}

/// Gives the claim a second name, which is to become the lock file's.
fn put_aside(new: &Claim) -> Result<PathBuf, Error> {
    let context = &new.context;
    let aside = context.names.aside(&new.name.nonce, context.machine.random_number());
    match context.machine.fs.link(&new.path, &aside) {
        Ok(()) => Ok(aside),
        Err(error) => {
            let _ = context.machine.remove(&aside); // it may have been made all the same
            Err(Error::io(Operation::Link, &aside)(error))
        }
    }
}

/// Acts on a lock that was detached with this claim, on behalf of its owner: the lock stays the
/// owner's, and other processes may act on it at the same time.
pub(crate) fn attach(
    context: &Arc<Context>,
    claim: &Path,
    lifetime: Duration,
) -> Result<Tenure, Error> {
    let name = parse(context, claim)?;
    drop(Claim::make(context, lifetime)?); // shows the server's time
    let (held, holder) = held_with(context, &name)?;
    let claim = Claim::take_on(context, name, held.id, &holder, lifetime);
    Ok(Tenure::begin(claim).shared_with_others())
}

fn parse(context: &Context, claim: &Path) -> Result<ClaimName, Error> {
    let named = claim.file_name().and_then(|name| context.names.parse_neighbour(name));
    if let Some(Neighbour::Claim(name)) = named {
        return Ok(name);
    }
    let reason = format!("{} is not a claim of this lock", claim.display());
    Err(Error::Invalid { path: context.lock_path().into(), reason })
}

/// The tenure that is held with this claim, by a single observation: a second one may find
/// another's lock file, with a reused inode number.
fn held_with(context: &Context, name: &ClaimName) -> Result<(Incarnation, Holder), Error> {
    match observe(context)? {
        Observation::Held(held, holder) if held.claim == *name => Ok((held, holder)),
        Observation::Unreadable(error) => {
            Err(Error::io(Operation::Read, context.lock_path())(error))
        }
        other => Err(Error::Lost { path: context.lock_path().into(), now: other.successor() }),
    }
}

fn lost(context: &Context) -> Result<Error, Error> {
    Ok(Error::Lost { path: context.lock_path().into(), now: observe(context)?.successor() })
}
