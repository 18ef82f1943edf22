//! Takes a lock file away by renaming it, and checks which file was caught.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Operation};
use crate::events;
use crate::model::context::Context;
use crate::model::names::ClaimName;
use crate::model::safeguard::Safeguard;
use crate::protocol::claim::Claim;
use crate::protocol::observe::{Incarnation, claim_in};
use crate::sys::errno::{is_gone, is_unsupported};
use crate::sys::fs::{Attr, Mount};

/// The file that was taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caught {
    Expected,
    /// None: the lock file was already gone.
    Nothing,
    /// Another holder's lock file, which was put back.
    Another,
}

/// A file that had the lock file's name until it was renamed.
pub(crate) struct Aside<'a> {
    context: &'a Context,
    lock: &'a Path,
    path: PathBuf,
    pub(crate) attr: Attr,
}

/// Takes the lock file away, if it is the expected one. The caller is in a seat of that incarnation
/// or holds the lock.
pub(crate) fn take_away(
    claim: &Claim,
    is_expected: impl FnOnce(&Aside) -> bool,
) -> Result<Caught, Error> {
    let context = &claim.context;
    // A new name each time: a request that is repeated late must not find the name in use.
    let path = context.names.aside(&claim.name.nonce, context.machine.random_number());
    catch(context, context.lock_path(), path, is_expected)
}

/// Takes a file away by renaming it to `path`, and checks which file was caught.
///
/// A request that is executed twice, or a peer that ignores seats, can make the rename catch
/// another's lock file, which is then put back.
pub(crate) fn catch(
    context: &Context,
    lock: &Path,
    path: PathBuf,
    is_expected: impl FnOnce(&Aside) -> bool,
) -> Result<Caught, Error> {
    let aside = match Aside::put(context, lock, path.clone()) {
        Ok(Some(aside)) => aside,
        Ok(None) => return Ok(Caught::Nothing),
        Err(Error::Io { operation: Operation::Rename, error, .. }) if refuses(context, &error) => {
            return catch_by_link(context, lock, path, is_expected, error);
        }
        Err(error) => return Err(error),
    };
    let caught = if is_expected(&aside) || !Safeguard::CatchIsChecked.stands() {
        Caught::Expected
    } else {
        aside.put_back()?;
        Caught::Another
    };
    aside.remove()?;
    Ok(caught)
}

/// Does the same as [`catch`] if the file system does not let the lock file be renamed. That is
/// usually discovered before a lock is held ([`fitness`](crate::protocol::fitness)), but may happen
/// later. Links the file to another name, checks it there, and removes it.
///
/// Only the caller's seat or lease prevents another's lock file from taking its place in between.
fn catch_by_link(
    context: &Context,
    lock: &Path,
    path: PathBuf,
    is_expected: impl FnOnce(&Aside) -> bool,
    refused: io::Error,
) -> Result<Caught, Error> {
    let linked = context.machine.retry_estale(|| context.machine.fs.link(lock, &path));
    let Some(attr) = context.machine.find(&path)? else {
        return match linked {
            Err(error) if is_gone(&error) => Ok(Caught::Nothing),
            _ => Err(Error::io(Operation::Rename, lock)(refused)),
        };
    };
    let aside = Aside { context, lock, path, attr };
    let caught = if is_expected(&aside) { Caught::Expected } else { Caught::Another };
    let removed = match caught {
        Caught::Expected => context.machine.remove(lock),
        Caught::Nothing | Caught::Another => Ok(true),
    };
    aside.remove()?;
    // What may neither be renamed nor removed is not permitted: the first error is the one to report.
    removed.map(|_| caught).map_err(|_| Error::io(Operation::Rename, lock)(refused))
}

/// Whether the file system may let a lock file be linked and removed, though not renamed.
fn refuses(context: &Context, error: &io::Error) -> bool {
    is_unsupported(error) || (context.mount() == Mount::Other && context.lacks(error))
}

impl<'a> Aside<'a> {
    /// Renames the lock file and checks the new name. `None` if there is no file.
    fn put(
        context: &'a Context,
        lock: &'a Path,
        path: PathBuf,
    ) -> Result<Option<Aside<'a>>, Error> {
        let renamed = context.machine.fs.rename(lock, &path);
        // If the first of two replies was lost, the second is ENOENT: check the new name. Only this
        // process may remove a file there, so a second attempt is worthwhile.
        let caught = context.machine.find(&path).or_else(|_| context.machine.find(&path))?;
        match (caught, renamed) {
            (Some(attr), _) => Ok(Some(Aside { context, lock, path, attr })),
            (None, Err(error)) if !is_gone(&error) => {
                Err(Error::io(Operation::Rename, lock)(error))
            }
            (None, _) => Ok(None),
        }
    }

    /// Whether it was this incarnation's lock file.
    pub(crate) fn is(&self, incarnation: &Incarnation) -> bool {
        let named = || claim_in(self.context, &self.path);
        self.attr.id == incarnation.id && named().is_none_or(|name| name == incarnation.claim)
    }

    /// Whether it was linked from a claim of that name.
    pub(crate) fn names(&self, claim: &ClaimName) -> bool {
        claim_in(self.context, &self.path).is_some_and(|name| name == *claim)
    }

    /// Links a lock file that was caught by mistake back to its name.
    fn put_back(&self) -> Result<(), Error> {
        let Err(error) = self.context.machine.fs.link(&self.path, self.lock) else {
            events::caught_another(self.lock);
            return Ok(());
        };
        let is_taken = error.kind() == io::ErrorKind::AlreadyExists;
        let error = Error::io(Operation::Link, self.lock)(error);
        if is_taken && self.is_back() {
            events::caught_another(self.lock); // our first request, whose reply was lost, made the link
        } else {
            events::not_put_back(self.lock, &error);
        }
        // A third process that has taken the lock meanwhile keeps it.
        if is_taken { Ok(()) } else { Err(error) }
    }

    fn is_back(&self) -> bool {
        let found = self.context.machine.find(self.lock);
        matches!(found, Ok(Some(attr)) if attr.id == self.attr.id)
    }

    fn remove(self) -> Result<(), Error> {
        let removed = self.context.machine.remove(&self.path);
        removed.map(|_| ()).map_err(Error::io(Operation::Remove, &self.path))
    }
}
