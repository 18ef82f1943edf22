//! A handle's memory of its last tenure, since it can have only one at a time.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::error::Error;
use crate::protocol::tenure::Tenure;

/// The last tenure of a handle, as long as it exists.
#[derive(Debug, Default)]
pub(crate) struct CurrentTenure(Mutex<Weak<Tenure>>);

impl CurrentTenure {
    pub(crate) fn begin(&self, tenure: Tenure) -> Arc<Tenure> {
        let tenure = Arc::new(tenure);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&tenure);
        tenure
    }

    fn get(&self) -> Option<Arc<Tenure>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    /// The tenure, if it has not ended.
    pub(crate) fn held(&self) -> Option<Arc<Tenure>> {
        self.get().filter(|tenure| tenure.is_held())
    }

    /// Makes sure that the last tenure has ended: otherwise the handle would wait for itself.
    pub(crate) fn must_be_none(&self, lock: &Path) -> Result<(), Error> {
        match self.get() {
            Some(tenure) if tenure.is_held() => Err(Error::AlreadyLocked { path: lock.into() }),
            Some(abandoned) => {
                abandoned.close(); // another thread is releasing it, or it is yet to be released
                Ok(())
            }
            None => Ok(()),
        }
    }
}
