//! The store, and what this server has seen in it, so that it can report every lock that ends,
//! whichever program or server ended it.

mod acquire;
mod allowance;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::extract::ws::Utf8Bytes;
use serde_json::json;
use tokio::sync::broadcast;

pub(crate) use self::acquire::Acquired;
use self::allowance::Creating;
use super::caller::Caller;
use super::events::{Events, Kind};
use super::metrics::Metrics;
use super::queues::{Line, Queues};
use super::secret::Digest;
use super::store::{Found, Record, Store, StoreError, split_slot};
use crate::info::{LockId, LockInfo};

/// How many messages a slow listener may lag behind.
const BACKLOG: usize = 1024;
/// The coarsest resolution expected of a directory's time stamps.
const RESOLUTION: Duration = Duration::from_secs(2);
/// How long a check of the directory stays valid.
const HEALTH_AGE: Duration = Duration::from_secs(1);

pub(crate) struct Registry {
    store: Store,
    board: Mutex<HashMap<LockId, Seen>>,
    creating: Creating,
    /// The locks that a request is deleting; the request reports that itself.
    deleting: Mutex<HashSet<LockId>>,
    follower: Mutex<Follower>,
    health: Mutex<Option<(Instant, Result<(), String>)>>,
    news: broadcast::Sender<Utf8Bytes>,
    pub(crate) events: Events,
    pub(crate) queues: Arc<Queues>,
    pub(crate) metrics: Metrics,
}

/// A lock that was held when last observed.
struct Seen {
    file: String,
    record: Record,
    /// A client may be waiting for the lock until then.
    watched_until: Option<Instant>,
}

impl Registry {
    pub(crate) fn new(store: Store, metrics: Metrics) -> Registry {
        Registry {
            store,
            board: Mutex::default(),
            creating: Creating::default(),
            deleting: Mutex::default(),
            follower: Mutex::default(),
            health: Mutex::default(),
            news: broadcast::Sender::new(BACKLOG),
            events: Events::new(),
            queues: Arc::default(),
            metrics,
        }
    }

    pub(crate) fn listen(&self) -> broadcast::Receiver<Utf8Bytes> {
        self.news.subscribe()
    }

    /// The file server's time.
    pub(crate) fn now(&self) -> SystemTime {
        self.store.now()
    }

    pub(crate) fn get(&self, id: LockId) -> Result<Record, StoreError> {
        self.store.get(id)
    }

    /// The lock with this name, if it is held.
    pub(crate) fn held(&self, name: &str) -> Result<Option<Record>, StoreError> {
        match self.store.held(name)? {
            Some(found) if found.is_ours() && self.store.is_over(&found.record)? => Ok(None),
            found => Ok(found.map(|found| found.record)),
        }
    }

    /// The locks of readers of the lock with this name.
    pub(crate) fn readers(&self, name: &str) -> Result<Vec<Record>, StoreError> {
        self.store.held_by_readers(name)
    }

    /// The slots that are held of the set with this name.
    pub(crate) fn slots(&self, set: &str) -> Result<Vec<Record>, StoreError> {
        self.store.held_slots(set)
    }

    /// Deletes a lock at the request of its holder.
    pub(crate) fn release(
        &self,
        id: LockId,
        secret: &Digest,
        caller: &Caller,
    ) -> Result<Record, StoreError> {
        let is_own = |record: &Record| {
            if record.is_of(secret) { Ok(()) } else { Err(StoreError::NotYours(id)) }
        };
        self.delete_if(id, caller, is_own)
    }

    /// Some locks in the order of their files, from the one after this file, and the last file of
    /// these if there are more.
    pub(crate) fn page(
        &self,
        after: &str,
        most: usize,
    ) -> Result<(Vec<Record>, Option<String>), StoreError> {
        self.store.page(after, most)
    }

    pub(crate) fn list(&self) -> Result<Vec<LockInfo>, StoreError> {
        let mut all: Vec<_> =
            self.store.list()?.into_iter().map(|found| found.record.info).collect();
        all.sort_by_key(|lock| (lock.created_at, lock.id));
        Ok(all)
    }

