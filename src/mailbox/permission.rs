//! The permissions that locking a mailbox needs: which one is missing, and which users have it.

use std::fmt::Write;
use std::io;
use std::path::Path;

use crate::error::{Error, Operation};
use crate::mailbox::context::MailboxContext;
use crate::sys::errno::{is_forbidden, is_read_only};
use crate::sys::users::{self, Ownership, ownership};

/// Names the missing permission to make or remove files in the mailbox's directory.
pub(crate) fn in_directory(mailbox: &Path, error: Error) -> Error {
    let dir = mailbox.parent().unwrap_or(mailbox);
    explain(mailbox, error, |error| {
        format!("a dotlock needs permission to write to {}", whose(dir, error))
    })
}

/// Names the missing permission to write to the mailbox.
pub(crate) fn to_mailbox(mailbox: &Path, error: io::Error) -> Error {
    explain(mailbox, Error::io(Operation::Open, mailbox)(error), |error| {
        format!("an fcntl(2) lock needs permission to write to {}", whose(mailbox, error))
    })
}

/// Explains why another user's dotlock may not be removed, with regard to a sticky directory.
pub(crate) fn removal(context: &MailboxContext, error: &io::Error) -> io::Error {
    let dotlock = &context.dotlock;
    let dir = dotlock.parent().unwrap_or(dotlock);
    let is_sticky = ownership(dir).is_ok_and(|dir| dir.permissions & 0o1000 != 0);
    let missing = match context.core().machine.find(dotlock) {
        Ok(Some(attr)) if is_sticky => {
            let owner = user(attr.owner);
            format!("only {owner}, the owner of {} and root may remove it", whose(dir, error))
        }
        _ => format!("removing it needs permission to write to {}", whose(dir, error)),
    };
    io::Error::new(error.kind(), format!("{missing}: {error}"))
}

fn explain(mailbox: &Path, error: Error, missing: impl FnOnce(&io::Error) -> String) -> Error {
    match error {
        Error::Io { error, .. } if is_forbidden(&error) => {
            Error::Denied { path: mailbox.into(), missing: missing(&error), error }
        }
        error => error,
    }
}

/// Describes a file: its owner, the users that may write to it, and the current user.
fn whose(file: &Path, error: &io::Error) -> String {
    let Ok(Ownership { user: owner, group: of, permissions: mode }) = ownership(file) else {
        return file.display().to_string();
    };
    let (owner, group) = (user(owner), group(of));
    let mut text = format!("{} ({owner}, group {group}, mode {mode:04o})", file.display());
    if is_read_only(error) {
        return text;
    }
    let writers = match (mode & 0o020 != 0, mode & 0o200 != 0) {
        _ if mode & 0o002 != 0 => return text, // the mode is not the cause
        (true, _) => format!("{owner} and group {group}"),
        (false, true) => owner,
        (false, false) => "root".into(),
    };
    let _ = write!(text, ", writable only by {writers}; this is {}", user(users::effective_user()));
    text
}

fn user(uid: u32) -> String {
    users::user_name(uid).unwrap_or_else(|| format!("user {uid}"))
}

fn group(gid: u32) -> String {
    users::group_name(gid).unwrap_or_else(|| gid.to_string())
}
