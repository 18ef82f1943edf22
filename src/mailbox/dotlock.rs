//! Our own dotlock: made, touched and removed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::error::{Error, Operation};
use crate::mailbox::context::MailboxContext;
use crate::mailbox::permission;
use crate::protocol::takeover::{Aside, Caught, catch};
use crate::sys::errno::{is_estale, is_gone};
use crate::sys::fs::{Attr, Mount, OpenFile};

/// How long other programs respect a dotlock that is not touched: the least patient of them, Mail
/// Avenger, breaks it after 30 s.
pub const LEASE: Duration = Duration::from_secs(30);

/// A content that no program takes for a pid, or for a lease.
const CONTENT: &[u8] = b"0\n";
/// Independent of the umask: programs wait longer for a dotlock that they cannot read.
const MODE: u32 = 0o644;
/// How often to retry when the first name is taken, or is removed at once.
const ATTEMPTS: u32 = 4;

/// A dotlock that this process has made. The open file pins its inode: as long as it is open, no
/// other file has its number, or its attributes fail with ESTALE. Dropping it does not remove the
/// dotlock, which is up to the tenure.
#[derive(Debug)]
pub(crate) struct OwnDotlock {
    file: Box<dyn OpenFile>,
}

/// The outcome of making a dotlock.
#[derive(Debug)]
pub(crate) enum Making {
    Made(OwnDotlock),
    Taken,
}

impl OwnDotlock {
    /// Makes the mailbox's dotlock, if there is none, by a link from another name, as open(2)
    /// recommends for NFS (see `O_EXCL`). The inode shows whether that worked; the reply does not.
    pub(crate) fn make(context: &MailboxContext) -> Result<Making, Error> {
        let core = context.core();
        for attempt in 1..=ATTEMPTS {
            if core.machine.find(&context.dotlock)?.is_some() {
                return Ok(Making::Taken);
            }
            let first_name = context.aside();
            let until = core.now() + LEASE;
            let file = match core.machine.fs.create_new(&first_name, CONTENT, MODE) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) if was_swept(&error) && attempt < ATTEMPTS => continue,
                made => made.map_err(|error| {
                    let error = Error::io(Operation::Create, &first_name)(error);
                    permission::in_directory(&context.mailbox, error)
                })?,
            };
            let made = OwnDotlock { file };
            if let Err(error) = made.try_links(context, &first_name) {
                let _ = core.machine.remove(&first_name); // the first error is the one to report
                return Err(error);
            }
            let linked = core.machine.fs.link(&first_name, &context.dotlock);
            let is_ours = made.was_linked(context, &linked);
            let removed =
                core.machine.remove(&first_name).map_err(Error::io(Operation::Remove, &first_name));
            match (is_ours, linked) {
                (Ok(true), _) => {
                    if let Err(error) = removed {
                        give_up(context, until);
                        return Err(error);
                    }
                    return Ok(Making::Made(made));
                }
                (Ok(false), _) if removed.is_err() => return removed.map(|_| Making::Taken),
                (Ok(false), Ok(())) => return Ok(Making::Taken),
                (Ok(false), Err(error)) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Ok(Making::Taken);
                }
                (Ok(false), Err(error)) if was_swept(&error) && attempt < ATTEMPTS => {}
                (Ok(false), Err(error)) if !core.lacks_links(&error) => {
                    return Err(Error::io(Operation::Link, &context.dotlock)(error));
                }
                (Ok(false), Err(error)) => return Err(no_hard_links(context, first_name, error)),
                (Err(error), linked) => {
                    // Where a reported success is reliable the dotlock is ours, and must not be
                    // left behind.
                    if linked.is_ok() && core.mount() != Mount::Other {
                        give_up(context, until);
                    }
                    return Err(error);
                }
            }
        }
        Ok(Making::Taken)
    }

    /// Checks, once and only on an unknown file system, that a second name shows the same inode:
    /// otherwise a dotlock of our own would look like another program's, and stay.
    fn try_links(&self, context: &MailboxContext, first_name: &Path) -> Result<(), Error> {
        let core = context.core();
        if core.mount() != Mount::Other || context.has_links.load(Ordering::Relaxed) {
            return Ok(());
        }
        let second = context.aside();
        let linked = core.machine.fs.link(first_name, &second);
        let seen = core.machine.find(&second);
        // A client may learn of a name only from its first request for it.
        let seen = if matches!(seen, Ok(None)) { core.machine.find(&second) } else { seen };
        core.machine.remove(&second).map_err(Error::io(Operation::Remove, &second))?;
        let own = self.file.attributes().map_err(Error::io(Operation::Stat, first_name))?;
        let error = match (seen?, linked) {
            (Some(seen), _) if seen.id == own.id => {
                context.has_links.store(true, Ordering::Relaxed);
                return Ok(());
            }
            (None, Err(error)) if !core.lacks_links(&error) => {
                return Err(Error::io(Operation::Link, &second)(error));
            }
            (None, Err(error)) => error,
            _ => io::Error::other("a second name shows another inode number"),
        };
        Err(no_hard_links(context, first_name.to_owned(), error))
    }

    /// Whether the link made it the mailbox's dotlock, whatever the reply was. Asks once more after
    /// an error, or after an answer that contradicts the reply: an unnoticed dotlock of our own
    /// would block us.
    fn was_linked(&self, context: &MailboxContext, linked: &io::Result<()>) -> Result<bool, Error> {
        match self.is_there(context) {
            Ok(true) => Ok(true),
            Ok(false) if linked.is_err() => Ok(false),
            Ok(false) | Err(_) => self.is_there(context),
        }
    }

    /// Whether it is still the mailbox's dotlock.
    pub(crate) fn is_there(&self, context: &MailboxContext) -> Result<bool, Error> {
        let Some(there) = context.core().machine.find(&context.dotlock)? else { return Ok(false) };
        match self.file.attributes() {
            // An NFS client may go on showing the old attributes of a file that is gone, after its
            // inode number was reused; but it does not show them for the other file's date.
            Ok(own) => Ok(own.nlink > 0 && is_same(&own, &there)),
            Err(error) if is_estale(&error) => Ok(false),
            Err(error) => Err(Error::io(Operation::Stat, &context.dotlock)(error)),
        }
    }

    /// Sets its times to the server's current time. It goes by the open file, so that another
    /// program's dotlock is never touched.
    pub(crate) fn touch(&self, context: &MailboxContext) -> Result<(), Error> {
        self.file.touch().map_err(Error::io(Operation::Touch, &context.dotlock))
    }

    /// Closes it before it is removed, because an NFS client renames an open file instead of
    /// removing it. `None` if it is no longer the mailbox's dotlock.
    pub(crate) fn close(self, context: &MailboxContext) -> Result<Option<ClosedDotlock>, Error> {
        if !self.is_there(context)? {
            return Ok(None);
        }
        let own = self.file.attributes().map_err(Error::io(Operation::Stat, &context.dotlock))?;
        Ok(Some(ClosedDotlock { own }))
    }
}

