//! Files that have a lock's name but are not locks: they are never removed, so waiting is in vain.

use std::path::Path;

use linklock::{Error, Obstacle};

use crate::exit::{CANNOT_CREATE, Failure};
use crate::foreign::Foreign;

/// Whether the obstacle stays until it is removed by hand. Another program's lock does not.
pub(crate) fn is_in_vain(path: &Path, obstacle: &Obstacle) -> bool {
    matches!(obstacle, Obstacle::NotALock) && other_programs(path).is_none()
}

/// Another program's lock with this name.
pub(crate) fn other_programs(path: &Path) -> Option<Foreign> {
    Foreign::read(path, &path.symlink_metadata().ok()?)
}

/// Why a lock can never be acquired, if that is what the error means.
pub(crate) fn failure(error: &Error) -> Option<Failure> {
    match error {
        Error::Held { path, obstacle, .. } | Error::TimedOut { path, obstacle, .. }
            if is_in_vain(path, obstacle) =>
        {
            Some(by(path))
        }
        _ => None,
    }
}

/// The kind of the obstacle, with advice.
pub(crate) fn by(path: &Path) -> Failure {
    let name = path.display();
    let (what, advice) = match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => {
            ("a directory", format!("to have a lock in it, give the lock a name: {name}/NAME.lock"))
        }
        Ok(meta) if meta.is_symlink() => ("a symbolic link", "name the lock itself".to_owned()),
        Ok(meta) if meta.is_file() => {
            ("a file that is not a lock", format!("choose another name, for example {name}.lock"))
        }
        _ => ("not a lock", format!("choose another name, for example {name}.lock")),
    };
    let why =
        format!("cannot lock {name}: it is {what}, and linklock will not remove it; {advice}");
    Failure::new(CANNOT_CREATE, why)
}
