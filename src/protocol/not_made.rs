//! Why a claim could not be made or dated: an error that names what the file system lacks, if that
//! is the cause.

use std::io;
use std::path::Path;

use crate::error::{Error, Operation};
use crate::model::context::Context;
use crate::sys::dates::DateNotKept;
use crate::sys::errno::{is_forbidden, is_gone, is_name_refused, is_name_too_long, may_pass};
use crate::sys::fs::{FileKind, Mount};

/// The error for a claim that could not be made; it names the missing feature if that is the cause.
pub(crate) fn not_made(context: &Context, path: &Path, error: io::Error) -> Error {
    if let Some(not_kept) = not_kept(&error) {
        return date_not_kept(context, not_kept);
    }
    if is_name_too_long(&error) {
        return context.names_too_long(path, Some(error));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_unknown = context.mount() == Mount::Other && is_directory(context);
    // exfat-fuse returns ENOENT for a name that it does not take.
    if is_name_refused(&error) || is_unknown && is_gone(&error) {
        let lacks = format!(
            "does not take the name {name:?}: its separator may be why, and another one can be \
             chosen; FAT and exFAT have no hard links either"
        );
        return context.unsupported(lacks, Some(error));
    }
    if is_unknown && !may_pass(&error) && !is_forbidden(&error) {
        let lacks = format!("does not let files be made and removed there ({name:?} may stay)");
        return context.unsupported(lacks, Some(error));
    }
    Error::io(Operation::Create, path)(error)
}

/// Whether the lock's directory is one.
fn is_directory(context: &Context) -> bool {
    let attr = context.machine.fs.stat(context.names.dir());
    attr.is_ok_and(|attr| attr.kind == FileKind::Directory)
}

/// The error for a date that could not be set.
pub(crate) fn not_dated(context: &Context, path: &Path, error: io::Error) -> Error {
    match not_kept(&error) {
        Some(not_kept) => date_not_kept(context, not_kept),
        None => Error::io(Operation::Touch, path)(error),
    }
}

/// Why a date was not kept, if that is the error.
fn not_kept(error: &io::Error) -> Option<DateNotKept> {
    error.get_ref()?.downcast_ref().copied()
}

pub(crate) fn date_not_kept(context: &Context, not_kept: DateNotKept) -> Error {
    context.unsupported(format!("does not keep the dates that files are given ({not_kept})"), None)
}
