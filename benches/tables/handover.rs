//! From unlock to the return of the waiter's lock.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use linklock_bench::figures::percentile;

use crate::chapters::{Chapters, Place, WOKEN, time};
use crate::goals::Goal;
use crate::plot;
use crate::workers::{Peer, Worker, fresh};

/// The times, in nanoseconds.
#[derive(Clone, Debug)]
struct Handover {
    name: &'static str,
    p50: f64,
    p99: f64,
}

/// How long the lock is held until the waiter is surely waiting.
const SETTLED: Duration = Duration::from_millis(10);

fn measure(peer: &Peer, parent: &Path, times: usize) -> Handover {
    let dir = fresh(parent);
    let path = dir.path().join("it.lock");
    let mut pair = [(); 2].map(|()| Worker::start(peer, &path).expect("it has started before"));
    let mut latencies = Vec::new();
    for _ in 0..times {
        let [holder, waiter] = &mut pair;
        holder.ask("lock");
        waiter.tell("lock");
        // Held for any time up to a whole pause, so that the unlock meets a poller at any point of
        // its pause.
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

impl Chapters {
    pub(crate) fn handover(&mut self, place: &Place) {
        let (woken, polling) = self.size.handovers;
        let measure = |peer: &Peer, times| measure(peer, &place.dir, times);
        let mut all: Vec<_> = WOKEN.map(|way| measure(&Peer::ours(way), woken)).into();
        if polling > 0 && *place == self.quiet() {
            // At the same time, since they sleep nearly all the time.
            let pollers: Vec<_> = self.pollers().collect();
            std::thread::scope(|scope| {
                let start = |peer| scope.spawn(move || measure(peer, polling));
                let running: Vec<_> = pollers.into_iter().map(start).collect();
                all.extend(running.into_iter().map(|run| run.join().expect("it was measured")));
            });
        }
        println!("\n## Handed over: from unlock to the one waiter's return, {}\n", place.name);
        println!("| | p50 | x flock | p99 |\n|---|---:|---:|---:|");
        let floor = all[0].p50;
        for Handover { name, p50, p99 } in &all {
            println!("| {name} | {} | {:.2} | {} |", time(*p50), p50 / floor, time(*p99));
        }
        for Handover { name, p50, p99 } in &all[1..WOKEN.len()] {
            self.goals.extend([
                Goal::at_most(
                    format!("{name}, {}: handed over, p50 / flock", place.name),
                    p50 / floor,
                    3.0,
                    20.0,
                ),
                Goal::at_most(
                    format!("{name}, {}: handed over, p99 in ms", place.name),
                    p99 / 1e6,
                    2.0,
                    100.0,
                ),
            ]);
        }
        if *place != self.quiet() {
            return;
        }
        let bars: Vec<_> = all.iter().map(|one| (one.name, one.p50, time(one.p50))).collect();
        let title = "From unlock to the one waiter's return, p50 (log scale)";
        self.draw("handover", |file| plot::bars(file, title, &bars));
    }
}
