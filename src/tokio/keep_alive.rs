//! Keep-alive for tasks. It is done by the threads that keep all locks of the process alive, and
//! not by the runtime, whose pool may be full of blocking work, and whose tasks may wait for tasks
//! that block a worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;

use crate::error::Error;
use crate::guard::LockGuard;

/// Reports the loss of a lock that is [kept alive](super::LockGuard::keep_alive):
/// [`linklock::KeepAlive`](crate::KeepAlive), but it is awaited. Dropping this does not end the
/// keep-alive.
#[derive(Debug)]
pub struct KeepAlive {
    /// `None` once the loss has been reported.
    lost: Option<oneshot::Receiver<Error>>,
    is_lost: Arc<AtomicBool>,
}

impl KeepAlive {
    pub(super) fn start(guard: &LockGuard) -> KeepAlive {
        let is_lost = Arc::<AtomicBool>::default();
        let (tell, lost) = oneshot::channel();
        let loses = is_lost.clone();
        let on_lost = move |why| {
            loses.store(true, Ordering::Release);
            let _ = tell.send(why); // the receiver may be gone
        };
        let lost = match guard.keep_alive(on_lost) {
            Ok(()) => lost,
            Err(no_thread) => {
                let (tell, lost) = oneshot::channel();
                let _ = tell.send(no_thread);
                lost
            }
        };
        KeepAlive { lost: Some(lost), is_lost }
    }

    /// Whether the lock was lost.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Acquire)
    }

    /// Waits until the lock is lost, and returns the reason, once: [`Error::Lost`], or
    /// [`Error::Expired`] with the error that prevented the refresh. The work should stop at once.
    /// Returns [`Error::Io`] immediately if no thread could be started. Returns `None` if the lock
    /// was not lost: the guard is gone, or `keep_alive` was called again.
    ///
    /// In `tokio::select!`, the branch for it is `Some(why) = kept.lost() => ...`.
    ///
    /// # If it is dropped
    ///
    /// Nothing is missed: this may be called again.
    pub async fn lost(&mut self) -> Option<Error> {
        let why = self.lost.as_mut()?.await.ok();
        self.lost = None;
        why
    }
}
