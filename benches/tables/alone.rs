//! Lock + unlock where nobody contends. Each takes its turn in every round, so that whatever else
//! the machine does hits all of them.

use std::path::Path;

use linklock_bench::figures::median;

use crate::crew::{Peer, Worker, fresh};

const TURNS: usize = 100; // in each round

/// What one way takes, in nanoseconds (p50).
#[derive(Clone, Debug)]
pub(crate) struct Alone {
    pub(crate) name: &'static str,
    pub(crate) p50: f64,
}

pub(crate) fn measure(peers: &[Peer], parent: &Path, rounds: usize) -> Vec<Alone> {
    let dir = fresh(parent);
    let start = |(number, peer): (usize, &Peer)| {
        let own = dir.path().join(number.to_string());
        std::fs::create_dir(&own).expect("a directory");
        Worker::start(peer, &own.join("it.lock")).expect("it has started before")
    };
    let mut workers: Vec<_> = peers.iter().enumerate().map(start).collect();
    let mut times = vec![Vec::new(); peers.len()];
    for worker in &mut workers {
        worker.ask(&format!("times {TURNS}")); // warms it up
    }
    for _ in 0..rounds {
        for (worker, times) in workers.iter_mut().zip(&mut times) {
            let answer = worker.ask(&format!("times {TURNS}"));
            #[allow(clippy::cast_precision_loss)]
            times.extend(answer.into_iter().map(|time| time as f64));
        }
    }
    let alone = |(peer, times): (&Peer, Vec<f64>)| Alone { name: peer.name, p50: median(&times) };
    peers.iter().zip(times).map(alone).collect()
}
