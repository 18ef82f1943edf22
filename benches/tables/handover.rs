//! From unlock to the return of the one who waits for it.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use linklock_bench::figures::percentile;

use crate::crew::{Peer, Worker, fresh};

/// How long that takes, in nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Handover {
    pub(crate) name: &'static str,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// By the time that the lock was held, the waiter must be waiting.
const SETTLED: Duration = Duration::from_millis(10);

pub(crate) fn measure(peer: &Peer, parent: &Path, times: usize) -> Handover {
    let dir = fresh(parent);
    let path = dir.path().join("it.lock");
    let mut pair = [(); 2].map(|()| Worker::start(peer, &path).expect("it has started before"));
    let mut latencies = Vec::new();
    for _ in 0..times {
        let [holder, waiter] = &mut pair;
        holder.ask("lock");
        waiter.tell("lock");
        // Held for any time up to a whole pause, so that a poller is not always met at the same one.
        let spread = peer.polls.unwrap_or(SETTLED);
        sleep(SETTLED + spread.mul_f64(rand::random::<f64>()));
        let released = holder.ask("unlock")[0];
        let acquired = waiter.answer()[0];
        waiter.ask("unlock");
        #[allow(clippy::cast_precision_loss)]
        latencies.push(acquired.saturating_sub(released) as f64);
        pair.reverse();
    }
    let [p50, p99] = [0.5, 0.99].map(|share| percentile(&latencies, share));
    Handover { name: peer.name, p50, p99 }
}