    pub(crate) fn update(
        &self,
        id: LockId,
        change: impl FnOnce(&mut Record, SystemTime) -> Result<(), StoreError>,
    ) -> Result<Record, StoreError> {
        let record = self.store.update(id, |record, now| {
            if !record.is_complete() {
                return Err(StoreError::Busy(id)); // its token would be lost
            }
            change(record, now)
        })?;
        if let Some(seen) = self.board().get_mut(&id) {
            seen.record = record.clone();
            self.events.push(Kind::Prolonged, &record);
        }
        Ok(record)
    }

    /// Deletes a lock at the request of a client whose key allows that.
    pub(crate) fn delete(&self, id: LockId, caller: &Caller) -> Result<Record, StoreError> {
        self.delete_if(id, caller, |record| caller.may_change(record))
    }

    fn delete_if(
        &self,
        id: LockId,
        caller: &Caller,
        may: impl FnOnce(&Record) -> Result<(), StoreError>,
    ) -> Result<Record, StoreError> {
        lock(&self.deleting).insert(id);
        let deleted = self.store.delete(id, may);
        if deleted.is_ok() {
            self.board().remove(&id);
        }
        lock(&self.deleting).remove(&id);
        let record = deleted?;
        self.tell(&record);
        let info = &record.info;
        tracing::info!(%id, lock = info.lock_name, creator = info.creator, peer = %caller, key = caller.key(), "deleted");
        Ok(record)
    }

    /// Checks all locks: ends those that have expired, reports those that others have ended, and
    /// repairs what a killed server may have left.
    pub(crate) fn sweep(&self) -> Result<(), StoreError> {
        let begun = Instant::now();
        self.store.read_clock()?;
        let mut held = Vec::new();
        for found in self.store.list()? {
            let id = found.record.info.id;
            let is_over = found.is_ours() && self.store.is_over(&found.record)?;
            if is_over && self.store.expire(&found.file, id)? {
                self.board().remove(&id);
                self.tell(&found.record);
                let info = &found.record.info;
                tracing::info!(%id, lock = info.lock_name, creator = info.creator, "expired");
                continue;
            }
            if let Err(error) = self.store.repair(&found) {
                tracing::warn!(%id, %error, "cannot extend a lease");
            }
            held.push(found);
        }
        self.compare(&held)?;
        self.store.tidy(&held)?;
        self.metrics.swept(held.len(), begun.elapsed());
        Ok(())
    }

    /// Reports the locks that were seen before and are gone.
    fn compare(&self, held: &[Found]) -> Result<(), StoreError> {
        let mut gone: HashMap<_, _> =
            self.board().iter().map(|(id, seen)| (*id, seen.file.clone())).collect();
        for found in held {
            gone.remove(&found.record.info.id);
            self.note(found.file.clone(), &found.record, None);
        }
        for (id, file) in gone {
            // It may have been created after the listing began.
            if self.store.is_gone(&file, id)? {
                self.forget(id);
            }
        }
        Ok(())
    }

    /// While any client listens or waits, checks the locks that clients wait for, and the directory if names
    /// in it have changed, so that locks ended by other programs and servers are reported at once.
    pub(crate) fn watch(&self) -> Result<(), StoreError> {
        if self.news.receiver_count() == 0 && self.queues.is_empty() {
            return Ok(());
        }
        self.look_at_watched()?;
        self.follow()
    }

    fn look_at_watched(&self) -> Result<(), StoreError> {
        let now = Instant::now();
        let watched: Vec<_> = self
            .board()
            .iter()
            .filter(|(_, seen)| seen.is_watched(now))
            .map(|(id, seen)| (*id, seen.file.clone()))
            .collect();
        for (id, file) in watched {
            let ended = match self.store.look_for(&file, id) {
                Err(StoreError::Unreadable(_)) => false,
                found => match found? {
                    Some(found) if found.is_ours() => false,
                    Some(found) => self.store.end_foreign_if_stale(&found)?,
                    None => true,
                },
            };
            if ended {
                self.forget(id);
            }
        }
        Ok(())
    }

