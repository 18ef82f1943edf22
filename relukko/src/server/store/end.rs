//! Ending locks: at a client's request, or when they have expired.

use std::thread;
use std::time::{Duration, SystemTime};

use linklock::Holder;

use super::names::Identity;
use super::records::Record;
use super::{PAUSE, Store, StoreError};
use crate::info::LockId;

/// How much longer than it was told a holder's lock stays held: its clock and the file server's differ
/// in rate, and the latter is read with some noise.
const SLOP: Duration = Duration::from_secs(2);
/// How often to try to end a lock while another process is ending it.
const ATTEMPTS: u32 = 100;

impl Store {
    /// Deletes a lock that may be deleted, and returns its last state. Another program's lock is broken: its holder
    /// learns of it at its next check.
    pub(crate) fn delete(
        &self,
        id: LockId,
        may: impl FnOnce(&Record) -> Result<(), StoreError>,
    ) -> Result<Record, StoreError> {
        let found = self.find(id)?;
        may(&found.record)?;
        let ended = match self.end_by_guard(id) {
            Some(ended) => ended,
            None => self.end(&found.file, found.identity, |_| true)?,
        };
        if ended { Ok(found.record) } else { Err(StoreError::NotFound(id)) }
    }

    /// Ends a lock by this server's guard, which takes fewer file operations than without, and returns
    /// whether this did. `None` if there is no such guard, or if that has failed.
    fn end_by_guard(&self, id: LockId) -> Option<bool> {
        let ended = self.held_locks.get(id)?.end()?;
        if let Ok(true) = ended {
            self.records.remove(id);
        }
        self.forget(id);
        ended.ok()
    }

    /// Ends a lock of which no client has heard: whose creation nobody waits for any more, and which its client has
    /// not asked for again. Returns whether it did.
    pub(crate) fn withdraw(&self, created: &Record) -> Result<bool, StoreError> {
        let id = created.info.id;
        let turn = self.turn(id)?;
        let is_unheard_of =
            |record: Record| record.tenure.is_none_or(|tenure| !tenure.is_confirmed);
        let file = created.file()?;
        self.end(&file, Identity::Ours(id), |_| {
            let still = self.records.read(id).is_ok_and(|it| it.is_none_or(is_unheard_of));
            still && turn.verify().is_ok()
        })
    }

    /// When a lock ends. For those of `/v2/`, whose creators choose how long they last, the grace
    /// period only makes up for clocks that differ.
    pub(super) fn end_of(&self, record: &Record) -> SystemTime {
        let grace = if record.tenure.is_some() { SLOP } else { self.grace };
        record.info.expires_at + grace
    }

    /// Whether a lock of ours has ended, including the grace period.
    pub(crate) fn is_over(&self, record: &Record) -> Result<bool, StoreError> {
        Ok(self.clock.has_come(self.end_of(record), record.info.updated_at)?)
    }

    /// Ends a lock of ours that has expired, and returns whether it did.
    pub(crate) fn expire(&self, file: &str, id: LockId) -> Result<bool, StoreError> {
        match self.look_for(file, id)? {
            Some(found) if self.is_over(&found.record)? => {}
            Some(_) => return Ok(false),
            None => return Ok(true),
        }
        match self.end_expired(file, id) {
            Err(StoreError::Busy(_)) => Ok(false), // another may be extending it, or has died while ending it
            ended => ended,
        }
    }

    fn end_expired(&self, file: &str, id: LockId) -> Result<bool, StoreError> {
        let turn = self.turn(id)?;
        // Checked last, within the takeover itself: if our turn has ended by then, so has our right
        // to end the lock.
        self.end(file, Identity::Ours(id), |_| {
            let is_over = |record| self.is_over(&record).unwrap_or(false);
            let still = self.records.read(id).is_ok_and(|it| it.is_none_or(is_over));
            still && turn.verify().is_ok()
        })
    }

    /// Ends a lock if the condition holds to the last, and returns whether it did: of all processes
    /// that try at once, exactly one succeeds. Ending another program's lock logs a warning,
    /// because its holder does not know of it.
    pub(super) fn end(
        &self,
        file: &str,
        identity: Identity,
        condition: impl Fn(&Holder) -> bool,
    ) -> Result<bool, StoreError> {
        let id = identity.id();
        for _ in 0..ATTEMPTS {
            let is_it = |holder: &Holder| Identity::of(holder).id() == id && condition(holder);
            let lock = self.lock(file)?;
            let ended = if matches!(identity, Identity::Ours(_)) {
                lock.end_if(is_it)
            } else {
                lock.break_if(is_it)
            };
            if ended?.is_some() {
                self.records.remove(id);
                self.forget(id);
                return Ok(true);
            }
            match self.look_for(file, id)? {
                Some(found) if condition(&found.holder) => thread::sleep(PAUSE), // already being ended
                _ => return Ok(false),
            }
        }
        Err(StoreError::Busy(id))
    }

