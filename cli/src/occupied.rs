//! What has a lock's name and is no lock: it is never removed, so that waiting for it is in vain.

use std::path::Path;

use linklock::{Error, Obstacle};

use crate::exit::{CANNOT_CREATE, Failure};
use crate::foreign::Foreign;

/// Whether the obstacle will stay for as long as nobody removes it by hand. Another program's lock ends.
pub(crate) fn is_in_vain(path: &Path, obstacle: &Obstacle) -> bool {
    matches!(obstacle, Obstacle::NotALock) && other_programs(path).is_none()
}

/// The lock of another program that has this name.
pub(crate) fn other_programs(path: &Path) -> Option<Foreign> {
    Foreign::read(path, &path.symlink_metadata().ok()?)
}

/// Why a lock can never be acquired, if that is what the error comes to.
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

/// What is there, and what to do.
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
