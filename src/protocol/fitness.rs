//! Checks, with a claim and before any lock is held, that a file system does what a lock needs.
//!
//! A handle checks once, and only if it does not know the file system. The files of the check have
//! the names of put-aside files, which any process sweeps if this one dies here.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::error::{Error, Operation};
use crate::protocol::claim::{Claim, ClaimError};
use crate::sys::dates::COARSEST;
use crate::sys::errno::{self, is_name_too_long};
use crate::sys::fs::{Attr, Mount};

/// Runs the trial, unless it has run already or the file system is known.
pub(crate) fn try_once(claim: &mut Claim) -> Result<(), ClaimError> {
    let context = claim.context.clone();
    if context.mount() != Mount::Other || context.memory.is_tried.load(Ordering::Relaxed) {
        return Ok(());
    }
    let mut trial = Trial { linked: context.names.aside(&claim.name.nonce, 0), renamed: None };
    let tried = trial.run(claim);
    let removed = trial.clean_up(claim);
    removed?; // which is worse
    tried?;
    context.memory.is_tried.store(true, Ordering::Relaxed);
    Ok(())
}

/// The names that the trial makes.
struct Trial {
    linked: PathBuf,
    renamed: Option<PathBuf>,
}

impl Trial {
    /// The claim is dated last: a rename may change the date of its file, if only by a part of a
    /// second (in encfs).
    fn run(&mut self, claim: &mut Claim) -> Result<(), ClaimError> {
        self.link(claim)?;
        let renamed = self.rename(claim)?;
        date(claim, &renamed)
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
            _ if !is_there(claim)? => Err(ClaimError::Swept),
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

    /// The file is the same under its new name, which is as long as any that the lock may need.
    fn rename(&mut self, claim: &Claim) -> Result<PathBuf, ClaimError> {
        let context = &claim.context;
        let renamed = self.renamed.insert(context.names.longest(&claim.name)).clone();
        let error = context.machine.fs.rename(&self.linked, &renamed).err();
        match find(claim, &renamed) {
            Ok(Some(_)) => return self.has_moved(claim).map(|()| renamed),
            Err(failed) if error.is_none() => return Err(failed.into()),
            _ => {}
        }
        if !is_there(claim)? {
            return Err(ClaimError::Swept);
        }
        let error = match error {
            Some(error) if is_name_too_long(&error) => {
                context.names_too_long(&renamed, Some(error))
            }
            // ENOENT is true where another process has swept the file.
            Some(error) if context.lacks(&error) && self.is_there(claim)? => {
                context.unsupported("does not let files be renamed within a directory", Some(error))
            }
            Some(error) => Error::io(Operation::Rename, &self.linked)(error),
            None => context.unsupported("turns a renamed file into another file", None),
        };
        Err(error.into())
    }

    /// The old name is gone.
    fn has_moved(&self, claim: &Claim) -> Result<(), ClaimError> {
        if self.is_there(claim)? {
            let lacks = "keeps the old name of a renamed file";
            return Err(claim.context.unsupported(lacks, None).into());
        }
        Ok(())
    }

    fn is_there(&self, claim: &Claim) -> Result<bool, Error> {
        Ok(claim.context.machine.find(&self.linked)?.is_some())
    }

    /// Removes both names: after a failure it is uncertain which of them exists.
    fn clean_up(&self, claim: &Claim) -> Result<(), Error> {
        let renamed = self.renamed.as_deref().map_or(Ok(()), |renamed| remove(claim, renamed));
        remove(claim, &self.linked).and(renamed)
    }
}

/// The second name shows the date that is set through the first, now that the file is closed, and
/// when that was done, by a clock. (Or it shows the same date as that of the change: then the clock
/// is known from new files.)
fn date(claim: &mut Claim, second: &Path) -> Result<(), ClaimError> {
    let context = claim.context.clone();
    let Some(first) = find(claim, second)? else { return lost(claim, second) };
    let (begun, mut pause) = (context.now(), Duration::from_millis(1));
    loop {
        let before = context.now();
        claim.touch()?;
        let Some(attr) = find(claim, second)? else { return lost(claim, second) };
        claim.check_date(&attr)?;
        let now = context.now();
        let length = attr.lease_length().saturating_add(now.saturating_sub(before));
        let is_by_clock = attr.ctime != first.ctime && length >= claim.lifetime / 2;
        if is_by_clock || attr.is_changed_at_mtime() {
            return Ok(());
        }
        if now.saturating_sub(begun) > COARSEST {
            let lacks = "does not keep the time at which a file was last changed (ctime)";
            return Err(context.unsupported(lacks, None).into());
        }
        claim.learn_time(&attr, before); // the server's clock may have been set just now
        context.machine.clock.sleep(pause);
        pause *= 2;
    }
}

/// Removes a name of the trial's, and checks that it is gone.
fn remove(claim: &Claim, path: &Path) -> Result<(), Error> {
    let machine = &claim.context.machine;
    let error = match machine.remove(path).or_else(|_| machine.remove(path)) {
        Ok(false) => return Ok(()),
        Ok(true) if machine.find(path)?.is_none() => return Ok(()),
        Ok(true) => None,
        Err(error) if !claim.context.lacks(&error) => {
            return Err(Error::io(Operation::Remove, path)(error));
        }
        Err(error) => Some(error),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let lacks = format!("does not let files be removed ({name:?} and its claim stay behind)");
    Err(claim.context.unsupported(lacks, error))
}

/// Whether the claim is there. Another process may have removed it, but none makes a file of its
/// name.
fn is_there(claim: &Claim) -> Result<bool, Error> {
    match claim.context.machine.find(&claim.path)? {
        None => Ok(false),
        Some(attr) if attr.id == claim.id => Ok(true),
        Some(_) => {
            Err(claim.context.unsupported("shows another inode number of a file each time", None))
        }
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
    if !is_there(claim)? {
        return Err(ClaimError::Swept);
    }
    Err(Error::io(Operation::Stat, path)(errno::gone()).into())
}