    /// Records that the lock is gone, whichever server ended it.
    pub(crate) fn forget(&self, id: LockId) {
        self.held_locks.end(id);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::server::store::fixtures::{HOUR, create, create_for, open};

    #[test]
    fn a_lock_that_another_process_is_ending_is_held_as_yet() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Duration::from_millis(1), Duration::ZERO).unwrap();
        let id = create_for(&store, None).unwrap().info.id;
        let found = store.find(id).unwrap();
        while !store.is_over(&found.record).unwrap() {
            thread::sleep(PAUSE);
        }
        let claim = found.holder.claim_path().to_string_lossy().into_owned();
        let nonce = claim.rsplit('|').next().unwrap();
        let seat = dir.path().join(format!("{}|break|{nonce}|0", found.file));
        let is_done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_done.load(Ordering::SeqCst) {
                    fs::write(&seat, "another process is in this seat").unwrap();
                    thread::sleep(PAUSE);
                }
            });
            while !seat.exists() {
                thread::sleep(PAUSE);
            }
            let created = create_for(&store, None);
            is_done.store(true, Ordering::SeqCst);
            assert!(matches!(created, Err(StoreError::Held { by: Some(_), .. })), "{created:?}");
        });
    }

    /// The names in a directory that belong to locks.
    fn files(dir: &Path) -> Vec<String> {
        let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter_map(|name| name.into_string().ok()).filter(|it| it.starts_with('x')).collect()
    }

    fn delete(store: &Store, id: LockId) -> Result<Record, StoreError> {
        store.delete(id, |_| Ok(()))
    }

    #[test]
    fn a_lock_that_another_server_has_extended_is_deleted_by_the_one_that_created_it() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (open(dir.path()), open(dir.path()));
        let id = create(&one).unwrap().info.id;
        let extended = two.update(id, |record, now| {
            record.info.expires_at = now + 2 * HOUR;
            Ok(())
        });
        assert_eq!(delete(&one, id).unwrap().info, extended.unwrap().info);
        assert!(files(dir.path()).is_empty(), "{:?}", files(dir.path()));
        assert!(matches!(delete(&two, id), Err(StoreError::NotFound(_))));
        assert!(one.held_locks.get(id).is_none() && one.records.read(id).unwrap().is_none());
        create(&two).unwrap();
    }

    #[test]
    fn a_lock_that_another_server_has_ended_is_not_deleted_again_nor_is_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (open(dir.path()), open(dir.path()));
        let id = create(&one).unwrap().info.id;
        delete(&two, id).unwrap();
        let held = one.held_locks.get(id).unwrap();
        assert!(matches!(held.end(), Some(Ok(false))));
        let next = create(&two).unwrap().info.id;
        assert!(matches!(delete(&one, id), Err(StoreError::NotFound(_))));
        one.forget(id);
        drop(held);
        assert_eq!(two.get(next).unwrap().info.id, next);
    }

    /// Otherwise both could take the lock file away, and one of them the next holder's.
    #[test]
    fn a_delete_waits_while_another_process_may_be_ending_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let id = create(&store).unwrap().info.id;
        let found = store.find(id).unwrap();
        let claim = found.holder.claim_path().to_string_lossy().into_owned();
        let nonce = claim.rsplit('|').next().unwrap();
        let seat = dir.path().join(format!("{}|break|{nonce}|0", found.file));
        fs::write(&seat, "another process is in this seat").unwrap();
        thread::scope(|scope| {
            let deleted = scope.spawn(|| delete(&store, id));
            // The lock, its claim, the seat, and the claim of the one who wants it.
            while files(dir.path()).len() < 4 {
                assert!(!deleted.is_finished(), "{:?}", deleted.join());
                thread::yield_now();
            }
            assert!(dir.path().join("x").exists());
            fs::remove_file(&seat).unwrap();
            deleted.join().unwrap().unwrap();
        });
        assert!(files(dir.path()).is_empty(), "{:?}", files(dir.path()));
    }

    #[test]
    fn of_all_that_delete_a_lock_at_once_one_succeeds() {
        let dir = tempfile::tempdir().unwrap();
        let servers = [0; 2].map(|_| open(dir.path()));
        for _ in 0..50 {
            let id = create(&servers[0]).unwrap().info.id;
            let deleted = thread::scope(|scope| {
                let deletes = [0, 1, 0, 1].map(|server: usize| {
                    let store = &servers[server];
                    scope.spawn(move || delete(store, id).is_ok())
                });
                deletes.map(|delete| delete.join().unwrap())
            });
            assert_eq!(deleted.iter().filter(|it| **it).count(), 1, "{deleted:?}");
            assert!(files(dir.path()).is_empty(), "{:?}", files(dir.path()));
        }
    }
}
