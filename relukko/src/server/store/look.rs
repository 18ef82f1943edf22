//! Looking at locks, ours and those of other programs, by name and by id.

use std::collections::BTreeMap;
use std::fs;

use linklock::{Holder, Lock, Obstacle};

use super::names::{self, Identity};
use super::records::Record;
use super::{Found, Store, StoreError, Wanted};
use crate::info::{Access, LockId, LockInfo};

/// How often to look at a lock whose record is missing, because it has just ended.
const LOOKS: usize = 3;

impl Store {
    pub(crate) fn get(&self, id: LockId) -> Result<Record, StoreError> {
        Ok(self.find(id)?.record)
    }

    /// A lock that is held, by its name.
    pub(crate) fn held(&self, lock_name: &str) -> Result<Option<Found>, StoreError> {
        self.held_in(&names::file_name(lock_name)?, lock_name)
    }

    /// The lock that may be the client's own.
    pub(crate) fn held_for(&self, wanted: &Wanted) -> Result<Option<Found>, StoreError> {
        self.held_in(&wanted.file()?, &wanted.lock_name)
    }

    fn held_in(&self, file: &str, lock_name: &str) -> Result<Option<Found>, StoreError> {
        if !self.dir.join(file).try_exists()? {
            return Ok(None); // cheaper than a look, and true of most slots of a set
        }
        let mut found = self.look_at(file)?;
        if let Some(found) = &mut found {
            lock_name.clone_into(&mut found.record.info.lock_name); // another program's file may not reveal it
        }
        Ok(found)
    }

    /// The slots that are held of the set with this name, in order. It has as many as the holder says
    /// that knows of the most.
    pub(crate) fn held_slots(&self, set: &str) -> Result<Vec<Record>, StoreError> {
        let first = names::file_name(&names::slot_name(set, 0))?;
        let of = names::split_slot(&first).map(|(of, _)| of);
        let (mut held, any) = (BTreeMap::new(), self.any_lock()?);
        for file in self.lock_files()? {
            let number = names::split_slot(&file).filter(|(it, _)| Some(*it) == of);
            let Some((_, number)) = number else { continue };
            if let Some(Found { mut record, .. }) = self.look_if_lock(&any, &file)? {
                record.info.lock_name = names::slot_name(set, number);
                held.insert(number, record);
            }
        }
        let slots = held.values().filter_map(|record| record.slots).max().unwrap_or(0);
        held.retain(|number, _| *number < slots);
        Ok(held.into_values().collect())
    }

    /// A lock that is held, by its id.
    pub(crate) fn find(&self, id: LockId) -> Result<Found, StoreError> {
        if let Some(record) = self.records.read(id).ok().flatten() {
            let file = record.file()?;
            let holder = holder(&self.lock(&file)?, &file).or_else(unless_in_the_way)?;
            let identity = Identity::Ours(id);
            let holder = holder.filter(|holder| Identity::of(holder) == identity);
            let holder = holder.ok_or(StoreError::NotFound(id))?;
            return Ok(Found { file, record, identity, holder });
        }
        // Another program's lock, or one whose record was removed.
        self.search(id)?.ok_or(StoreError::NotFound(id))
    }

    /// The lock with this id, if it is held in this file.
    pub(crate) fn look_for(&self, file: &str, id: LockId) -> Result<Option<Found>, StoreError> {
        Ok(self.look_at(file)?.filter(|found| found.identity.id() == id))
    }

    /// Whether this lock is not held in this file any more. One that cannot be read at present may be.
    pub(crate) fn is_gone(&self, file: &str, id: LockId) -> Result<bool, StoreError> {
        match self.look_for(file, id) {
            Err(StoreError::Unreadable(_)) => Ok(false),
            found => Ok(found?.is_none()),
        }
    }

    /// The lock in this file, if the file is one.
    fn look_at(&self, file: &str) -> Result<Option<Found>, StoreError> {
        self.look_by(&self.lock(file)?, file)
    }

