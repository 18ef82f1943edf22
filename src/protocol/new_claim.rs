//! The name of a new claim.

use std::net::SocketAddrV4;
use std::path::PathBuf;

use crate::error::Error;
use crate::model::context::Context;
use crate::model::names::ClaimName;
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
