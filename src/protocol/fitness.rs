//! Checks, with a claim and before any lock is held, that a file system does what a lock needs.
//!
//! A handle checks once, and only if it does not know the file system. The files of the check have
//! the names of put-aside files, which any process sweeps if this one dies here.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use crate::error::{Error, Operation};
use crate::model::context::Context;
use crate::protocol::claim::{Claim, ClaimError};
use crate::sys::errno::{self, is_gone, is_input_output, is_name_too_long, is_refusal};
use crate::sys::fs::{Attr, Mount};

/// Runs the trial, unless it has run already or the file system is known.
pub(crate) fn try_once(claim: &mut Claim) -> Result<(), ClaimError> {
    let context = claim.context.clone();
    if context.mount() != Mount::Other || context.memory.is_tried.load(Ordering::Relaxed) {
        return Ok(());
    }
    let mut trial = Trial { linked: context.names.aside(&claim.name.nonce, 0), renamed: None };
    let tried = trial.run(claim);
    let removed = trial.clean_up(&context);
    tried?;
    removed?;
    context.memory.is_tried.store(true, Ordering::Relaxed);
    Ok(())
}

/// The names that the trial makes.
struct Trial {
    linked: PathBuf,
    renamed: Option<PathBuf>,
}

impl Trial {
    fn run(&mut self, claim: &mut Claim) -> Result<(), ClaimError> {
        self.link(claim)?;
        self.date(claim)?;
        self.rename(claim)
    }

    /// A second name shows the same inode, and both names are counted.
    fn link(&self, claim: &Claim) -> Result<(), ClaimError> {
        let context = &claim.context;
        let link = || context.machine.fs.link(&claim.path, &self.linked);
        let error = match context.machine.retry_estale(link) {
            Err(error) if is_name_too_long(&error) => {
                return Err(context.names_too_long(&self.linked, Some(error)).into());
            }
            linked => linked.err(),
        };
        // Whatever the reply was, or if it was lost: the inode decides.
        match find(claim, &self.linked)? {
            Some(attr) if attr.nlink >= 2 => Ok(()),
            _ if !claim.is_there()? => Err(ClaimError::Swept),
            seen => Err(ClaimError::from(match (error, seen) {
                (Some(error), _) if !context.lacks_links(&error) => {
                    Error::io(Operation::Link, &self.linked)(error)
                }
                (None, None) => {
                    let other = io::Error::other("a second name shows another inode number");
                    context.no_hard_links(&claim.path, Some(other))
                }
                (None, Some(_)) => {
                    let uncounted = io::Error::other("a second name is not counted");
                    context.no_hard_links(&claim.path, Some(uncounted))
                }
                (error, _) => context.no_hard_links(&claim.path, error),
            })),
        }
    }

    /// The second name shows the date that was set through the first, now that the file is closed.
    fn date(&self, claim: &mut Claim) -> Result<(), ClaimError> {
        match find(claim, &self.linked)? {
            Some(attr) if claim.is_dated(&attr) => return Ok(()),
            Some(_) => {}
            None => return lost(claim, &self.linked),
        }
        claim.touch()?;
        match find(claim, &self.linked)? {
            Some(attr) => Ok(claim.check_date(&attr)?),
            None => lost(claim, &self.linked),
        }
    }

    /// The file is the same under its new name, which is as long as any that the lock may need.
    fn rename(&mut self, claim: &Claim) -> Result<(), ClaimError> {
        let context = &claim.context;
        let renamed = self.renamed.insert(context.names.longest(&claim.name)).clone();
        let error = context.machine.fs.rename(&self.linked, &renamed).err();
        match find(claim, &renamed) {
            Ok(Some(_)) => return Ok(()),
            Err(failed) if error.is_none() => return Err(failed.into()),
            _ => {}
        }
        if !claim.is_there()? {
            return Err(ClaimError::Swept);
        }
        let error = match error {
            Some(error) if is_name_too_long(&error) => {
                context.names_too_long(&renamed, Some(error))
            }
            Some(error) if is_refused(&error) => {
                context.unsupported("does not let files be renamed within a directory", Some(error))
            }
            Some(error) => Error::io(Operation::Rename, &self.linked)(error),
            None => context.unsupported("turns a renamed file into another file", None),
        };
        Err(error.into())
    }

    /// Removes both names: after a failure it is uncertain which of them exists.
    fn clean_up(&self, context: &Context) -> Result<(), Error> {
        let remove = |path: &Path| match context
            .machine
            .remove(path)
            .or_else(|_| context.machine.remove(path))
        {
            Ok(_) => Ok(()),
            Err(error) if is_gone(&error) => Ok(()),
            Err(error) if is_refused(&error) => {
                Err(context.unsupported("does not let files be removed", Some(error)))
            }
            Err(error) => Err(Error::io(Operation::Remove, path)(error)),
        };
        let renamed = self.renamed.as_deref().map_or(Ok(()), remove);
        remove(&self.linked).and(renamed)
    }
}

/// The file of that name, if it is the claim's. Asks twice: a client may learn of a name only from
/// its first request for it.
fn find(claim: &Claim, path: &Path) -> Result<Option<Attr>, Error> {
    let look = || Ok(claim.context.machine.find(path)?.filter(|attr| attr.id == claim.id));
    match look()? {
        None => look(),
        found => Ok(found),
    }
}

/// The error for a name that has vanished although it existed a moment ago.
fn lost(claim: &Claim, path: &Path) -> Result<(), ClaimError> {
    if !claim.is_there()? {
        return Err(ClaimError::Swept);
    }
    Err(Error::io(Operation::Stat, path)(errno::gone()).into())
}

/// Many file systems return EIO for an operation that they do not support.
fn is_refused(error: &io::Error) -> bool {
    is_refusal(error) || is_input_output(error)
}
