//! Parking: how a contender spends its pauses.
//!
//! The protocol is written once, as a future that waits for nothing but its pauses. In the blocking
//! API the pauses block the calling thread, and the future is ready when it is first polled. With
//! the feature `tokio` nothing blocks: see `tokio/acquire.rs`.

use std::future::Future;
use std::pin::pin;
use std::task::{self, Poll, Waker};
use std::time::Duration;

use crate::model::context::Context;
use crate::sys::wake_fd::WakeFd;

/// A way of spending pauses.
pub(crate) trait Park: Sync {
    /// Waits until one of the descriptors may have something to report, or for `time`. Returns the
    /// index of one that may have.
    fn park(
        &self,
        context: &Context,
        wake_fds: Vec<WakeFd>,
        time: Duration,
    ) -> impl Future<Output = Option<usize>> + Send;
}

/// Blocks the calling thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreadPark;

impl Park for ThreadPark {
    async fn park(
        &self,
        context: &Context,
        wake_fds: Vec<WakeFd>,
        time: Duration,
    ) -> Option<usize> {
        if wake_fds.is_empty() {
            context.machine.clock.sleep(time);
            return None;
        }
        WakeFd::wait(&wake_fds, time)
    }
}

/// Runs a future whose pauses are all spent by [`ThreadPark`].
pub(crate) fn run<T>(something: impl Future<Output = T>) -> T {
    match pin!(something).poll(&mut task::Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => {
            unreachable!("a future whose pauses block is ready when it is first polled")
        }
    }
}
