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
mod create;
mod durable;
mod end;
mod error;
#[cfg(test)]
mod fixtures;
mod handles;
mod held_locks;
mod listing;
mod look;
mod names;
mod records;
mod rw_lock;
mod tokens;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use linklock::Holder;

use self::clock::FileClock;
use self::durable::{OwnSyncs, SharedSync};
pub(crate) use self::error::StoreError;
use self::handles::Handles;
use self::held_locks::HeldLocks;
use self::names::Identity;
pub(crate) use self::names::{MOST_SLOTS, slot_name, split_slot};
use self::records::Records;
pub(crate) use self::records::{Record, Terms};
use self::tokens::Tokens;
use crate::info::Access;
use crate::server::secret::Digest;

/// The longest lease to write, within the limit of the library. A lock that expires later is
/// extended well before such a lease ends.
const LONGEST_LEASE: Duration = Duration::from_secs(9 * 365 * 86_400);
/// How long a writer keeps the lock file from its last look at the readers that are in.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much longer than needed a lease is made: more than the difference of two clock readings.
const LEEWAY: Duration = Duration::from_secs(1);

/// How often to try what another process may be doing meanwhile, which takes a few file operations.
const PAUSE: Duration = Duration::from_millis(20);

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
}
