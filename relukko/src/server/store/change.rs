//! Changing and ending our own locks.
//!
//! Servers take turns to read, change and replace a record. A turn is itself a lock, since several
//! servers may serve the directory. The record is replaced before the lease is extended, so that a
//! program that sees the lock file change sees the new record. Both are durable before the new date is
//! answered.

use std::fs::File;
use std::io;
use std::thread;
use std::time::{Duration, SystemTime};

use linklock::{Holder, Lock, LockGuard};

use super::durable::sync;
use super::names::{self, Identity};
use super::records::Record;
use super::{Found, LEEWAY, LONGEST_LEASE, Store, StoreError};
use crate::info::LockId;

/// How long a turn may last.
const TURN: Duration = Duration::from_secs(10);
/// How long to wait for one. A turn that could not be given back, because of an error, is taken over once
/// it was observed for as long as it may last and the clock slop: the process that has it lives.
const TURN_WAIT: Duration = Duration::from_secs(30);
/// How much longer than it was told a holder's lock stays held: its clock and the file server's differ
/// in rate, and the latter is read with some noise.
const SLOP: Duration = Duration::from_secs(2);
/// How often to try to end a lock while another process is ending it, which takes a few file
/// operations.
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

impl Store {
    /// Changes a lock's record, and extends its lease if the lock is to expire later.
    pub(crate) fn update(
        &self,
        id: LockId,
        change: impl FnOnce(&mut Record, SystemTime) -> Result<(), StoreError>,
    ) -> Result<Record, StoreError> {
        let Found { file, identity, holder, .. } = self.find(id)?;
        if let Identity::Foreign(_) = identity {
            return Err(StoreError::NotOurs(holder.to_string()));
        }
        let turn = self.turn(id)?;
        let Some(Found { mut record, holder, .. }) = self.look_for(&file, id)? else {
            return Err(StoreError::NotFound(id));
        };
        let now = self.now();
        change(&mut record, now)?;
        record.info.updated_at = now;
        turn.verify().map_err(|_| StoreError::Busy(id))?;
        self.records.replace(&record)?;
        let prolonged = self.prolong(&file, &record, &holder);
        if let Err(StoreError::NotFound(_)) = prolonged {
            self.records.remove(id);
        }
        prolonged?;
        drop(turn);
        self.persist_if_held(&file, id)?;
        Ok(record)
    }

    /// Makes sure that the lease lasts as long as the record says, and that the lock is still ours.
    fn prolong(&self, file: &str, record: &Record, holder: &Holder) -> Result<(), StoreError> {
        let (id, ends) = (record.info.id, self.end_of(record));
        if ends <= holder.expires_at() {
            return match self.look_for(file, id)? {
                Some(_) => Ok(()),
                None => Err(StoreError::NotFound(id)),
            };
        }
        let left = ends.duration_since(self.now()).unwrap_or_default();
        let lease = left.min(LONGEST_LEASE) + LEEWAY;
        let prolonged = match self.held_locks.get(id) {
            Some(held) => held.guard().refresh_for(lease),
            None => self.attach(file, id, holder, lease),
        };
        prolonged.map_err(|error| match error {
            linklock::Error::Lost { .. } => StoreError::NotFound(id),
            error => error.into(),
        })
    }

    /// Attaches to a lock that another server, or this one before a restart, has taken, and renews
    /// its lease.
    fn attach(
        &self,
        file: &str,
        id: LockId,
        holder: &Holder,
        lease: Duration,
    ) -> Result<(), linklock::Error> {
        let path = self.dir.join(file);
        let options = Lock::options(path).learnt_from(&self.handles.any()?);
        let mut lock = options.host_name(names::host(id)).lifetime(lease).build()?;
        lock.set_sweeping(false);
        let held = self.held_locks.take(id, lock.attach(holder.claim_path())?);
        held.guard().refresh_for(lease)
    }

