//! What a kept-alive lock reports, for code that asks or waits instead of being called.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::Error;

/// Reports the loss of a lock that is [kept alive](crate::LockGuard::kept_alive). Dropping this
/// does not end the keep-alive. Several threads may use it at once.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("report.lock");
/// let guard = linklock::Lock::new(&path)?.lock()?;
/// let kept = guard.kept_alive()?;
/// for part in 1..=3 {
///     if let Some(why) = kept.lost_within(std::time::Duration::ZERO) {
///         return Err(why); // stop the work
///     }
///     // ... a part of the work ...
/// }
/// guard.unlock()?;
/// assert!(!kept.is_lost());
/// # Ok::<(), linklock::Error>(())
/// ```
#[derive(Debug)]
pub struct KeepAlive(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    report: Mutex<Report>,
    changed: Condvar,
}

#[derive(Debug)]
enum Report {
    Kept,
    /// With the reason, until it has been returned.
    Lost(Option<Error>),
    /// It was released, or something else reports its loss.
    Ended,
}

impl KeepAlive {
    /// The report, and the callback that makes it. If that is dropped, nothing was lost.
    pub(crate) fn begin() -> (KeepAlive, impl FnOnce(Error) + Send + 'static) {
        let report = Mutex::new(Report::Kept);
        let shared = Arc::new(Shared { report, changed: Condvar::new() });
        let reporter = Reporter(shared.clone());
        (KeepAlive(shared), move |why| reporter.report(Report::Lost(Some(why))))
    }

    /// Whether the lock was lost. Does not block.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(*self.0.lock(), Report::Lost(_))
    }

    /// Blocks until the lock is lost, and returns the reason, once: [`Error::Lost`], or
    /// [`Error::Expired`] with the error that prevented the refresh. The work should stop at once.
    /// Returns `None` if the lock was not lost: the guard is gone, or its loss is reported
    /// elsewhere, by a later call.
    #[must_use]
    pub fn lost(&self) -> Option<Error> {
        let kept = |report: &mut Report| matches!(report, Report::Kept);
        let waited = self.0.changed.wait_while(self.0.lock(), kept);
        waited.unwrap_or_else(PoisonError::into_inner).take()
    }

    /// As [`lost`](Self::lost), but blocks for `time` at most: `None` also if the lock was not lost
    /// by then.
    #[must_use]
    pub fn lost_within(&self, time: Duration) -> Option<Error> {
        let kept = |report: &mut Report| matches!(report, Report::Kept);
        let waited = self.0.changed.wait_timeout_while(self.0.lock(), time, kept);
        waited.unwrap_or_else(PoisonError::into_inner).0.take()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Report {
    fn take(&mut self) -> Option<Error> {
        match self {
            Report::Lost(why) => why.take(),
            Report::Kept | Report::Ended => None,
        }
    }
}

/// The end of the callback.
struct Reporter(Arc<Shared>);

impl Reporter {
    fn report(&self, news: Report) {
        let mut report = self.0.lock();
        if matches!(*report, Report::Kept) {
            *report = news;
            self.0.changed.notify_all();
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.report(Report::Ended);
    }
}
