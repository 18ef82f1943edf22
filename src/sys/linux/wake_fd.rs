//! A descriptor that wakes a waiter by becoming readable when there is news.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use super::fd_passing::wait_readable;

/// A descriptor, which stays open as long as a waiter uses it.
#[derive(Clone)]
pub(crate) struct WakeFd(Arc<dyn AsFd + Send + Sync>);

impl WakeFd {
    pub(crate) fn new(descriptor: Arc<dyn AsFd + Send + Sync>) -> WakeFd {
        WakeFd(descriptor)
    }

    /// Blocks until one of these may have news, or for `time`. Returns the index of the first that
    /// may have.
    pub(crate) fn wait(these: &[WakeFd], time: Duration) -> Option<usize> {
        wait_readable(these.iter().map(|it| it.0.as_fd()), time).unwrap_or(Some(0))
    }
}

impl AsRawFd for WakeFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl fmt::Debug for WakeFd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WakeFd").field(&self.as_raw_fd()).finish()
    }
}
