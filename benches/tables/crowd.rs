//! Many processes that contend for one lock, each of which holds it for 1 ms.

use std::path::Path;
use std::time::Duration;

use linklock_bench::figures::jain;

use crate::crew::{Peer, Worker, fresh};
use crate::told::{nanoseconds, now};

const HOLD: Duration = Duration::from_millis(1);

/// What a crowd looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setup {
    pub(crate) contenders: usize,
    /// What each does between an unlock and its next lock.
    pub(crate) think: Duration,
    pub(crate) time: Duration,
}

/// How a crowd has fared.
#[derive(Clone, Debug)]
pub(crate) struct Crowd {
    pub(crate) name: &'static str,
    pub(crate) setup: Setup,
    /// Acquisitions a second.
    pub(crate) rate: f64,
    /// CPU time of all contenders for each acquisition, in nanoseconds.
    pub(crate) cpu: f64,
    pub(crate) jain: f64,
    /// The longest wait of all, in nanoseconds.
    pub(crate) longest: f64,
    /// The longest wait of all, in mean waits.
    pub(crate) longest_over_mean: f64,
}

pub(crate) fn measure(peer: &Peer, parent: &Path, setup: Setup) -> Crowd {
    let dir = fresh(parent);
    let path = dir.path().join("it.lock");
    let start = |_| Worker::start(peer, &path).expect("it has started before");
    let mut workers: Vec<_> = (0..setup.contenders).map(start).collect();
    let begin = now() + nanoseconds(Duration::from_millis(100)); // when all have been told
    let end = begin + nanoseconds(setup.time);
    let [hold, think] = [HOLD, setup.think].map(nanoseconds);
    for worker in &mut workers {
        worker.tell(&format!("contend {begin} {hold} {think} {end}"));
    }
    #[allow(clippy::cast_precision_loss)]
    let answers: Vec<Vec<f64>> = workers
        .iter_mut()
        .map(|worker| worker.answer().into_iter().map(|number| number as f64).collect())
        .collect();
    let sum = |field: usize| answers.iter().map(|answer| answer[field]).sum::<f64>();
    let counts: Vec<f64> = answers.iter().map(|answer| answer[0]).collect();
    let (count, cpu, mean) = (sum(0), sum(1), sum(3) / sum(2));
    let longest = answers.iter().map(|answer| answer[4]).fold(0.0, f64::max);
    Crowd {
        name: peer.name,
        setup,
        rate: count / setup.time.as_secs_f64(),
        cpu: cpu / count,
        jain: jain(&counts),
        longest,
        longest_over_mean: longest / mean,
    }
}
