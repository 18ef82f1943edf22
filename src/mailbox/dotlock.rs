//! Our own dotlock: made, touched and removed.

use std::io;

use crate::error::{Error, Operation};
use crate::mailbox::context::MailboxContext;
use crate::mailbox::permission;
use crate::protocol::takeover::{Caught, catch};
use crate::sys::errno::{is_estale, is_gone};
use crate::sys::fs::{Attr, OpenFile};

/// What nobody takes for a pid, nor for a lease.
const CONTENT: &[u8] = b"0\n";
/// Whatever the umask: a dotlock that others can't read is in their way for longer.
const MODE: u32 = 0o644;
/// How often a dotlock is made whose first name somebody has, or removes at once.
const ATTEMPTS: u32 = 4;

/// A dotlock that we have made. The open file pins its inode: while it is open no other file has
/// its number, or it says that it is stale. (Dropped, it stays: that is for the hold to decide.)
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
    /// open(2) recommends for NFS (see `O_EXCL`). The truth is the inode.
    pub(crate) fn make(context: &MailboxContext) -> Result<Making, Error> {
        let core = context.core();
        for _ in 0..ATTEMPTS {
            if core.find(&context.dotlock)?.is_some() {
                return Ok(Making::Taken);
            }
            let first_name = context.aside();
            let file = match core.fs.create_new(&first_name, CONTENT, MODE) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made.map_err(|error| {
                    let error = Error::io(Operation::Create, &first_name)(error);
                    permission::in_directory(&context.mailbox, error)
                })?,
            };
            let made = OwnDotlock { file };
            let linked = core.fs.link(&first_name, &context.dotlock);
            let is_ours = made.is_there(context);
            let removed = core.remove(&first_name);
            let is_ours = is_ours.and_then(|is_ours| {
                removed.map_err(Error::io(Operation::Remove, &first_name)).map(|_| is_ours)
            });
            match (is_ours, linked) {
                (Ok(true), _) => return Ok(Making::Made(made)),
                (Ok(false), Ok(())) => return Ok(Making::Taken),
                (Ok(false), Err(error)) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Ok(Making::Taken);
                }
                (Ok(false), Err(error)) if is_gone(&error) => {} // swept
                (Ok(false), Err(error)) if !core.lacks_links(&error) => {
                    return Err(Error::io(Operation::Link, &context.dotlock)(error));
                }
                (Ok(false), Err(error)) => {
                    return Err(Error::NoHardLinks {
                        path: context.dotlock.clone(),
                        claim: first_name,
                        file_system: core.fs.describe(core.names.dir()),
                        error: Some(error),
                    });
                }
                (Err(error), linked) => {
                    if linked.is_ok() {
                        let _ = core.remove(&context.dotlock); // the error worth telling is the first
                    }
                    return Err(error);
                }
            }
        }
        Ok(Making::Taken)
    }

    /// Whether it is the mailbox's dotlock still.
    pub(crate) fn is_there(&self, context: &MailboxContext) -> Result<bool, Error> {
        let Some(there) = context.core().find(&context.dotlock)? else { return Ok(false) };
        match self.file.attributes() {
            // An NFS client may go on showing the old attributes of a file that is gone and whose
            // number another has: but not that other's date.
            Ok(own) => Ok(own.nlink > 0 && is_same(&own, &there)),
            Err(error) if is_estale(&error) => Ok(false),
            Err(error) => Err(Error::io(Operation::Stat, &context.dotlock)(error)),
        }
    }

    /// Makes its date the present, on the server's clock. Nobody else's file is touched, whatever
    /// has its name.
    pub(crate) fn touch(&self, context: &MailboxContext) -> Result<(), Error> {
        self.file.touch().map_err(Error::io(Operation::Touch, &context.dotlock))
    }

    /// Removes it, if it is there still, and says whether it was.
    pub(crate) fn remove(self, context: &MailboxContext) -> Result<bool, Error> {
        let core = context.core();
        if !self.is_there(context)? {
            return Ok(false);
        }
        if core.is_local() {
            let removed = core.remove(&context.dotlock);
            return removed.map_err(Error::io(Operation::Remove, &context.dotlock));
        }
        let own = self.file.attributes().map_err(Error::io(Operation::Stat, &context.dotlock))?;
        drop(self); // an NFS client gives an open file another name instead of removing it
        let caught =
            catch(core, &context.dotlock, context.aside(), |aside| is_same(&aside.attr, &own))?;
        Ok(caught == Caught::Expected)
    }
}

/// Whether it is one file. Its date changes by our own hand only.
pub(crate) fn is_same(one: &Attr, other: &Attr) -> bool {
    one.id == other.id && one.mtime == other.mtime
}
