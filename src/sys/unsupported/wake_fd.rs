//! On systems where nothing can wake a waiter, it polls.

use std::convert::Infallible;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

/// A descriptor that wakes a waiter; never exists.
#[derive(Clone, Debug)]
pub(crate) struct WakeFd {
    nothing: Infallible,
}

impl WakeFd {
    pub(crate) fn wait(_these: &[WakeFd], _time: Duration) -> Option<usize> {
        None
    }
}

impl AsRawFd for WakeFd {
    fn as_raw_fd(&self) -> RawFd {
        match self.nothing {}
    }
}
