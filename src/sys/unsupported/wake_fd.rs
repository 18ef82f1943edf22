//! Where nothing can wake a waiter, it polls.

use std::convert::Infallible;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

/// A descriptor to listen at: there is none.
#[derive(Clone, Debug)]
pub(crate) struct WakeFd {
    nothing: Infallible,
}

impl WakeFd {
    pub(crate) fn wait(&self, _time: Duration) -> bool {
        match self.nothing {}
    }
}

impl AsRawFd for WakeFd {
    fn as_raw_fd(&self) -> RawFd {
        match self.nothing {}
    }
}
