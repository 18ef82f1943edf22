//! Links the claim to the lock file: the one operation that acquires the lock.

use std::io;

use crate::error::{Error, Operation};
use crate::protocol::claim::{Claim, ClaimError};
use crate::protocol::observe::{linked, names_claim};
use crate::sys::fs::Mount;

/// The outcome of linking the claim to the lock file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Made,
    Taken,
}

/// Links the claim to the lock file. What the link made of the lock file decides, whatever link(2)
/// returned.
pub(crate) fn link(claim: &Claim) -> Result<Link, ClaimError> {
    let context = &claim.context;
    let error = match context.machine.fs.link(&claim.path, context.lock_path()) {
        // The kernel itself reports success, or the server through it, so the lock is ours: however
        // often the request was executed, this is the reply to its last execution.
        Ok(()) if context.mount() != Mount::Other => return Ok(Link::Made),
        // Observing shows whose lock file it is. It may be our own.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(Link::Taken),
        linked => linked.err(),
    };
    let linked = linked(claim)?;
    if !claim.is_there()? {
        // A sweeper that had found the claim expired may have been late and have removed it after it
        // was linked: the lock file is ours without the claim, and no other process will ever know.
        return if names_claim(claim)? { Ok(Link::Made) } else { Err(ClaimError::Swept) };
    }
    match error {
        _ if linked.is_some() => {
            // The attributes are at hand, so check the date here: it is what others read.
            linked.map_or(Ok(()), |attr| claim.check_date(&attr))?;
            Ok(Link::Made)
        }
        None => Ok(Link::Taken),
        Some(error) if context.lacks_links(&error) => {
            Err(context.no_hard_links(&claim.path, Some(error)).into())
        }
        Some(error) => Err(Error::io(Operation::Link, context.lock_path())(error).into()),
    }
}
