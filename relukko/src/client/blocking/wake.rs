//! Waits that block the thread.

use std::pin::pin;
use std::sync::{Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::client::transport::Wake;

/// Runs a future whose every wait blocks the thread, so that a single poll completes it.
pub(super) fn run<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => unreachable!("every wait blocks the thread"),
    }
}

#[derive(Default)]
pub(in crate::client) struct Count {
    count: Mutex<u64>,
    changed: Condvar,
}

impl Wake for Count {
    fn wake(&self) {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
    }

    fn count(&self) -> u64 {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wait_past(&self, seen: u64, at_most: Duration) {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_timeout_while(count, at_most, |count| *count <= seen));
    }
}
