//! The mailbox itself: opened, and locked by fcntl(2).

use std::fs::File;
use std::path::Path;

use crate::error::{Error, Operation};
use crate::mailbox::context::MailboxContext;
use crate::mailbox::permission;
use crate::sys::errno::is_gone;
use crate::sys::fs::{Attr, FileKind, OpenFile, process_id};
use crate::sys::range_lock::Locker;

/// An open mailbox. Dropping it closes and unlocks it.
#[derive(Debug)]
pub(crate) struct MboxFile {
    file: Box<dyn OpenFile>,
}

/// The outcome of opening a mailbox to lock it.
#[derive(Debug)]
pub(crate) enum Locking {
    Locked(MboxFile),
    /// There is no mailbox yet.
    None,
    /// Another program has locked it: the process, if the system reveals it.
    Busy(Option<u32>),
}

/// The outcome of opening a mailbox.
#[derive(Debug)]
enum Opening {
    File(MboxFile),
    None,
    /// This process already has it open, where that matters.
    Busy,
}

impl MboxFile {
    /// Opens the mailbox and locks it, if there is one and it is not locked.
    pub(crate) fn lock(context: &MailboxContext) -> Result<Locking, Error> {
        let mailbox = match MboxFile::open(context, true)? {
            Opening::File(mailbox) => mailbox,
            Opening::None => return Ok(Locking::None),
            Opening::Busy => return Ok(Locking::Busy(Some(process_id()))),
        };
        let locked = mailbox.file.try_lock();
        if locked.map_err(Error::io(Operation::FcntlLock, &context.mailbox))? {
            return Ok(Locking::Locked(mailbox));
        }
        Ok(Locking::Busy(match mailbox.file.locker() {
            Ok(Locker::Held(pid)) => pid,
            Ok(Locker::Nobody) | Err(_) => None, // it became free, or its holder is unknown
        }))
    }

    /// The process that has locked the mailbox by fcntl(2).
    pub(crate) fn locker(context: &MailboxContext) -> Result<Locker, Error> {
        match MboxFile::open(context, false)? {
            Opening::File(mailbox) => {
                mailbox.file.locker().map_err(Error::io(Operation::FcntlLock, &context.mailbox))
            }
            Opening::None => Ok(Locker::Nobody),
            Opening::Busy => Ok(Locker::Held(Some(process_id()))),
        }
    }

    fn open(context: &MailboxContext, for_writing: bool) -> Result<Opening, Error> {
        match context.find_mailbox()? {
            None => return Ok(Opening::None),
            Some(attr) => check_kind(&context.mailbox, &attr)?,
        }
        let core = context.core();
        let file =
            match core.machine.retry_estale(|| core.machine.fs.open(&context.mailbox, for_writing))
            {
                Ok(Some(file)) => file,
                Ok(None) => return Ok(Opening::Busy),
                Err(error) if is_gone(&error) => return Ok(Opening::None),
                Err(error) if for_writing => {
                    return Err(permission::to_mailbox(&context.mailbox, error));
                }
                Err(error) => return Err(Error::io(Operation::Open, &context.mailbox)(error)),
            };
        let mailbox = MboxFile { file };
        check_kind(&context.mailbox, &mailbox.attributes(context)?)?;
        Ok(Opening::File(mailbox))
    }

    pub(crate) fn attributes(&self, context: &MailboxContext) -> Result<Attr, Error> {
        self.file.attributes().map_err(Error::io(Operation::Stat, &context.mailbox))
    }

    pub(crate) fn unlock(&self, context: &MailboxContext) -> Result<(), Error> {
        self.file.unlock().map_err(Error::io(Operation::FcntlLock, &context.mailbox))
    }

    pub(crate) fn file(&self) -> Option<&File> {
        self.file.file()
    }
}

/// Only a regular file is a mailbox. A hard link's two names would have two dotlocks, and in a
/// spool that many users can write to it could lead anywhere.
pub(crate) fn check_kind(mailbox: &Path, attr: &Attr) -> Result<(), Error> {
    let reason = match attr.kind {
        FileKind::Plain => return Ok(()),
        FileKind::Directory => {
            "it is a directory: guard it with a lock beside it, see `linklock::Lock`"
        }
        FileKind::SymbolicLink => "it is a symbolic link: lock its target instead",
        FileKind::Other => "it is not a regular file",
    };
    Err(Error::Invalid { path: mailbox.into(), reason: reason.into() })
}
