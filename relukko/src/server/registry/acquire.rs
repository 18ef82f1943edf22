//! Acquires locks for clients: the lock with a name, or any slot of a set.

use std::time::{Duration, Instant};

use super::Registry;
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
        if let Some(own) = self.confirm(own)? {
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
            let own = self.look_at_slots(wanted, of)?.own;
            return self.confirm(own);
        }
        if wanted.secret().is_none() {
            return Ok(None);
        }
        let held = self.store.held_for(wanted)?;
        self.confirm(held.filter(|held| self.is_own(wanted, held)).map(|held| held.record))
    }

    /// While the record is not complete, the lock is nobody's, or a writer waits for its readers.
    fn is_own(&self, wanted: &Wanted, held: &Found) -> bool {
        let Found { record, .. } = held;
        let is_of = |secret| {
            let is_kind = record.slots.is_some() == wanted.slots.is_some();
            record.is_of(secret) && is_kind && record.access == wanted.access
        };
        let is_complete = record.is_complete();
        is_complete && wanted.secret().is_some_and(is_of) && record.info.expires_at > self.now()
    }

    /// Makes sure that a client's own lock is not withdrawn: the request that created it may have no client any
    /// more; and that it is durable. `None` if it has just been withdrawn.
    fn confirm(&self, own: Option<Record>) -> Result<Option<Record>, StoreError> {
        let Some(own) = own else { return Ok(None) };
        let confirmed = if own.tenure.as_ref().is_some_and(|tenure| tenure.is_confirmed) {
            self.store.confirm(&own).map(|()| own)
        } else {
            self.update(own.info.id, |record, _| {
                if let Some(tenure) = &mut record.tenure {
                    tenure.is_confirmed = true;
                }
                Ok(())
            })
        };
        match confirmed {
            Err(StoreError::NotFound(_)) => Ok(None),
            confirmed => confirmed.map(Some),
        }
    }

    /// Looks at all slots: the client's own may be any. Those that are held are watched from now on.
    fn look_at_slots(&self, wanted: &Wanted, of: u32) -> Result<Slots, StoreError> {
        let mut numbers: Vec<_> = (0..of).collect();
        let start = uuid::Uuid::new_v4().as_u128() % u128::from(of); // so that contenders spread
        numbers.rotate_left(usize::try_from(start).unwrap_or_default());
        let (mut free, mut held) = (Vec::new(), Vec::new());
        for number in numbers {
            let name = slot_name(&wanted.lock_name, number);
            match self.store.held(&name) {
                Ok(Some(found)) if self.is_own(wanted, &found) => {
                    return Ok(Slots { own: Some(found.record), others: Vec::new() });
                }
                Ok(Some(found)) => {
                    self.watch_for_clients(&found.file, &found.record);
                    held.push(name);
                }
                Ok(None) => free.push(name),
                Err(StoreError::Unreadable(_)) => held.push(name), // another program's
                Err(error) => return Err(error),
            }
        }
        free.append(&mut held);
        Ok(Slots { own: None, others: free })
    }

    fn create(&self, wanted: Wanted) -> Result<Record, StoreError> {
        let allowed = self.creating.allow(&wanted, |key| self.held_with(key))?;
        match self.store.create(wanted) {
            Ok((file, record)) => {
                allowed.used(|| self.note(file, &record, None));
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

    /// Gives up the lock file that is kept for a client, a writer that does not wait for readers.
    pub(crate) fn give_up(&self, wanted: &Wanted) -> Result<(), StoreError> {
        match self.store.kept_for(wanted)? {
            Some(kept) => self.withdraw(&kept.record),
            None => Ok(()),
        }
    }

    /// How many locks are held that were created with the key, as far as this server has seen them.
    fn held_with(&self, key: &str) -> usize {
        let now = self.now();
        let board = self.board();
        let records = board.values().map(|seen| &seen.record);
        let held = records.filter(|it| it.key.as_deref() == Some(key) && it.info.expires_at > now);
        held.count()
    }

    fn watch_for_clients(&self, file: &str, held: &Record) {
        self.note(file.to_owned(), held, Some(Instant::now() + INTEREST));
    }

    /// Deletes a lock that no client has heard of.
    pub(crate) fn withdraw(&self, created: &Record) -> Result<(), StoreError> {
        if self.store.withdraw(created)? {
            self.forget(created.info.id);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::server::metrics::Metrics;
    use crate::server::secret::Digest;
    use crate::server::store::{Store, Terms};

    const LIFETIME: Duration = Duration::from_secs(600);

    fn registry(dir: &Path) -> Registry {
        Registry::new(Store::open(dir, LIFETIME, LIFETIME).unwrap(), Metrics::new())
    }

    fn wanted(lock_name: &str, slots: Option<u32>) -> Wanted {
        let secret = Digest::of("a secret of a test");
        let terms = Some(Terms { secret, lifetime: LIFETIME, note: None });
        let lock_name = lock_name.to_owned();
        Wanted {
            lock_name,
            slots,
            access: None,
            creator: None,
            ip: None,
            key: None,
            most: None,
            terms,
        }
    }

    fn create(registry: &Registry, wanted: &Wanted) -> Record {
        match registry.acquire(wanted).unwrap() {
            Acquired::New(record) => record,
            Acquired::Own(record) => panic!("{record:?} is there already"),
        }
    }

    #[test]
    fn a_lock_that_its_client_has_asked_for_again_is_not_withdrawn() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (registry(dir.path()), registry(dir.path()));
        for slots in [None, Some(2)] {
            let wanted = wanted("x", slots);
            let created = create(&one, &wanted);
            let own = match two.acquire(&wanted).unwrap() {
                Acquired::Own(own) => own,
                Acquired::New(other) => panic!("{other:?} beside {created:?}"),
            };
            assert_eq!(own.info.id, created.info.id);
            one.withdraw(&created).unwrap(); // the first request was without a client
            assert_eq!(two.get(own.info.id).unwrap(), own);
        }
    }

    #[test]
    fn a_lock_that_no_client_has_heard_of_is_withdrawn() {
        let dir = tempfile::tempdir().unwrap();
        let registry = registry(dir.path());
        let wanted = wanted("x", None);
        let created = create(&registry, &wanted);
        registry.withdraw(&created).unwrap();
        assert!(matches!(registry.get(created.info.id), Err(StoreError::NotFound(_))));
        assert_ne!(create(&registry, &wanted).info.id, created.info.id);
    }
}
