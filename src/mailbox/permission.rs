//! Permissions that locking a mailbox takes: what is missing, and who has it.

use std::fmt::Write;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Error, Operation};
use crate::sys::errno::is_forbidden;
use crate::sys::errno::is_read_only;
use crate::sys::users;

/// Names what is missing if the system did not permit it: to make or remove files in the mailbox's
/// directory.
pub(crate) fn in_directory(mailbox: &Path, error: Error) -> Error {
    let dir = mailbox.parent().unwrap_or(mailbox);
    explain(mailbox, error, |error| {
        format!("a dotlock takes permission to write to {}", whose(dir, error))
    })
}

/// Names what is missing if the system did not permit it: to write to the mailbox.
pub(crate) fn to_mailbox(mailbox: &Path, error: io::Error) -> Error {
    explain(mailbox, Error::io(Operation::Open, mailbox)(error), |error| {
        format!("an fcntl(2) lock takes permission to write to {}", whose(mailbox, error))
    })
}

/// Why another's dotlock may not be removed, in the words of a sticky directory if it is one.
pub(crate) fn removal(dotlock: &Path, error: &io::Error) -> io::Error {
    let dir = dotlock.parent().unwrap_or(dotlock);
    let is_sticky = dir.metadata().is_ok_and(|meta| meta.mode() & 0o1000 != 0);
    let missing = match dotlock.symlink_metadata() {
        Ok(meta) if is_sticky => {
            format!("only {}, the owner of {} and root may", user(meta.uid()), whose(dir, error))
        }
        _ => format!("it takes permission to write to {}", whose(dir, error)),
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

/// A file, whose it is, who may write to it, and who is asking.
fn whose(file: &Path, error: &io::Error) -> String {
    let Ok(meta) = file.metadata() else { return file.display().to_string() };
    let mode = meta.mode() & 0o7777;
    let (owner, group) = (user(meta.uid()), group(meta.gid()));
    let mut text = format!("{} ({owner}, group {group}, mode {mode:04o})", file.display());
    if is_read_only(error) {
        return text;
    }
    let writers = match (mode & 0o020 != 0, mode & 0o200 != 0) {
        _ if mode & 0o002 != 0 => return text, // it's not the mode
        (true, _) => format!("{owner} and group {group}"),
        (false, true) => owner,
        (false, false) => "root".into(),
    };
    let _ = write!(text, ", which {writers} may; this is {}", user(users::effective_user()));
    text
}

fn user(uid: u32) -> String {
    users::user_name(uid).unwrap_or_else(|| format!("user {uid}"))
}

fn group(gid: u32) -> String {
    users::group_name(gid).unwrap_or_else(|| gid.to_string())
}