/// A dotlock of our own that is about to be removed. Its date distinguishes it from a later file
/// with the same inode number.
#[derive(Debug)]
pub(crate) struct ClosedDotlock {
    own: Attr,
}

impl ClosedDotlock {
    /// Whether it is still the mailbox's dotlock.
    pub(crate) fn is_there(&self, context: &MailboxContext) -> Result<bool, Error> {
        let there = context.core().machine.find(&context.dotlock)?;
        Ok(there.is_some_and(|there| is_same(&self.own, &there)))
    }

    /// Removes it, by one operation on the dotlock's name, and returns whether it was there.
    pub(crate) fn remove(&self, context: &MailboxContext) -> Result<bool, Error> {
        let core = context.core();
        if core.is_local() {
            let removed = core.machine.remove(&context.dotlock);
            return removed.map_err(Error::io(Operation::Remove, &context.dotlock));
        }
        let is_own = |caught: &Aside| is_same(&caught.attr, &self.own);
        Ok(catch(core, &context.dotlock, context.aside(), is_own)? == Caught::Expected)
    }
}

fn no_hard_links(context: &MailboxContext, first_name: PathBuf, error: io::Error) -> Error {
    let core = context.core();
    Error::NoHardLinks {
        path: context.dotlock.clone(),
        claim: first_name,
        file_system: core.machine.fs.describe(core.names.dir()),
        error: Some(error),
    }
}

/// Removes a dotlock that was just made, unless other programs may have removed it by now. An error
/// here is not reported, because it is not the first one.
fn give_up(context: &MailboxContext, until: Duration) {
    let core = context.core();
    if core.now() < until {
        let _ = core.machine.remove(&context.dotlock);
    }
}

/// Whether a sweep removed the first name before it was linked, as after a stall.
fn was_swept(error: &io::Error) -> bool {
    is_gone(error) || is_estale(error)
}

/// Whether both show the same file, untouched in between.
pub(crate) fn is_same(one: &Attr, other: &Attr) -> bool {
    one.id == other.id && one.mtime == other.mtime
}

/// Whether no program that works under a dotlock has changed it between two observations. The link
/// count and the change time are ignored: they change when a second name of the inode is removed,
/// which a dead holder has left.
pub(crate) fn is_unchanged(before: &Attr, after: &Attr) -> bool {
    is_same(before, after) && (before.size, before.permissions) == (after.size, after.permissions)
}
