//! Our own dotlock: made, touched and removed.

use std::io;
use std::time::Duration;

use crate::error::{Error, Operation};
use crate::mailbox::context::MailboxContext;
use crate::mailbox::permission;
use crate::protocol::takeover::{Aside, Caught, catch};
use crate::sys::errno::{is_estale, is_gone};
use crate::sys::fs::{Attr, Mount, OpenFile};

/// For how long other programs respect a dotlock that is not touched: the least patient of them,
/// Mail Avenger, breaks it after 30 s.
pub const LEASE: Duration = Duration::from_secs(30);

/// What no program takes for a pid, nor for a lease.
const CONTENT: &[u8] = b"0\n";
/// Whatever the umask: a dotlock that others can't read keeps them waiting for longer.
const MODE: u32 = 0o644;
/// How often to try again when the first name is taken, or is removed at once.
const ATTEMPTS: u32 = 4;

/// A dotlock that we have made. The open file pins its inode: while it is open no other file has its
/// number, or looking at it fails with ESTALE. (Dropped, the dotlock stays: its tenure removes it.)
#[derive(Debug)]
pub(crate) struct OwnDotlock {
    file: Box<dyn OpenFile>,
}

/// What came of making a dotlock.
#[derive(Debug)]
pub(crate) enum Making {
    Made(OwnDotlock),
    Taken,
}

impl OwnDotlock {
    /// Makes the mailbox's dotlock, if there is none: under another name, which is then linked, as
    /// open(2) recommends for NFS (see `O_EXCL`). The inode shows whether it worked, not the reply.
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
                (Ok(false), Err(error)) => {
                    return Err(Error::NoHardLinks {
                        path: context.dotlock.clone(),
                        claim: first_name,
                        file_system: core.machine.fs.describe(core.names.dir()),
                        error: Some(error),
                    });
                }
                (Err(error), linked) => {
                    // Where success can be believed it is ours, and must not be left behind.
                    if linked.is_ok() && core.mount() != Mount::Other {
                        give_up(context, until);
                    }
                    return Err(error);
                }
            }
        }
        Ok(Making::Taken)
    }

    /// Whether it has become the mailbox's dotlock, whatever the reply was. What fails or contradicts
    /// the reply is asked once more: a dotlock of our own that we did not see would be in our way.
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
            // An NFS client may go on showing the old attributes of a file that is gone, and whose
            // number another file has by now; but not the other file's date.
            Ok(own) => Ok(own.nlink > 0 && is_same(&own, &there)),
            Err(error) if is_estale(&error) => Ok(false),
            Err(error) => Err(Error::io(Operation::Stat, &context.dotlock)(error)),
        }
    }

    /// Sets its times to the present, by the server's clock. Another's file is never touched, whatever
    /// has the name.
    pub(crate) fn touch(&self, context: &MailboxContext) -> Result<(), Error> {
        self.file.touch().map_err(Error::io(Operation::Touch, &context.dotlock))
    }

    /// Closes it, to remove it: an NFS client gives an open file another name instead. `None` if it is
    /// not the mailbox's dotlock any more.
    pub(crate) fn close(self, context: &MailboxContext) -> Result<Option<ClosedDotlock>, Error> {
        if !self.is_there(context)? {
            return Ok(None);
        }
        let own = self.file.attributes().map_err(Error::io(Operation::Stat, &context.dotlock))?;
        Ok(Some(ClosedDotlock { own }))
    }
}

/// A dotlock of our own that is about to be removed. Its date tells it from a later file that has its
/// number.
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

/// Removes a dotlock that was just made, unless others may have removed it by now. What fails here is
/// not reported: it is not the first error.
fn give_up(context: &MailboxContext, until: Duration) {
    let core = context.core();
    if core.now() < until {
        let _ = core.machine.remove(&context.dotlock);
    }
}

/// Whether the first name was removed by a sweep before it was linked, as after a stall.
fn was_swept(error: &io::Error) -> bool {
    is_gone(error) || is_estale(error)
}

/// Whether both show one file that nobody has touched meanwhile.
pub(crate) fn is_same(one: &Attr, other: &Attr) -> bool {
    one.id == other.id && one.mtime == other.mtime
}

/// Whether nobody who works under a dotlock has changed it between two looks. Its link count and its
/// change time do not count: they change when another name of the inode is removed, which a holder that
/// died has left.
pub(crate) fn is_unchanged(before: &Attr, after: &Attr) -> bool {
    is_same(before, after) && (before.size, before.permissions) == (after.size, after.permissions)
}
