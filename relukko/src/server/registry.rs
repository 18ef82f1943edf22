//! The store, and what this server has seen of it: so that it can tell of every lock that ends,
//! whoever has ended it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::extract::ws::Utf8Bytes;
use serde_json::json;
use tokio::sync::broadcast;

use super::metrics::Metrics;
use super::store::{Found, Store, StoreError};
use crate::info::{LockId, LockInfo};

/// How many messages a slow listener may be behind.
const BACKLOG: usize = 1024;
/// For how long a lock is watched after somebody last asked for it.
const INTEREST: Duration = Duration::from_secs(3600);

pub(crate) struct Hub {
    store: Store,
    board: Mutex<HashMap<LockId, Seen>>,
    news: broadcast::Sender<Utf8Bytes>,
    pub(crate) metrics: Metrics,
}

/// A lock that was held when it was last looked at.
struct Seen {
    file: String,
    info: LockInfo,
    /// Somebody waits for it, perhaps.
    watched_until: Option<Instant>,
}

impl Hub {
    pub(crate) fn new(store: Store, metrics: Metrics) -> Hub {
        Hub { store, board: Mutex::default(), news: broadcast::Sender::new(BACKLOG), metrics }
    }

    pub(crate) fn listen(&self) -> broadcast::Receiver<Utf8Bytes> {
        self.news.subscribe()
    }

    pub(crate) fn create(
        &self,
        lock_name: &str,
        creator: Option<String>,
        ip: Option<String>,
    ) -> Result<LockInfo, StoreError> {
        match self.store.create(lock_name, creator, ip) {
            Ok((file, info)) => {
                self.note(file, &info, None);
                tracing::info!(id = %info.id, lock = info.lock_name, "created");
                Ok(info)
            }
            Err(StoreError::Held { by: Some((file, info)), message }) => {
                self.note(file.clone(), &info, Some(Instant::now() + INTEREST));
                Err(StoreError::Held { by: Some((file, info)), message })
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn get(&self, id: LockId) -> Result<LockInfo, StoreError> {
        self.store.get(id)
    }

    pub(crate) fn list(&self) -> Result<Vec<LockInfo>, StoreError> {
        let mut all: Vec<_> = self.store.survey()?.into_iter().map(|found| found.info).collect();
        all.sort_by_key(|lock| (lock.created_at, lock.id));
        Ok(all)
    }

    pub(crate) fn update(
        &self,
        id: LockId,
        change: impl FnOnce(&mut LockInfo, SystemTime) -> Result<(), StoreError>,
    ) -> Result<LockInfo, StoreError> {
        let info = self.store.update(id, change)?;
        if let Some(seen) = self.board().get_mut(&id) {
            seen.info = info.clone();
        }
        Ok(info)
    }

    pub(crate) fn delete(&self, id: LockId) -> Result<LockInfo, StoreError> {
        let info = self.store.delete(id)?;
        self.board().remove(&id);
        self.tell(&[&info]);
        tracing::info!(%id, lock = info.lock_name, "deleted");
        Ok(info)
    }

    /// Looks at everything: ends what has expired, tells of what others have ended, puts right what
    /// a killed server may have left.
    pub(crate) fn sweep(&self) -> Result<(), StoreError> {
        let begun = Instant::now();
        self.store.sample_clock()?;
        let mut held = Vec::new();
        for found in self.store.survey()? {
            let id = found.info.id;
            let is_over = found.is_ours() && self.store.is_over(&found.info);
            if is_over && self.store.expire(&found.file, id)? {
                self.board().remove(&id);
                self.tell(&[&found.info]);
                tracing::info!(%id, lock = found.info.lock_name, "expired");
                continue;
            }
            if let Err(error) = self.store.repair(&found) {
                tracing::warn!(%id, %error, "a lease could not be prolonged");
            }
            held.push(found);
        }
        self.compare(&held)?;
        self.store.tidy(&held)?;
        self.metrics.swept(held.len(), begun.elapsed());
        Ok(())
    }

    /// Tells of the locks that were seen before and are gone.
    fn compare(&self, held: &[Found]) -> Result<(), StoreError> {
        let mut gone: HashMap<_, _> =
            self.board().iter().map(|(id, seen)| (*id, seen.file.clone())).collect();
        for found in held {
            gone.remove(&found.info.id);
            self.note(found.file.clone(), &found.info, None);
        }
        for (id, file) in gone {
            // It may have been created since the survey began.
            if self.store.look_for(&file, id)?.is_none() {
                self.forget(id);
            }
        }
        Ok(())
    }

    /// Looks at the locks that somebody waits for: those that other programs, or other servers,
    /// have ended, are told of at once.
    pub(crate) fn watch(&self) -> Result<(), StoreError> {
        if self.news.receiver_count() == 0 {
            return Ok(());
        }
        let now = Instant::now();
        let watched: Vec<_> = self
            .board()
            .iter()
            .filter(|(_, seen)| seen.is_watched(now))
            .map(|(id, seen)| (*id, seen.file.clone()))
            .collect();
        for (id, file) in watched {
            let ended = match self.store.look_for(&file, id)? {
                Some(found) if found.is_ours() => false,
                Some(found) => self.store.end_foreign_if_stale(&found)?,
                None => true,
            };
            if ended {
                self.forget(id);
            }
        }
        Ok(())
    }

    /// Takes a lock that is gone off the board: whoever does so tells of it.
    fn forget(&self, id: LockId) {
        let seen = self.board().remove(&id);
        if let Some(seen) = seen {
            self.tell(&[&seen.info]);
            tracing::info!(%id, lock = seen.info.lock_name, "ended elsewhere");
        }
    }

    fn note(&self, file: String, info: &LockInfo, watched_until: Option<Instant>) {
        let mut board = self.board();
        let info = info.clone();
        let seen = board.entry(info.id).or_insert(Seen { file, info: info.clone(), watched_until });
        seen.watched_until = watched_until.or(seen.watched_until);
        // Another program's lock has the name that it was asked for by.
        if watched_until.is_some() || seen.watched_until.is_none() {
            seen.info = info;
        }
    }

    fn tell(&self, deleted: &[&LockInfo]) {
        self.metrics.broadcasts.inc();
        let _ = self.news.send(json!({ "deleted": deleted }).to_string().into()); // if anybody listens
    }

    fn board(&self) -> MutexGuard<'_, HashMap<LockId, Seen>> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn is_watched(&self, now: Instant) -> bool {
        self.watched_until.is_some_and(|until| now < until)
    }
}
