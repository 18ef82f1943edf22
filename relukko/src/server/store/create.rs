//! Taking a lock: its record, its lock file, its token.

use std::sync::Arc;

use linklock::{Life, Lock, StalePolicy};

use super::held_locks::HeldLock;
use super::look::held;
use super::names::{self, Identity};
use super::records::{Record, Tenure};
use super::{Found, LEEWAY, PATIENCE, Store, StoreError, Wanted};
use crate::info::{Access, LockId, LockInfo};

/// A lock whose file is taken, and whose record is not complete: it is nobody's yet.
pub(super) struct Begun {
    pub(super) file: String,
    pub(super) record: Record,
    held: Arc<HeldLock>,
}

impl Store {
    /// Takes a lock. The returned lock stays held whatever happens to this process.
    pub(crate) fn create(&self, wanted: Wanted) -> Result<(String, Record), StoreError> {
        match wanted.access {
            None => self.finish(self.begin(wanted)?),
            Some(Access::Read) => self.enter(&wanted),
            Some(Access::Write) => self.exclude(&wanted),
        }
    }

    /// Takes the lock file.
    pub(super) fn begin(&self, wanted: Wanted) -> Result<Begun, StoreError> {
        let Wanted { lock_name, slots, access, creator, ip, key, most: _, terms } = wanted;
        let now = self.now();
        let lifetime = match access {
            Some(Access::Write) => PATIENCE,
            _ => terms.as_ref().map_or(self.lifetime, |terms| terms.lifetime),
        };
        let info = LockInfo {
            id: LockId(uuid::Uuid::new_v4()),
            lock_name: lock_name.clone(),
            creator,
            ip,
            expires_at: now + lifetime,
            created_at: now,
            updated_at: now,
        };
        let record = Record { info, key, slots, access, tenure: terms.map(Tenure::from) };
        let file = record.file()?;
        self.make_way(&file, &lock_name)?;
        self.records.create(&record)?;
        match self.own_lock(&file, &record).and_then(|lock| Ok(lock.try_lock()?)) {
            Ok(guard) => {
                let held = self.held_locks.take(record.info.id, guard);
                Ok(Begun { file, record, held })
            }
            Err(error) => {
                self.records.remove(record.info.id);
                Err(match error {
                    StoreError::Lock(error) if error.is_contention() => {
                        self.held_by_now(&file, &lock_name, &error)?
                    }
                    error => error,
                })
            }
        }
    }

    /// Ends a lock that has expired, so that its file can be taken, or returns its holder as an error.
    pub(super) fn make_way(&self, file: &str, lock_name: &str) -> Result<(), StoreError> {
        match self.look_as_contender(file)? {
            Some(found) => self.succeed(&found, lock_name),
            None => Ok(()),
        }
    }

    /// The error for a lock file that could not be taken.
    pub(super) fn held_by_now(
        &self,
        file: &str,
        lock_name: &str,
        refused: &linklock::Error,
    ) -> Result<StoreError, StoreError> {
        Ok(match self.look_as_contender(file)? {
            Some(found) => held(found, lock_name),
            None => StoreError::Held { by: None, message: refused.to_string() },
        })
    }

    /// The lock that is to have this record.
    fn own_lock(&self, file: &str, record: &Record) -> Result<Lock, StoreError> {
        let lease = self.end_of(record).duration_since(record.info.created_at);
        let any = self.handles.any()?;
        let options = |file: &str| {
            Lock::options(self.dir.join(file))
                .learnt_from(&any)
                .host_name(names::host(record.info.id))
                .lifetime(lease.unwrap_or_default() + LEEWAY)
                .stale(StalePolicy::Expired)
        };
        let mut lock = match names::split_slot(file).zip(record.slots) {
            Some(((set, number), of)) => options(set).slots(of)?.locks()[number as usize].clone(),
            None => options(file).build()?,
        };
        lock.set_sweeping(false);
        Ok(lock)
    }

    /// Completes the lock, or ends it.
    pub(super) fn finish(&self, mut begun: Begun) -> Result<(String, Record), StoreError> {
        if let Err(error) = self.complete(&mut begun) {
            self.undo(&begun);
            return Err(error);
        }
        Ok((begun.file, begun.record))
    }

    pub(super) fn undo(&self, Begun { file, record, .. }: &Begun) {
        let _ = self.end(file, Identity::Ours(record.info.id), |_| true); // otherwise it ends when it expires
    }

    /// Completes the record of a lock that was just taken, and makes all of it durable.
    fn complete(&self, begun: &mut Begun) -> Result<(), StoreError> {
        let Begun { file, record, held } = begun;
        let id = record.info.id;
        if !self.records.exists(id)? {
            self.records.create(record)?; // we stalled long enough for it to be swept
        }
        if let Some(tenure) = &mut record.tenure {
            let token = self.tokens.draw()?;
            held.guard().verify()?; // a token that is drawn after the tenure's end could be higher than the next one's
            self.records.complete(id, token)?;
            tenure.token = Some(token);
        }
        Ok(self.persist(file, id)?)
    }

    /// Ends a lock that has expired, so that it can be taken, or returns its holder as an error.
    fn succeed(&self, found: &Found, lock_name: &str) -> Result<(), StoreError> {
        let is_over = match found.identity {
            Identity::Ours(id) => self.expire(&found.file, id)?,
            Identity::Foreign(_) => self.end_foreign_if_stale(found)?,
        };
        if is_over { Ok(()) } else { Err(held(found.clone(), lock_name)) }
    }

    /// Another program's lock is taken over by the rules for its kind, if any client waits for it.
    pub(crate) fn end_foreign_if_stale(&self, found: &Found) -> Result<bool, StoreError> {
        if !found.holder.is_expired() && found.holder.life() != Life::Dead {
            return Ok(false);
        }
        Ok(self.pass_through(&found.file)?.is_none())
    }

    /// Acquires a lock as any other program does, and releases it; or returns why it is held.
    pub(super) fn pass_through(&self, file: &str) -> Result<Option<linklock::Error>, StoreError> {
        match self.lock(file)?.try_lock() {
            Ok(guard) => {
                guard.unlock_if_held()?;
                Ok(None)
            }
            Err(error) if error.is_contention() => Ok(Some(error)),
            Err(error) => Err(error.into()),
        }
    }
}
