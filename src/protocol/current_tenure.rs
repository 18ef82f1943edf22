//! A handle's memory of its last tenure, and of the thread that may not wait for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A tenure, as far as its handle is concerned.
pub(crate) trait Occupancy {
    /// Whether this process began it, and has not released it.
    fn is_held(&self) -> bool;
    /// Makes sure that its release is done.
    fn close(&self);
}

/// The last tenure of a handle, as long as it exists.
#[derive(Debug)]
pub(crate) struct CurrentTenure<T>(Mutex<Current<T>>);

#[derive(Debug)]
struct Current<T> {
    tenure: Weak<T>,
    /// The thread that began it; `None` for a task, which has no thread of its own.
    thread: Option<u64>,
}

impl<T> Default for CurrentTenure<T> {
    fn default() -> CurrentTenure<T> {
        CurrentTenure(Mutex::new(Current { tenure: Weak::new(), thread: None }))
    }
}

impl<T: Occupancy> CurrentTenure<T> {
    pub(crate) fn begin(&self, tenure: T, thread: Option<u64>) -> Arc<T> {
        let tenure = Arc::new(tenure);
        *self.current() = Current { tenure: Arc::downgrade(&tenure), thread };
        tenure
    }

    fn current(&self) -> MutexGuard<'_, Current<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self) -> (Option<Arc<T>>, Option<u64>) {
        let current = self.current();
        (current.tenure.upgrade(), current.thread)
    }

    /// The tenure, if it has not ended.
    pub(crate) fn held(&self) -> Option<Arc<T>> {
        self.get().0.filter(|tenure| tenure.is_held())
    }

    /// Whether this thread would wait for itself: it holds the lock.
    pub(crate) fn is_held_by(&self, thread: u64) -> bool {
        let (tenure, holder) = self.get();
        holder == Some(thread) && tenure.is_some_and(|tenure| tenure.is_held())
    }

    /// Completes the release of the last tenure, if another thread is releasing it, or if it is yet
    /// to be released: the handle's own guard that was dropped is in nobody's way.
    pub(crate) fn finish_release(&self) {
        if let (Some(tenure), _) = self.get() {
            if !tenure.is_held() {
                tenure.close();
            }
        }
    }
}