    /// The same by a handle for its lock.
    pub(super) fn look_by(&self, lock: &Lock, file: &str) -> Result<Option<Found>, StoreError> {
        self.look(lock, file).or_else(unless_in_the_way)
    }

    /// To a client that wants the lock, a file that cannot be read is a lock that is held.
    pub(super) fn look_as_contender(&self, file: &str) -> Result<Option<Found>, StoreError> {
        self.look(&self.lock(file)?, file).map_err(|error| match error {
            StoreError::Unreadable(message) => StoreError::Held { by: None, message },
            error => error,
        })
    }

    /// The lock in this file, if it is held.
    fn look(&self, lock: &Lock, file: &str) -> Result<Option<Found>, StoreError> {
        let mut looks = 1;
        loop {
            let Some(holder) = holder(lock, file)?.filter(|holder| !holder.is_entering()) else {
                return Ok(None);
            };
            let identity = Identity::of(&holder);
            let record = self.record_of(file, identity)?;
            if record.is_none() && matches!(identity, Identity::Ours(_)) && looks < LOOKS {
                looks += 1;
                continue;
            }
            let record = record.unwrap_or_else(|| Record {
                info: self.infer(file, identity, &holder),
                key: None,
                slots: holder.slots(),
                access: names::split_reader(file).map(|_| Access::Read),
                tenure: None,
            });
            return Ok(Some(Found { file: file.to_owned(), record, identity, holder }));
        }
    }

    /// The record of the lock in this file. A record that is there but cannot be read is not guessed:
    /// it says whose the lock is, and until when.
    fn record_of(&self, file: &str, identity: Identity) -> Result<Option<Record>, StoreError> {
        let Identity::Ours(id) = identity else { return Ok(None) };
        let record = self.records.read(id).map_err(|error| {
            StoreError::Unreadable(format!("the record of lock {id} cannot be read: {error}"))
        })?;
        Ok(record.filter(|record| record.file().is_ok_and(|it| it == file)))
    }

    /// What the lock file alone shows.
    fn infer(&self, file: &str, identity: Identity, holder: &Holder) -> LockInfo {
        let (creator, expires_at) = match identity {
            Identity::Ours(_) => (None, holder.expires_at() - self.grace),
            Identity::Foreign(_) => {
                let host = holder.host().to_string_lossy();
                (Some(format!("process {} on {host}", holder.pid())), holder.expires_at())
            }
        };
        let born = fs::metadata(self.dir.join(file)).and_then(|metadata| metadata.created());
        LockInfo {
            id: identity.id(),
            lock_name: names::shown_name(file).to_owned(),
            creator,
            ip: None,
            expires_at,
            created_at: born.unwrap_or(holder.refreshed_at()),
            updated_at: holder.refreshed_at(),
        }
    }

    /// A handle that observes the lock as any other program does.
    pub(super) fn lock(&self, file: &str) -> Result<Lock, StoreError> {
        Ok(self.handles.lock(file)?)
    }
}

/// A file that is not a lock is none that is held.
fn unless_in_the_way<T>(error: StoreError) -> Result<Option<T>, StoreError> {
    if let StoreError::Held { .. } = error { Ok(None) } else { Err(error) }
}

fn holder(lock: &Lock, file: &str) -> Result<Option<Holder>, StoreError> {
    lock.holder().map_err(|error| match error {
        linklock::Error::Held { obstacle, .. } => match *obstacle {
            Obstacle::NotALock => {
                let message = format!("the file {file:?} is not a lock, and is in the way");
                StoreError::Held { by: None, message }
            }
            obstacle => StoreError::Unreadable(obstacle.to_string()),
        },
        error => error.into(),
    })
}

/// The file name of another program's lock may not reveal the name that was requested.
pub(super) fn held(found: Found, lock_name: &str) -> StoreError {
    let mut record = found.record;
    lock_name.clone_into(&mut record.info.lock_name);
    let message = match &record.info.creator {
        Some(creator) => format!("already held by {creator}"),
        None => "already held (creator not given)".to_owned(),
    };
    StoreError::Held { by: Some((found.file, Box::new(record))), message }
}
