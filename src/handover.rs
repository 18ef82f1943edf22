//! Handing a lock over: detaching it from this process, and adopting one that was detached.
//!
//! Who holds a lock is in its claim's name, and the lock file names the claim. So a lock changes
//! hands by a new claim, which takes the old one's place at the lock file in one rename(2): there
//! is no moment at which the lock is nobody's.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::claim::Claim;
use crate::context::Context;
use crate::error::{Error, Operation};
use crate::fence;
use crate::holder::Owner;
use crate::judge::{Sight, is_lock_file, look};
use crate::names::Neighbour;
use crate::process::Process;
use crate::report;
use crate::tenure::Tenure;

/// A process that never ends, so that flufl.lock does not take a lock that answers to its lease
/// alone for a dead one's.
const NOBODY: Process = Process { pid: 1, proof: None };

/// Makes the lock `owner`'s, and says which claim it is held by.
pub(crate) fn detach(tenure: &Tenure, owner: Owner) -> Result<PathBuf, Error> {
    let context = &tenure.context;
    let process = match owner {
        Owner::Lease => NOBODY,
        Owner::Process(pid) => context
            .processes
            .find(pid)
            .map_err(|_| Error::NoSuchOwner { path: context.lock().into(), pid })?,
    };
    // First, so that the new claim's lease ends no earlier than ours.
    tenure.refresh()?;
    let mut new = Claim::make_for(&process, context, tenure.lifetime())?;
    let aside = context.names.aside(&new.name.nonce, context.random_number());
    let linked = context.fs.link(&new.path, &aside).map_err(Error::io(Operation::Link, &aside));
    let replaced = linked.and_then(|()| tenure.let_go(|| replace(&new, &aside)));
    // Already gone, if all went well.
    let tidied = context.remove(&aside).map_err(Error::io(Operation::Remove, &aside));
    replaced.and(tidied)?;
    report::detached(context, &new.path, owner);
    Ok(new.let_go().to_owned())
}

/// Puts the new claim's inode in the lock file's place, from its put-aside name.
fn replace(new: &Claim, aside: &Path) -> Result<(), Error> {
    let context = &new.context;
    let renamed = context.fs.rename(aside, context.lock());
    // If the first of two replies was lost the second says ENOENT: the truth is the inode.
    if is_lock_file(new)? {
        return Ok(());
    }
    match renamed {
        Err(error) => Err(Error::io(Operation::Rename, context.lock())(error)),
        Ok(()) => Err(Error::Lost { path: context.lock().into(), now: look(context)?.successor() }),
    }
}

/// Takes charge of a lock that was detached with this claim. Its owner stays who it is.
pub(crate) fn adopt(
    context: &Arc<Context>,
    claim: &Path,
    lifetime: Duration,
) -> Result<Tenure, Error> {
    let named = claim.file_name().and_then(|name| context.names.parse_neighbour(name));
    let Some(Neighbour::Claim(name)) = named else {
        let reason = format!("{} is no claim of it", claim.display());
        return Err(Error::Invalid { path: context.lock().into(), reason });
    };
    drop(Claim::make(context, lifetime)?); // shows what time it is on the server
    let path = context.lock();
    // Whoever takes charge has a token of its own; that it has the lock is seen below.
    let token = context.fencing.then(|| fence::draw(context, &name.nonce)).transpose()?;
    match look(context)? {
        // By this one look: another may find another's lock file, with an inode number used again.
        Sight::Held(held, _) if held.claim == name => {
            report::adopted(context, &name.path, token);
            let claim = Claim::adopt(context, name, held.id, held.expires_at, lifetime);
            let mut tenure = Tenure::begin(claim);
            tenure.token = token;
            Ok(tenure)
        }
        Sight::Unreadable(error) => Err(Error::io(Operation::Read, path)(error)),
        other => Err(Error::Lost { path: path.into(), now: other.successor() }),
    }
}
