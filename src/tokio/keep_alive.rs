//! Keep-alive for tasks. It is done by the threads that keep all locks of the process alive, and
//! not by the runtime, whose pool may be full of blocking work, and whose tasks may wait for tasks
//! that block a worker.

use tokio::sync::oneshot;

use crate::error::Error;
use crate::guard::LockGuard;

/// Reports the loss of a lock that is [kept alive](super::LockGuard::keep_alive). Dropping this
/// does not end the keep-alive.
#[derive(Debug)]
pub struct KeepAlive {
    /// `None` once the loss has been reported.
    lost: Option<oneshot::Receiver<Error>>,
}

impl KeepAlive {
    pub(super) fn start(guard: &LockGuard) -> KeepAlive {
        let (tell, lost) = oneshot::channel();
        let on_lost = |why| {
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
        KeepAlive { lost: Some(lost) }
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
