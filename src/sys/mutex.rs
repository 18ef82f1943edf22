//! A mutex that may be held during requests to the file server.
//!
//! In production it is the standard library's. In tests all simulated processes share one thread,
//! so a process that waits for another's request must yield the thread to the simulator's
//! scheduler.

use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
pub(crate) struct RequestMutex<T>(Mutex<T>);

impl<T> RequestMutex<T> {
    pub(crate) fn new(value: T) -> RequestMutex<T> {
        RequestMutex(Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        #[cfg(test)]
        while self.is_contended() && contention::wait() {}
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn is_contended(&self) -> bool {
        matches!(self.0.try_lock(), Err(std::sync::TryLockError::WouldBlock))
    }
}

/// How a simulated process waits while another holds the mutex.
#[cfg(test)]
pub(crate) mod contention {
    use std::cell::RefCell;
    use std::rc::Rc;

    type Wait = Rc<dyn Fn()>;

    thread_local! {
        static WAIT: RefCell<Option<Wait>> = const { RefCell::new(None) };
    }

    /// From now on this thread waits by calling `wait`, which returns when another try is
    /// worthwhile.
    pub(crate) fn wait_by(wait: impl Fn() + 'static) {
        WAIT.set(Some(Rc::new(wait)));
    }

    /// Returns whether it has waited. On a thread without a scheduler the mutex itself blocks.
    pub(super) fn wait() -> bool {
        let wait = WAIT.with_borrow(Clone::clone);
        wait.inspect(|wait| wait()).is_some()
    }
}
