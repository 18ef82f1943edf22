//! Waits that let other tasks run.

use std::time::Duration;

use ::tokio::sync::watch;
use ::tokio::time::timeout;

use crate::client::transport::Wake;

pub(in crate::client) struct Count(watch::Sender<u64>);

impl Default for Count {
    fn default() -> Count {
        Count(watch::channel(0).0)
    }
}

impl Wake for Count {
    fn wake(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    fn count(&self) -> u64 {
        *self.0.borrow()
    }

    async fn wait_past(&self, seen: u64, at_most: Duration) {
        let mut count = self.0.subscribe();
        let _ = timeout(at_most, count.wait_for(|count| *count > seen)).await; // or the time is up
    }
}
