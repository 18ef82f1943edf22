//! Listing the whole directory, and sweeping it.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::time::{Duration, SystemTime};

use linklock::Lock;

use super::names::{self, Identity};
use super::records::{Leftover, Record};
use super::{Found, Store, StoreError};
use crate::info::LockId;

/// How long a record without a lock is left alone, since its lock may be about to be taken.
const REST: Duration = Duration::from_secs(600);
/// How many locks are swept at a time, since each sweep lists the directory.
const AT_ONCE: usize = 16;

impl Store {
    /// All locks that are held, ours and those of other programs.
    pub(crate) fn list(&self) -> Result<Vec<Found>, StoreError> {
        let (mut all, any) = (Vec::new(), self.any_lock()?);
        for file in self.lock_files()? {
            all.extend(self.look_if_lock(&any, &file)?);
        }
        Ok(all)
    }

    /// The locks of a part of the directory: at most so many, from the file after this one on. With the
    /// last file of these, if there are more.
    pub(crate) fn page(
        &self,
        after: &str,
        most: usize,
    ) -> Result<(Vec<Record>, Option<String>), StoreError> {
        let mut files = self.lock_files()?;
        files.retain(|file| file.as_str() > after);
        files.sort_unstable();
        let (mut page, any) = (Vec::new(), self.any_lock()?);
        let mut files = files.into_iter().peekable();
        while let Some(file) = files.next() {
            page.extend(self.look_if_lock(&any, &file)?.map(|found| found.record));
            if page.len() >= most {
                return Ok((page, files.peek().is_some().then_some(file)));
            }
        }
        Ok((page, None))
    }

    /// A handle for looks at many locks, one after the other.
    pub(crate) fn any_lock(&self) -> Result<Lock, StoreError> {
        Ok(self.handles.any()?)
    }

    /// The lock in this file. Files that are not locks, or that cannot be read, are skipped.
    pub(crate) fn look_if_lock(&self, any: &Lock, file: &str) -> Result<Option<Found>, StoreError> {
        match self.look_by(&any.with_file_name(file)?, file) {
            Err(StoreError::Unreadable(_)) => Ok(None),
            found => found,
        }
    }

    /// Finds the lock with this id by the directory alone. File names usually suffice: only lock
    /// files without a claim are read.
    pub(super) fn search(&self, id: LockId) -> Result<Option<Found>, StoreError> {
        let (mut candidates, mut files, mut claimed) = (Vec::new(), Vec::new(), HashSet::new());
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            if let Some((file, identity)) = Identity::of_claim(&name) {
                claimed.insert(file.to_owned());
                if identity.id() == id {
                    candidates.push(file.to_owned());
                }
            } else {
                files.extend(names::lock_file(&name).map(str::to_owned));
            }
        }
        candidates.extend(files.into_iter().filter(|file| !claimed.contains(file)));
        for file in candidates {
            if let Some(found) = self.look_for(&file, id)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    pub(super) fn lock_files(&self) -> io::Result<Vec<String>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            files.extend(names::lock_file(&name).map(str::to_owned));
        }
        Ok(files)
    }

    /// Reads the file server's clock.
    pub(crate) fn read_clock(&self) -> Result<(), StoreError> {
        self.records.ensure()?;
        Ok(self.clock.read()?)
    }

    /// The result of a listing: each lock file, with the ids of the claims beside it.
    pub(crate) fn listed(&self) -> io::Result<HashMap<String, HashSet<LockId>>> {
        let (mut files, mut claims) = (HashMap::<_, HashSet<_>>::new(), Vec::new());
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            if let Some((file, identity)) = Identity::of_claim(&name) {
                claims.push((file.to_owned(), identity.id()));
            } else if let Some(file) = names::lock_file(&name) {
                files.insert(file.to_owned(), HashSet::new());
            }
        }
        for (file, id) in claims {
            files.entry(file).and_modify(|ids| {
                ids.insert(id);
            });
        }
        Ok(files)
    }

    /// When a name was last added to or removed from the directory. Opening the directory makes an
    /// NFS client ask the server.
    pub(crate) fn changed(&self) -> io::Result<SystemTime> {
        fs::File::open(&self.dir)?.metadata()?.modified()
    }

    /// Removes leftovers of other processes: records without a lock, and claims and seats of dead
    /// processes.
    pub(crate) fn tidy(&self, held: &[Found]) -> Result<(), StoreError> {
        let ours = held.iter().filter_map(|found| match found.identity {
            Identity::Ours(id) => Some(id),
            Identity::Foreign(_) => None,
        });
        let ours: HashSet<_> = ours.collect();
        for leftover in self.records.older_than(REST, self.now())? {
            match leftover {
                Leftover::Record(id) if ours.contains(&id) => {}
                Leftover::Record(id) => {
                    if let Err(StoreError::NotFound(_)) = self.find(id) {
                        self.records.remove(id);
                        self.forget(id);
                    }
                }
                Leftover::Half(path) => {
                    let removed = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
                    let _ = removed; // otherwise the next sweep removes it
                }
            }
        }
        self.sweep_claims()
    }

    /// Except for a moment, a held lock file has one claim beside it, and a free one has none. If
    /// there are more, the library checks whether their processes are alive.
    fn sweep_claims(&self) -> Result<(), StoreError> {
        for dir in [self.dir.as_path(), self.records.dir()] {
            let mut crowded = HashSet::new();
            let mut seen = HashSet::new();
            for entry in fs::read_dir(dir)? {
                let entry = entry?;
                let name = entry.file_name();
                let Some((file, _)) = name.to_str().and_then(|name| name.split_once('|')) else {
                    continue;
                };
                let is_lone = seen.insert(file.to_owned()) && dir.join(file).exists();
                if !is_lone {
                    crowded.insert(file.to_owned());
                }
            }
            for file in crowded.into_iter().take(AT_ONCE) {
                linklock::Lock::new(dir.join(&file))?.sweep()?; // logs what it finds
            }
        }
        Ok(())
    }
}
