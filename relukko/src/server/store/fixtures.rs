//! Stores and locks for the unit tests.

use std::path::Path;
use std::time::Duration;

use super::{Record, Store, StoreError, Terms, Wanted};
use crate::server::secret::Digest;

pub(super) const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn open(dir: &Path) -> Store {
    Store::open(dir, HOUR, Duration::ZERO).unwrap()
}

pub(super) fn create(store: &Store) -> Result<Record, StoreError> {
    let secret = Digest::of("a secret of a test");
    create_for(store, Some(Terms { secret, lifetime: HOUR, note: None }))
}

pub(super) fn create_for(store: &Store, terms: Option<Terms>) -> Result<Record, StoreError> {
    let lock_name = "x".to_owned();
    let (creator, ip, key) = (None, None, None);
    let wanted =
        Wanted { lock_name, slots: None, access: None, creator, ip, key, most: None, terms };
    Ok(store.create(wanted)?.1)
}
