//! From unlock to the return of the process that waits for it, on an idle machine and on one whose
//! cores are all busy.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use linklock_bench::figures::{mean, percentile};
use linklock_bench::ways::Way;

use crate::chapters::{Chapters, Place, time};
use crate::goals::Goal;
use crate::plot;
use crate::workers::{Peer, Worker, fresh};

/// Those that the kernel wakes: the fastest that a kernel has, and linklock beside its bare loop, once
/// for each kind of claim. Two pairs of processes run each loop: where their figures differ, chance
/// decides.
const WAYS: [Way; 7] = [
    Way::Flock,
    Way::BareLoop,
    Way::BareLoop,
    Way::Linklock,
    Way::BareLoopKept,
    Way::BareLoopKept,
    Way::LinklockKept,
];

/// Rounds in which each has its turn, so that whatever else the machine does hits all of them.
const ROUNDS: usize = 10;

/// By the time that the lock was held, the waiter must be waiting.
const SETTLED: Duration = Duration::from_millis(10);

/// How long that took each time, in nanoseconds.
#[derive(Clone, Debug)]
struct Handover {
    name: &'static str,
    latencies: Vec<f64>,
}

impl Handover {
    /// What all pairs of processes measured that went this way.
    fn by_all(way: Way, all: &[Handover]) -> Handover {
        let name = way.name();
        let latencies = all.iter().filter(|one| one.name == name).flat_map(|one| &one.latencies);
        Handover { name, latencies: latencies.copied().collect() }
    }

    fn p50(&self) -> f64 {
        percentile(&self.latencies, 0.5)
    }

    fn p99(&self) -> f64 {
        percentile(&self.latencies, 0.99)
    }

    fn mean(&self) -> f64 {
        mean(&self.latencies)
    }
}

/// Two processes that pass a lock to each other.
struct Pair {
    workers: [Worker; 2],
    /// The longest time that the lock is held, beyond [`SETTLED`].
    spread: Duration,
    latencies: Vec<f64>,
    _dir: tempfile::TempDir,
}

impl Pair {
    fn start(peer: &Peer, parent: &Path) -> Pair {
        let dir = fresh(parent);
        let path = dir.path().join("it.lock");
        let workers = [(); 2].map(|()| Worker::start(peer, &path).expect("it has started before"));
        let spread = peer.polls.unwrap_or(SETTLED);
        Pair { workers, spread, latencies: Vec::new(), _dir: dir }
    }

    fn pass_on(&mut self, times: usize) {
        for _ in 0..times {
            let [holder, waiter] = &mut self.workers;
            holder.ask("lock");
            waiter.tell("lock");
            // Held for any time up to a whole pause, so that a poller is not always met at the same
            // one.
            sleep(SETTLED + self.spread.mul_f64(rand::random::<f64>()));
            let released = holder.ask("unlock")[0];
            let acquired = waiter.answer()[0];
            waiter.ask("unlock");
            #[allow(clippy::cast_precision_loss)]
            self.latencies.push(acquired.saturating_sub(released) as f64);
            self.workers.reverse();
        }
    }
}

/// All ways, one after the other in each round.
fn woken(place: &Place, times: usize) -> Vec<Handover> {
    let mut pairs = WAYS.map(|way| Pair::start(&Peer::ours(way), &place.dir));
    for _ in 0..ROUNDS {
        for pair in &mut pairs {
            pair.pass_on(times / ROUNDS);
        }
    }
    let named = |(way, pair): (Way, Pair)| Handover { name: way.name(), latencies: pair.latencies };
    WAYS.into_iter().zip(pairs).map(named).collect()
}

fn polling(peer: &Peer, place: &Place, times: usize) -> Handover {
    let mut pair = Pair::start(peer, &place.dir);
    pair.pass_on(times);
    Handover { name: peer.name, latencies: pair.latencies }
}

/// Does something while each core has a thread that never sleeps.
fn while_busy<T>(work: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let done = work();
        is_over.store(true, Ordering::Relaxed);
        done
    })
}

impl Chapters {
    pub(crate) fn handover(&mut self, place: &Place) {
        let (times, times_polling) = self.size.handovers;
        let mut idle = woken(place, times);
        let busy = while_busy(|| woken(place, times));
        println!("\n## Handed over: from unlock to the one waiter's return, {}\n", place.name);
        self.print_handover(place, "idle", &idle);
        self.print_handover(place, "all cores busy", &busy);
        if *place != self.quiet() {
            return;
        }
        if times_polling > 0 {
            // At the same time, since they sleep nearly all of it.
            let pollers: Vec<_> = self.pollers().collect();
            thread::scope(|scope| {
                let start = |peer| scope.spawn(move || polling(peer, place, times_polling));
                let running: Vec<_> = pollers.into_iter().map(start).collect();
                idle.extend(running.into_iter().map(|run| run.join().expect("it was measured")));
            });
            print_table("those that poll", &idle[WAYS.len()..], idle[0].p50());
        }
        idle.dedup_by_key(|one| one.name);
        let bars: Vec<_> = idle.iter().map(|one| (one.name, one.p50(), time(one.p50()))).collect();
        let title = "From unlock to the one waiter's return, p50 (log scale)";
        self.draw("handover", |file| plot::bars(file, title, &bars));
    }

    /// The table of those that are woken, and what linklock means to achieve beside its bare loop.
    fn print_handover(&mut self, place: &Place, load: &str, all: &[Handover]) {
        print_table(load, all, all[0].p50());
        for ways in [[Way::BareLoop, Way::Linklock], [Way::BareLoopKept, Way::LinklockKept]] {
            let [bare, ours] = ways.map(|way| Handover::by_all(way, all));
            let mut goal = |what: &str, figure, limit, alarm| {
                let what = format!("{}, {}, {load}: {what} / {}", ours.name, place.name, bare.name);
                self.goals.push(Goal::at_most(what, figure, limit, alarm));
            };
            goal("handed over, p50", ours.p50() / bare.p50(), 1.15, 20.0);
            goal("handed over, p99", ours.p99() / bare.p99(), 1.0, 100.0);
        }
    }
}

fn print_table(load: &str, all: &[Handover], floor: f64) {
    println!("\n| {load} | p50 | x flock | mean | p99 |\n|---|---:|---:|---:|---:|");
    let mut above = "";
    for one in all {
        let [p50, mean, p99] = [one.p50(), one.mean(), one.p99()];
        let name = if one.name == above { "... another pair of processes" } else { one.name };
        let ratio = p50 / floor;
        above = one.name;
        println!("| {name} | {} | {ratio:.2} | {} | {} |", time(p50), time(mean), time(p99));
    }
}
