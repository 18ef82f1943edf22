//! `--require-mount`: a lock on the file system that was meant, not in the bare directory where it should
//! be mounted.

use std::path::Path;

use crate::exit::{self, Failure};
use crate::mount_table;

/// Fails unless a file system is mounted at `point`, and it is the one that this directory is on.
pub(crate) fn require(point: &Path, dir: &Path) -> Result<(), Failure> {
    match why_not(point, dir) {
        None => Ok(()),
        Some(why) => Err(Failure::new(exit::CANNOT_CREATE, why)),
    }
}

/// Why the directory is not on a file system that is mounted there.
pub(crate) fn why_not(point: &Path, dir: &Path) -> Option<String> {
    let [shown, wanted] = [dir, point].map(Path::display);
    let found = mount_table::of(point).and_then(|at| Ok((point.canonicalize()?, at)));
    let (place, at) = match found {
        Ok((place, at)) => (place, at),
        Err(error) => return Some(format!("cannot tell what is mounted on {wanted}: {error}")),
    };
    // An automounter that has mounted nothing has a mount of its own there.
    if !at.is_some_and(|mount| mount.point == place && mount.kind != "autofs") {
        return Some(format!("nothing is mounted on {wanted}, which --require-mount names"));
    }
    match mount_table::of(dir) {
        Ok(Some(mount)) if mount.point == place => None,
        Ok(_) => Some(format!(
            "{shown} is not on the file system mounted on {wanted}, which --require-mount names"
        )),
        Err(error) => Some(format!("cannot tell what {shown} is on: {error}")),
    }
}
