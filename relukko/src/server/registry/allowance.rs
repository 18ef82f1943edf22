//! How many locks a key may have at once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::server::store::{StoreError, Wanted};

/// How many locks are being created, by the names of the keys that have a limit.
#[derive(Debug, Default)]
pub(super) struct Creating(Mutex<HashMap<String, usize>>);

/// Leave to create one lock.
#[must_use = "the lock counts as being created until this is dropped"]
pub(super) struct Allowed<'a> {
    of: Option<(&'a Creating, String)>,
}

impl Allowed<'_> {
    /// The lock exists. From the moment at which it is noted it no longer counts as being created.
    pub(super) fn used(mut self, note: impl FnOnce()) {
        match self.of.take() {
            None => note(),
            Some((creating, key)) => creating.end(&key, note),
        }
    }
}

impl Drop for Allowed<'_> {
    fn drop(&mut self) {
        if let Some((creating, key)) = &self.of {
            creating.end(key, || {});
        }
    }
}

impl Creating {
    /// Fails if the client's key has as many locks as it may have: those that are `held`, and those that
    /// are being created.
    pub(super) fn allow(
        &self,
        wanted: &Wanted,
        held: impl FnOnce(&str) -> usize,
    ) -> Result<Allowed<'_>, StoreError> {
        let (Some(key), Some(most)) = (&wanted.key, wanted.most) else {
            return Ok(Allowed { of: None });
        };
        let mut creating = self.numbers();
        let being_created = creating.entry(key.clone()).or_default();
        if held(key) + *being_created >= most {
            return Err(StoreError::TooMany { key: key.clone(), most });
        }
        *being_created += 1;
        Ok(Allowed { of: Some((self, key.clone())) })
    }

    fn end(&self, key: &str, note: impl FnOnce()) {
        let mut creating = self.numbers();
        note();
        if let Some(number) = creating.get_mut(key) {
            *number -= 1;
        }
    }

    fn numbers(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
