//! Files that have a lock's name but are not locks: they are never removed, so waiting is in vain.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use linklock::{Error, Lock, Obstacle};

use crate::exit::{CANNOT_CREATE, Failure};
use crate::foreign::Foreign;

/// Whether the obstacle stays until it is removed by hand. Another program's lock does not, nor does
/// a file that has gone away, or become a lock, since it was seen.
pub(crate) fn is_in_vain(path: &Path, obstacle: &Obstacle) -> bool {
    matches!(obstacle, Obstacle::NotALock) && is_no_lock(path)
}

/// Whether one and the same file stands there, and is no program's lock.
fn is_no_lock(path: &Path) -> bool {
    let file = |meta: Metadata| (meta.dev(), meta.ino(), meta.ctime(), meta.ctime_nsec());
    let Ok(before) = path.symlink_metadata() else { return false };
    if Foreign::read(path, &before).is_some() {
        return false;
    }
    match Lock::new(path).and_then(|lock| lock.holder()) {
        Ok(_) => return false,
        Err(Error::Held { obstacle, .. }) if !matches!(*obstacle, Obstacle::NotALock) => {
            return false;
        }
        Err(_) => {}
    }
    path.symlink_metadata().is_ok_and(|after| file(after) == file(before))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_gone_away_or_become_a_lock_since_it_was_seen_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let is_in_vain = || is_in_vain(&path, &Obstacle::NotALock);
        assert!(!is_in_vain());
        std::fs::write(&path, "save me").unwrap();
        assert!(is_in_vain());
        std::fs::write(&path, "17:mars").unwrap();
        assert!(!is_in_vain(), "Dovecot's lock");
        std::fs::remove_file(&path).unwrap();
        let guard = Lock::new(&path).unwrap().lock().unwrap();
        assert!(!is_in_vain());
        drop(guard);
    }
}
