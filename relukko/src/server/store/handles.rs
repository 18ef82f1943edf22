//! Handles for the locks of one directory, which share what one of them has found out about its file
//! system: to find that out takes more system calls than most requests need otherwise.
//!
//! What is known counts for a moment only, and only for the same directory: another file system may be
//! mounted on it, or it may be exported to other machines, and then locks are released in another way.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use linklock::{Error, Lock};

/// How long what is known counts. A guard, too, goes by what was known when its lock was taken.
const YOUNG: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Handles {
    dir: PathBuf,
    known: Mutex<Option<Known>>,
}

#[derive(Debug)]
struct Known {
    any: Lock,
    place: Place,
    since: Instant,
}

/// A directory, whatever its name: the numbers of its file system and of its inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place(u64, u64);

impl Handles {
    pub(super) fn of(dir: &Path) -> Handles {
        Handles { dir: dir.to_owned(), known: Mutex::default() }
    }

    /// A handle that knows the file system, to make others from.
    pub(super) fn any(&self) -> Result<Lock, Error> {
        let place = fs::metadata(&self.dir).ok().map(|it| Place(it.dev(), it.ino()));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref().filter(|known| known.is_of(place)) {
            return Ok(known.any.clone());
        }
        let mut any = Lock::new(self.dir.join("any.lock"))?;
        any.set_sweeping(false);
        *known = place.map(|place| Known { any: any.clone(), place, since: Instant::now() });
        Ok(any)
    }

    /// A handle that observes the lock as any other program does.
    pub(super) fn lock(&self, file: &str) -> Result<Lock, Error> {
        let mut lock = self.any()?.with_file_name(file)?;
        lock.set_sweeping(false);
        Ok(lock)
    }
}

impl Known {
    fn is_of(&self, place: Option<Place>) -> bool {
        Some(self.place) == place && self.since.elapsed() < YOUNG
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_directory_counts_for_no_other_in_its_place_and_not_for_long() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("locks");
        fs::create_dir(&dir).unwrap();
        let handles = Handles::of(&dir);
        let known = || {
            handles.any().unwrap();
            let known = handles.known.lock().unwrap();
            known.as_ref().map(|known| (known.place, known.since)).unwrap()
        };
        let first = known();
        if first.1.elapsed() < YOUNG / 2 {
            assert_eq!(known(), first);
        }
        fs::rename(&dir, parent.path().join("aside")).unwrap();
        fs::create_dir(&dir).unwrap();
        let second = known();
        assert_ne!(second.0, first.0);
        let old = second.1.checked_sub(YOUNG).unwrap();
        handles.known.lock().unwrap().as_mut().unwrap().since = old;
        assert!(known().1 > old);
    }

    #[test]
    fn a_directory_that_is_gone_is_not_known() {
        let parent = tempfile::tempdir().unwrap();
        let handles = Handles::of(&parent.path().join("none"));
        assert!(handles.lock("x").unwrap().holder().unwrap().is_none());
        assert!(handles.known.lock().unwrap().is_none());
    }
}
