//! Shared locks: any number of readers at once, or one writer, as with the library's `RwLock`, and together
//! with the programs that use it. The steps are the same:
//!
//! - **A reader** takes the lock file for a moment, takes a lock of its own beside it, and gives the lock
//!   file back. If that was still ours, the next writer finds the reader's lock. Only then is its record
//!   completed: until then it is nobody's, lest a repeated request take it for its own.
//! - **A writer** takes the lock file and keeps it: from then on no reader enters. It has the lock once all
//!   readers that were in have gone.
//!
//! Until then the writer's record is not complete, and the lock file has a short lease. The request that
//! waits renews it, or the next request of the same client does; if none comes, the lease ends.

use linklock::{Lock, RwLock};

use super::create::Begun;
use super::names;
use super::records::Record;
use super::{Found, PATIENCE, Store, StoreError, Wanted};
use crate::info::Access;
use crate::timestamp::whole_microseconds;

/// How often a reader begins again that took too long to enter.
const ATTEMPTS: usize = 16;

impl Store {
    /// Creates the lock of a reader, unless a writer holds the lock or waits for its readers.
    pub(super) fn enter(&self, wanted: &Wanted) -> Result<(String, Record), StoreError> {
        let file = names::file_name(&wanted.lock_name)?;
        for _ in 0..ATTEMPTS {
            self.make_way(&file, &wanted.lock_name)?;
            let entrance = match self.rw_lock(&file)?.try_enter() {
                Err(error) if error.is_contention() => {
                    return Err(self.held_by_now(&file, &wanted.lock_name, &error)?);
                }
                entrance => entrance?,
            };
            let begun = self.begin(wanted.clone())?;
            match entrance.unlock() {
                Ok(()) => return self.finish(begun),
                Err(error) => {
                    self.undo(&begun);
                    if !matches!(error, linklock::Error::Lost { .. }) {
                        return Err(error.into());
                    }
                }
            }
        }
        Err(StoreError::Held { by: None, message: "this server is too slow".to_owned() })
    }

    /// Creates the lock of a writer. As long as readers are in, the lock file is kept, and one of them is the
    /// error.
    pub(super) fn exclude(&self, wanted: &Wanted) -> Result<(String, Record), StoreError> {
        let (file, own) = if let Some(Found { file, record, .. }) = self.kept_for(wanted)? {
            (file, record)
        } else {
            let Begun { file, record, .. } = self.begin(wanted.clone())?;
            (file, record)
        };
        // We have changed the directory when we took the lock file, so an NFS client does not list it from its
        // cache: no reader is missing.
        for reader in self.readers(&file)? {
            if let Some(by) = self.outlast(&reader, &wanted.lock_name)? {
                self.keep(&own)?;
                return Err(by);
            }
        }
        Ok((file, self.grant(&own)?))
    }

    /// Keeps the lock file for some time from now on.
    fn keep(&self, own: &Record) -> Result<(), StoreError> {
        if own.info.expires_at > self.now() + PATIENCE / 2 {
            return Ok(());
        }
        let kept = self.update(own.info.id, |record, now| {
            record.info.expires_at = record.info.expires_at.max(now + PATIENCE);
            Ok(())
        });
        kept.map(drop).map_err(too_late)
    }

    /// No reader is in: the lock is the writer's.
    fn grant(&self, own: &Record) -> Result<Record, StoreError> {
        let id = own.info.id;
        let granted = self.update(id, |record, now| {
            let tenure = record.tenure.as_mut().ok_or(StoreError::NotFound(id))?;
            if tenure.token.is_some() {
                tenure.is_confirmed = true; // another request of the same client was faster
                return Ok(());
            }
            tenure.token = Some(self.tokens.draw()?);
            record.info.created_at = now;
            record.info.expires_at = whole_microseconds(now + tenure.lifetime());
            Ok(())
        });
        granted.map_err(too_late)
    }

