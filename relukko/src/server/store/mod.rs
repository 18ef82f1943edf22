//! The store: a directory of lock files, which is the only state. A server remembers only what
//! other servers also find there.
//!
//! A lock of ours is a lock file whose claim has the lock's id for a host name, so that link(2),
//! which takes the lock, also identifies its record. The record is written before that. The lock
//! file's lease ends with the grace period, so that other programs respect the lock for as long as
//! the server does; the lease only ever moves ahead, and the servers go by the record. A server
//! that is killed leaves either a lock that is held, or a record without effect.

mod change;
mod clock;
mod durable;
mod error;
mod handles;
mod held_locks;
mod listing;
mod names;
mod records;
mod rw_lock;
mod tokens;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use linklock::{Holder, Life, Lock, Obstacle, StalePolicy};

use self::clock::FileClock;
use self::durable::{OwnSyncs, SharedSync};
pub(crate) use self::error::StoreError;
use self::handles::Handles;
use self::held_locks::{HeldLock, HeldLocks};
use self::names::Identity;
pub(crate) use self::names::{MOST_SLOTS, slot_name, split_slot};
use self::records::Records;
pub(crate) use self::records::{Record, Tenure, Terms};
use self::tokens::Tokens;
use crate::info::{Access, LockId, LockInfo};
use crate::server::secret::Digest;

/// The longest lease to write, within the limit of the library. A lock that expires later is
/// extended well before such a lease ends.
const LONGEST_LEASE: Duration = Duration::from_secs(9 * 365 * 86_400);
/// How long a writer keeps the lock file from its last look at the readers that are in.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often to look at a lock whose record is missing, because it has just ended.
const LOOKS: usize = 3;
/// How much longer than needed a lease is made: more than the difference of two clock readings.
const LEEWAY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    lifetime: Duration,
    grace: Duration,
    records: Records,
    tokens: Tokens,
    held_locks: HeldLocks,
    clock: FileClock,
    /// For the locks, and for the turns to change their records.
    handles: Handles,
    turns: Handles,
    own_syncs: OwnSyncs,
    directories: SharedSync,
}

/// A lock that a client asks for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) lock_name: String,
    /// How many slots its set has, for a slot.
    pub(crate) slots: Option<u32>,
    /// To read or to write, or neither: then readers are not asked about.
    pub(crate) access: Option<Access>,
    pub(crate) creator: Option<String>,
    pub(crate) ip: Option<String>,
    /// The name of the client's key.
    pub(crate) key: Option<String>,
    /// How many locks may be held at once that were created with that key.
    pub(crate) most: Option<usize>,
    /// For a lock of `/v2/`.
    pub(crate) terms: Option<Terms>,
}

impl Wanted {
    /// The lock file to take.
    fn file(&self) -> Result<String, StoreError> {
        Ok(names::file_of(&self.lock_name, records::reader(self.access, self.secret()))?)
    }

    /// That of the client, for a lock of `/v2/`.
    pub(crate) fn secret(&self) -> Option<&Digest> {
        self.terms.as_ref().map(|terms| &terms.secret)
    }
}

/// A lock that is held.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) file: String,
    pub(crate) record: Record,
    pub(crate) identity: Identity,
    holder: Holder,
}

impl Found {
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self.identity, Identity::Ours(_))
    }
}

impl Store {
    /// `lifetime`: how long until a new lock expires; `grace`: how long it stays held after that.
    pub(crate) fn open(
        dir: &Path,
        lifetime: Duration,
        grace: Duration,
    ) -> Result<Store, StoreError> {
        let dir = fs::canonicalize(dir)?;
        let records = Records::open(&dir)?;
        let clock = FileClock::open(records.dir())?;
        let (tokens, held_locks) = (Tokens::new(records.dir()), HeldLocks::default());
        let (handles, turns) = (Handles::of(&dir), Handles::of(records.dir()));
        let (own_syncs, directories) = (OwnSyncs::default(), SharedSync::default());
        Ok(Store {
            dir,
            lifetime,
            grace,
            records,
            tokens,
            held_locks,
            clock,
            handles,
            turns,
            own_syncs,
            directories,
        })
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// Whether locks can be created, extended and deleted: the directory exists and is writable.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.records.probe()
    }

    /// Takes a lock. The returned lock stays held whatever happens to this process.
    pub(crate) fn create(&self, wanted: Wanted) -> Result<(String, Record), StoreError> {
        match wanted.access {
            None => self.create_alone(wanted),
            Some(Access::Read) => self.enter(&wanted),
            Some(Access::Write) => self.exclude(&wanted),
        }
    }

    /// Takes a lock that nobody else holds.
    fn create_alone(&self, wanted: Wanted) -> Result<(String, Record), StoreError> {
        let (file, mut record, held) = self.begin(wanted)?;
        let completed = self.complete(&file, &mut record, &held);
        if let Err(error) = completed {
            let _ = self.end(&file, Identity::Ours(record.info.id), |_| true); // otherwise it ends when it expires
            return Err(error);
        }
        Ok((file, record))
    }

    /// Takes the lock file.
    fn begin(&self, wanted: Wanted) -> Result<(String, Record, Arc<HeldLock>), StoreError> {
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
                Ok((file, record, held))
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
    fn make_way(&self, file: &str, lock_name: &str) -> Result<(), StoreError> {
        match self.look_as_contender(file)? {
            Some(found) => self.succeed(&found, lock_name),
            None => Ok(()),
        }
    }

    /// The error for a lock file that could not be taken.
    fn held_by_now(
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

    /// Completes the record of a lock that was just taken, and makes all of it durable.
    fn complete(&self, file: &str, record: &mut Record, held: &HeldLock) -> Result<(), StoreError> {
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
        match self.lock(&found.file)?.try_lock() {
            Ok(guard) => {
                guard.unlock_if_held()?;
                Ok(true)
            }
            Err(error) if error.is_contention() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

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
    fn look_by(&self, lock: &Lock, file: &str) -> Result<Option<Found>, StoreError> {
        self.look(lock, file).or_else(unless_in_the_way)
    }

    /// To a client that wants the lock, a file that cannot be read is a lock that is held.
    fn look_as_contender(&self, file: &str) -> Result<Option<Found>, StoreError> {
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
    fn lock(&self, file: &str) -> Result<Lock, StoreError> {
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
fn held(found: Found, lock_name: &str) -> StoreError {
    let mut record = found.record;
    lock_name.clone_into(&mut record.info.lock_name);
    let message = match &record.info.creator {
        Some(creator) => format!("already held by {creator}"),
        None => "already held (creator not given)".to_owned(),
    };
    StoreError::Held { by: Some((found.file, Box::new(record))), message }
}