    /// Extends a lock's lease to what its record says: a server may have died between writing the
    /// two.
    pub(crate) fn repair(&self, found: &Found) -> Result<(), StoreError> {
        let ends = self.end_of(&found.record);
        let in_reach = ends.min(self.now() + LONGEST_LEASE / 2);
        if !found.is_ours() || in_reach <= found.holder.expires_at() {
            return Ok(());
        }
        let turn = self.turn(found.record.info.id)?;
        let Some(again) = self.look_for(&found.file, found.record.info.id)? else { return Ok(()) };
        turn.verify()?;
        self.prolong(&again.file, &again.record, &again.holder)
    }

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

    /// Makes a lock of ours durable.
    pub(super) fn persist(&self, file: &str, id: LockId) -> io::Result<()> {
        self.own_syncs.run([File::open(self.dir.join(file))?, self.records.open_file(id)?])?;
        self.directories.run(|| {
            sync(&self.dir)?;
            sync(self.records.dir())
        })
    }

    /// The same for a lock that may have ended meanwhile.
    pub(super) fn persist_if_held(&self, file: &str, id: LockId) -> Result<(), StoreError> {
        self.persist(file, id).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::NotFound(id),
            _ => error.into(),
        })
    }

    /// Makes a lock of ours durable, whichever request has created it.
    pub(crate) fn confirm(&self, record: &Record) -> Result<(), StoreError> {
        self.persist_if_held(&record.file()?, record.info.id)
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

    /// The right to change a record.
    fn turn(&self, id: LockId) -> Result<LockGuard, StoreError> {
        let mut lock = Lock::options(self.records.turn(id))
            .learnt_from(&self.turns.any()?)
            .lifetime(TURN)
            .polling(Duration::from_millis(1), PAUSE)
            .build()?;
        lock.set_sweeping(false);
        match lock.try_lock_for(TURN_WAIT) {
            Err(error) if error.is_contention() => Err(StoreError::Busy(id)),
            turn => Ok(turn?),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::server::secret::Digest;
    use crate::server::store::{Terms, Wanted};

    const HOUR: Duration = Duration::from_secs(3600);

    fn open(dir: &Path) -> Store {
        Store::open(dir, HOUR, Duration::ZERO).unwrap()
    }

    fn create(store: &Store) -> Result<Record, StoreError> {
        let secret = Digest::of("a secret of a test");
        create_for(store, Some(Terms { secret, lifetime: HOUR, note: None }))
    }

    fn create_for(store: &Store, terms: Option<Terms>) -> Result<Record, StoreError> {
        let lock_name = "x".to_owned();
        let (creator, ip, key) = (None, None, None);
        let wanted =
            Wanted { lock_name, slots: None, access: None, creator, ip, key, most: None, terms };
        Ok(store.create(wanted)?.1)
    }

    #[test]
    fn a_turn_that_could_not_be_given_back_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let id = create(&store).unwrap().info.id;
        std::mem::forget(store.turn(id).unwrap());
        store.update(id, |_, _| Ok(())).unwrap();
    }

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

    #[test]
    fn a_lock_whose_record_cannot_be_read_is_held_and_not_changed() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let id = create(&store).unwrap().info.id;
        let record = store.records.dir().join(id.to_string());
        let aside = dir.path().join(".aside");
        fs::rename(&record, &aside).unwrap();
        fs::create_dir(&record).unwrap();
        assert!(matches!(store.update(id, |_, _| Ok(())), Err(StoreError::Unreadable(_))));
        assert!(matches!(store.get(id), Err(StoreError::Unreadable(_))));
        assert!(!store.is_gone("x", id).unwrap());
        assert!(matches!(create(&store), Err(StoreError::Held { .. })));
        fs::remove_dir(&record).unwrap();
        fs::rename(&aside, &record).unwrap();
        assert!(store.get(id).unwrap().tenure.unwrap().token.is_some());
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