    /// The lock file that this server keeps for the client, a writer that waits for readers.
    pub(crate) fn kept_for(&self, wanted: &Wanted) -> Result<Option<Found>, StoreError> {
        if wanted.access != Some(Access::Write) {
            return Ok(None);
        }
        let kept = self.held_for(wanted)?.filter(|found| {
            let record = &found.record;
            let is_its = wanted.secret().is_some_and(|secret| record.is_of(secret));
            let is_kept = record.access == Some(Access::Write) && !record.is_complete();
            is_its && is_kept && self.held_locks.get(record.info.id).is_some()
        });
        Ok(kept)
    }

    /// The readers of the lock with this name that are in.
    pub(crate) fn held_by_readers(&self, lock_name: &str) -> Result<Vec<Record>, StoreError> {
        let (mut held, any) = (Vec::new(), self.any_lock()?);
        for reader in self.readers(&names::file_name(lock_name)?)? {
            held.extend(self.look_if_lock(&any, &reader)?.map(|found| found.record));
        }
        Ok(held)
    }

    /// The locks of readers beside this lock file.
    fn readers(&self, file: &str) -> Result<Vec<String>, StoreError> {
        let mut readers = self.lock_files()?;
        readers.retain(|it| names::split_reader(it).is_some_and(|(of, _)| of == file));
        Ok(readers)
    }

    /// What is in the way if a reader that was in has not gone for good: its lock could not be acquired.
    fn outlast(&self, reader: &str, lock_name: &str) -> Result<Option<StoreError>, StoreError> {
        match self.make_way(reader, lock_name) {
            Err(held @ StoreError::Held { .. }) => return Ok(Some(held)),
            way => way?,
        }
        let refused = self.pass_through(reader)?;
        refused.map(|error| self.held_by_now(reader, lock_name, &error)).transpose()
    }

    /// The lock file as the library's readers take it.
    fn rw_lock(&self, file: &str) -> Result<RwLock, StoreError> {
        Ok(Lock::options(self.dir.join(file)).rw_lock()?)
    }
}

/// A lock file that was kept has been taken over meanwhile: the client has to ask again.
fn too_late(error: StoreError) -> StoreError {
    match error {
        StoreError::NotFound(_) => {
            StoreError::Held { by: None, message: "others were faster".to_owned() }
        }
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::Identity;
    use crate::server::store::fixtures::{open, terms, wanted};

    #[test]
    fn a_reader_on_its_way_in_is_nobodys_and_in_a_writers_way() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let reader = wanted(Some(Access::Read), Some(terms("a secret of a reader")));
        let writer = wanted(Some(Access::Write), Some(terms("a secret of a writer")));
        let begun = store.begin(reader.clone()).unwrap();
        let found = store.held_for(&reader).unwrap().unwrap();
        assert!(!found.record.is_complete(), "a repeated request must not get it");
        assert!(store.kept_for(&reader).unwrap().is_none(), "nor give it up");
        let refused = store.create(writer.clone());
        assert!(matches!(refused, Err(StoreError::Held { by: Some(_), .. })), "{refused:?}");
        let kept = store.kept_for(&writer).unwrap().unwrap().record.info.id;
        store.undo(&begun);
        assert!(store.held_for(&reader).unwrap().is_none());
        assert_eq!(store.create(writer).unwrap().1.info.id, kept);
        let late = store.create(reader);
        assert!(matches!(late, Err(StoreError::Held { by: Some(_), .. })), "{late:?}");
    }

    #[test]
    fn a_writer_that_comes_too_late_for_the_lock_file_that_it_kept_has_no_lock() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let writer = wanted(Some(Access::Write), Some(terms("a secret of a writer")));
        let Begun { file, record, .. } = store.begin(writer).unwrap();
        assert!(store.end(&file, Identity::Ours(record.info.id), |_| true).unwrap());
        let granted = store.grant(&record);
        assert!(matches!(granted, Err(StoreError::Held { by: None, .. })), "{granted:?}");
    }
}
