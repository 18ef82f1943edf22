//! Keep-alive: by the threads that keep all locks of the process alive, not by the runtime's. Its pool
//! may be full of what blocks, and its tasks wait for those that block a worker.

use tokio::sync::oneshot;

use crate::error::Error;
use crate::guard::LockGuard;

/// A lock that is [kept alive](super::LockGuard::keep_alive): says if it is lost. Dropping this
/// changes nothing.
#[derive(Debug)]
pub struct KeepAlive {
    /// `None` once all is said.
    lost: Option<oneshot::Receiver<Error>>,
}

impl KeepAlive {
    pub(super) fn start(guard: &LockGuard) -> KeepAlive {
        let (tell, lost) = oneshot::channel();
        let on_lost = |why| {
            let _ = tell.send(why); // if anybody wants to know
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

    /// Waits until the lock is lost, and says why, once: [`Error::Lost`], or [`Error::Expired`] with
    /// what kept it from being refreshed. The work should stop at once. [`Error::Io`], at once, if
    /// there was no thread to keep it alive. `None` if it never was lost: the guard is gone, or was
    /// asked again to keep the lock alive.
    ///
    /// In `tokio::select!`, `Some(why) = kept.lost() => ...` is the branch for it.
    ///
    /// # If it is dropped
    ///
    /// Nothing is missed: it may be asked for again.
    pub async fn lost(&mut self) -> Option<Error> {
        let why = self.lost.as_mut()?.await.ok();
        self.lost = None;
        why
    }
}
