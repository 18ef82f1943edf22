//! Changing our own locks.
//!
//! Servers take turns to read, change and replace a record. A turn is itself a lock, since several
//! servers may serve the directory. The record is replaced before the lease is extended, so that a
//! program that sees the lock file change sees the new record. Both are durable before the new date is
//! answered.

use std::fs::File;
use std::io;
use std::time::{Duration, SystemTime};

use linklock::{Holder, Lock, LockGuard};

use super::durable::sync;
use super::names::{self, Identity};
use super::records::Record;
use super::{Found, LEEWAY, LONGEST_LEASE, PAUSE, Store, StoreError};
use crate::info::LockId;

/// How long a turn may last.
const TURN: Duration = Duration::from_secs(10);
/// How long to wait for one. A turn that could not be given back, because of an error, is taken over once
/// it was observed for as long as it may last and the clock slop: the process that has it lives.
const TURN_WAIT: Duration = Duration::from_secs(30);

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

    /// The right to change a record.
    pub(super) fn turn(&self, id: LockId) -> Result<LockGuard, StoreError> {
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

    use super::*;
    use crate::server::store::fixtures::{create, open};

    #[test]
    fn a_turn_that_could_not_be_given_back_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let id = create(&store).unwrap().info.id;
        std::mem::forget(store.turn(id).unwrap());
        store.update(id, |_, _| Ok(())).unwrap();
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
}
