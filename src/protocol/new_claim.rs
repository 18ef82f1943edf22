//! A new claim: its name, and the errors of making it.

use std::io;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};

use crate::error::{Error, Operation};
use crate::model::context::Context;
use crate::model::names::ClaimName;
use crate::sys::dates::DateNotKept;
use crate::sys::errno::{is_gone, is_name_refused, is_name_too_long};
use crate::sys::fs::Mount;
use crate::sys::process::Process;

/// A name for a claim of that process. If there is no room for the address, the process can't be
/// asked. If there is none for all that identifies the process, the name has less of it: the death
/// of the process then counts only once the lease has expired.
pub(crate) fn new_name(
    context: &Context,
    owner: &Process,
    address: Option<SocketAddrV4>,
) -> Result<ClaimName, Error> {
    let most = context.machine.fs.name_max(context.names.dir()).unwrap_or(usize::MAX);
    let random = (context.machine.random)();
    let longest = |name: &ClaimName| context.names.longest(name);
    let fits = |name: &ClaimName| {
        context.names.surely_fit(name, most)
            || longest(name).file_name().is_none_or(|name| name.len() <= most)
    };
    let mut needed = PathBuf::new();
    for owner in [*owner, Process { proof: None, ..*owner }] {
        let name = context.names.new_claim(random, &owner);
        let reachable = address.and_then(|address| context.names.with_address(&name, address));
        if let Some(fitting) = reachable.into_iter().chain([name.clone()]).find(fits) {
            return Ok(fitting);
        }
        needed = longest(&name);
    }
    Err(context.names_too_long(&needed, None))
}

/// The error for a claim that could not be made; it names the missing feature if that is the cause.
pub(crate) fn not_made(context: &Context, path: &Path, error: io::Error) -> Error {
    if let Some(not_kept) = error.get_ref().and_then(|error| error.downcast_ref::<DateNotKept>()) {
        return date_not_kept(context, *not_kept);
    }
    if is_name_too_long(&error) {
        return context.names_too_long(path, Some(error));
    }
    if is_name_refused(&error) || is_gone(&error) && refuses_to_find(context) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let lacks = format!(
            "does not take the name {name:?}: its separator may be why, and another one can be \
             chosen; FAT and exFAT have no hard links either"
        );
        return context.unsupported(lacks, Some(error));
    }
    Error::io(Operation::Create, path)(error)
}

/// Whether a file system that returns ENOENT for a new name does so because of the name (exfat-fuse
/// does): the directory is there.
fn refuses_to_find(context: &Context) -> bool {
    context.mount() == Mount::Other && context.machine.fs.stat(context.names.dir()).is_ok()
}

pub(crate) fn date_not_kept(context: &Context, not_kept: DateNotKept) -> Error {
    context.unsupported(format!("does not keep the dates that files are given ({not_kept})"), None)
}
