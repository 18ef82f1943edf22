//! Stores and locks for the unit tests.

use std::path::Path;
use std::time::Duration;

use super::{Record, Store, StoreError, Terms, Wanted};
use crate::info::Access;
use crate::server::secret::Digest;

pub(super) const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn open(dir: &Path) -> Store {
    Store::open(dir, HOUR, Duration::ZERO).unwrap()
}

pub(super) fn create(store: &Store) -> Result<Record, StoreError> {
    create_for(store, Some(terms("a secret of a test")))
}

pub(super) fn terms(secret: &str) -> Terms {
    Terms { secret: Digest::of(secret), lifetime: HOUR, note: None }
}

pub(super) fn create_for(store: &Store, terms: Option<Terms>) -> Result<Record, StoreError> {
    Ok(store.create(wanted(None, terms))?.1)
}

pub(super) fn wanted(access: Option<Access>, terms: Option<Terms>) -> Wanted {
    let lock_name = "x".to_owned();
    let (creator, ip, key) = (None, None, None);
    Wanted { lock_name, slots: None, access, creator, ip, key, most: None, terms }
}
