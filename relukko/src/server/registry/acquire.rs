//! Acquires locks for clients: the lock with a name, or any slot of a set.

use std::time::{Duration, Instant};

use super::Registry;
use crate::info::LockId;
use crate::server::store::{Found, Record, StoreError, Wanted, slot_name};

/// How long a lock is watched after a client last requested it.
const INTEREST: Duration = Duration::from_secs(3600);

/// A lock that a client has got.
pub(crate) enum Acquired {
    New(Record),
    /// The client has it since an earlier request.
    Own(Record),
}

impl Acquired {
    pub(crate) fn record(&self) -> &Record {
        match self {
            Acquired::New(record) | Acquired::Own(record) => record,
        }
    }
}

/// The slots of a set, as they were found.
struct Slots {
    own: Option<Record>,
    /// The names of the others, those that look free first.
    others: Vec<String>,
}

impl Registry {
    /// Creates a lock, unless the client has it already: it knows the secret.
    pub(crate) fn acquire(&self, wanted: &Wanted) -> Result<Acquired, StoreError> {
        let Some(of) = wanted.slots else {
            return match self.own(wanted)? {
                Some(own) => Ok(Acquired::Own(own)),
                None => self.create(wanted.clone()).map(Acquired::New),
            };
        };
        let Slots { own, others } = self.look_at_slots(wanted, of)?;
        if let Some(own) = own {
            return Ok(Acquired::Own(own));
        }
        for lock_name in others {
            match self.create(Wanted { lock_name, ..wanted.clone() }) {
                Err(StoreError::Held { .. }) => {}
                created => return created.map(Acquired::New),
            }
        }
        let message = format!("all {of} slots of this set are held");
        Err(StoreError::Held { by: None, message })
    }

    /// The lock or the slot, if it is held by the client that knows the secret, and its lease runs.
    pub(crate) fn own(&self, wanted: &Wanted) -> Result<Option<Record>, StoreError> {
        if let Some(of) = wanted.slots {
            return Ok(self.look_at_slots(wanted, of)?.own);
        }
        if wanted.secret().is_none() {
            return Ok(None);
        }
        let held = self.store.held(&wanted.lock_name)?;
        Ok(held.filter(|held| self.is_own(wanted, held)).map(|held| held.record))
    }

    fn is_own(&self, wanted: &Wanted, held: &Found) -> bool {
        let Found { record, .. } = held;
        let is_of =
            |secret| record.is_of(secret) && record.slots.is_some() == wanted.slots.is_some();
        wanted.secret().is_some_and(is_of) && record.info.expires_at > self.now()
    }

    /// Looks at all slots: the client's own may be any. Those that are held are watched from now on.
    fn look_at_slots(&self, wanted: &Wanted, of: u32) -> Result<Slots, StoreError> {
        let mut numbers: Vec<_> = (0..of).collect();
        let start = uuid::Uuid::new_v4().as_u128() % u128::from(of); // so that contenders spread
        numbers.rotate_left(usize::try_from(start).unwrap_or_default());
        let (mut free, mut held) = (Vec::new(), Vec::new());
        for number in numbers {
            let name = slot_name(&wanted.lock_name, number);
            match self.store.held(&name)? {
                Some(found) if self.is_own(wanted, &found) => {
                    return Ok(Slots { own: Some(found.record), others: Vec::new() });
                }
                Some(found) => {
                    self.watch_for_clients(&found.file, &found.record);
                    held.push(name);
                }
                None => free.push(name),
            }
        }
        free.append(&mut held);
        Ok(Slots { own: None, others: free })
    }

    fn create(&self, wanted: Wanted) -> Result<Record, StoreError> {
        match self.store.create(wanted) {
            Ok((file, record)) => {
                self.note(file, &record, None);
                let info = &record.info;
                tracing::info!(id = %info.id, lock = info.lock_name, creator = info.creator, peer = info.ip, key = record.key, "created");
                Ok(record)
            }
            Err(StoreError::Held { by: Some((file, record)), message }) => {
                self.watch_for_clients(&file, &record);
                Err(StoreError::Held { by: Some((file, record)), message })
            }
            Err(error) => Err(error),
        }
    }

    fn watch_for_clients(&self, file: &str, held: &Record) {
        self.note(file.to_owned(), held, Some(Instant::now() + INTEREST));
    }

    /// Deletes a lock that nobody has heard of yet.
    pub(crate) fn withdraw(&self, id: LockId) -> Result<(), StoreError> {
        self.store.delete(id, |_| Ok(()))?;
        self.forget(id);
        Ok(())
    }
}