    /// Compares the board with the names in the directory, if those have changed.
    fn follow(&self) -> Result<(), StoreError> {
        if !lock(&self.follower).is_due(self.store.changed()?) {
            return Ok(());
        }
        let begun = Instant::now();
        let listed = self.store.listed()?;
        let (mut known, mut gone) = (HashSet::new(), Vec::new());
        for (id, seen) in &*self.board() {
            if listed.get(&seen.file).is_some_and(|ids| ids.contains(id)) {
                known.insert(seen.file.clone());
            } else {
                gone.push((*id, seen.file.clone()));
            }
        }
        for (id, file) in gone {
            if self.store.is_gone(&file, id)? {
                self.forget(id);
            } else {
                known.insert(file); // its claim is gone
            }
        }
        let any = self.store.any_lock()?;
        for file in listed.into_keys().filter(|file| !known.contains(file)) {
            if let Some(found) = self.store.look_if_lock(&any, &file)? {
                self.note(found.file.clone(), &found.record, None);
            }
        }
        lock(&self.follower).looked(begun.elapsed());
        Ok(())
    }

    /// Whether the directory is usable; the result is at most a second old.
    pub(crate) fn check_health(&self) -> Result<(), String> {
        let mut health = lock(&self.health);
        match &*health {
            Some((at, result)) if at.elapsed() < HEALTH_AGE => result.clone(),
            _ => {
                let result = self.store.check().map_err(|error| error.to_string());
                *health = Some((Instant::now(), result.clone()));
                result
            }
        }
    }

    /// Removes a lock that is gone from the board, and reports its end unless a request does.
    fn forget(&self, id: LockId) {
        if lock(&self.deleting).contains(&id) {
            return;
        }
        let seen = self.board().remove(&id);
        if let Some(seen) = seen {
            self.store.forget(id);
            self.tell(&seen.record);
            tracing::info!(%id, lock = seen.record.info.lock_name, "ended by another program or server");
        }
    }

    fn note(&self, file: String, record: &Record, watched_until: Option<Instant>) {
        let id = record.info.id;
        if lock(&self.deleting).contains(&id) || !record.is_complete() {
            return;
        }
        let mut board = self.board();
        let seen = board.entry(id).or_insert_with(|| {
            self.events.push(Kind::Created, record);
            Seen { file, record: record.clone(), watched_until }
        });
        seen.watched_until = watched_until.or(seen.watched_until);
        // Keep another program's lock under the name that it was requested by.
        if watched_until.is_some() || seen.watched_until.is_none() {
            seen.record = record.clone();
        }
    }

    /// Reports the end of a lock.
    fn tell(&self, ended: &Record) {
        self.metrics.broadcasts.inc();
        let _ = self.news.send(json!({ "deleted": [&ended.info] }).to_string().into()); // fails if no client listens
        self.events.push(Kind::Ended, ended);
        let name = &ended.info.lock_name;
        self.queues.wake(&Line::Lock(name.clone()));
        if let Some((set, _)) = split_slot(name) {
            self.queues.wake(&Line::Slots(set.to_owned()));
        }
    }

    fn board(&self) -> MutexGuard<'_, HashMap<LockId, Seen>> {
        lock(&self.board)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Decides when to list the directory.
#[derive(Default)]
struct Follower {
    /// When names last changed, by the file server's clock, and when we first saw that.
    changed: Option<(SystemTime, Instant)>,
    not_before: Option<Instant>,
}

impl Follower {
    /// Whether names have changed, or may have within the resolution of the directory's time stamp.
    fn is_due(&mut self, changed: SystemTime) -> bool {
        let now = Instant::now();
        let seen = match self.changed {
            Some((last, seen)) if last == changed => seen,
            _ => now,
        };
        self.changed = Some((changed, seen));
        let is_settled = now.duration_since(seen) > RESOLUTION;
        !is_settled && self.not_before.is_none_or(|not_before| now >= not_before)
    }

    /// Limits the listing of large directories to a fifth of the time.
    fn looked(&mut self, took: Duration) {
        self.not_before = Some(Instant::now() + took * 4);
    }
}

impl Seen {
    fn is_watched(&self, now: Instant) -> bool {
        self.watched_until.is_some_and(|until| now < until)
    }
}
