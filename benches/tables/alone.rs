//! Lock + unlock without contention. Each way takes its turn in every round, so that other load of
//! the machine affects all of them.

use std::path::Path;

use linklock_bench::figures::median;
use linklock_bench::ways::Way;

use crate::calls;
use crate::chapters::{Chapters, Place, time};
use crate::goals::Goal;
use crate::plot;
use crate::workers::{Peer, Worker, fresh};

const TURNS: usize = 100; // in each round

/// The time of one way, in nanoseconds (p50).
#[derive(Clone, Debug)]
struct Alone {
    name: &'static str,
    p50: f64,
}

fn measure(peers: &[Peer], parent: &Path, rounds: usize) -> Vec<Alone> {
    let dir = fresh(parent);
    let start = |(number, peer): (usize, &Peer)| {
        let own = dir.path().join(number.to_string());
        std::fs::create_dir(&own).expect("a directory");
        Worker::start(peer, &own.join("it.lock")).expect("it has started before this")
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

impl Chapters {
    pub(crate) fn alone(&mut self) {
        let calls: Vec<_> =
            self.peers.iter().map(|peer| calls::count(peer, &self.quiet().dir)).collect();
        let measure = |place: &Place| measure(&self.peers, &place.dir, self.size.rounds);
        let all: Vec<_> = self.places.iter().map(measure).collect();
        self.print_alone(&calls, &all);
        for (way, most) in [(Way::Linklock, 9.0), (Way::LinklockKept, 4.0)] {
            let number = self
                .peers
                .iter()
                .position(|peer| peer.is(way))
                .expect("the directory can be removed");
            if let Some(calls) = calls[number] {
                let what = format!("{}: system calls", way.name());
                // A lock that took long joins the host's queue, which takes some: on a busy machine one in ten.
                self.goals.push(Goal::at_most(what, calls.round(), most, most + 1.0));
            }
        }
        for (place, all) in self.places.iter().zip(&all) {
            self.goals.extend(goals(place.name, all));
        }
        let bars: Vec<_> = all[0].iter().map(|one| (one.name, one.p50, time(one.p50))).collect();
        self.draw("alone", |file| plot::bars(file, "Alone: lock + unlock, p50 (log scale)", &bars));
    }

    fn print_alone(&self, calls: &[Option<f64>], all: &[Vec<Alone>]) {
        println!("\n## Alone: lock + unlock, p50\n");
        let places: Vec<_> = self.places.iter().map(|place| place.name).collect();
        println!("| | calls | {} | x seven calls |", places.join(" | x seven calls | "));
        println!("|---|---:|{}", "---:|---:|".repeat(places.len()));
        for (peer, calls) in self.peers.iter().zip(calls) {
            let calls = calls.map_or("?".to_owned(), |calls| format!("{calls:.1}"));
            print!("| {} | {calls} |", peer.name);
            for all in all {
                let p50 = of(all, peer.name);
                print!(" {} | {:.2} |", time(p50), p50 / of(all, Way::BareSeven.name()));
            }
            println!();
        }
    }
}

fn of(all: &[Alone], name: &str) -> f64 {
    all.iter().find(|alone| alone.name == name).map_or(f64::NAN, |alone| alone.p50)
}

fn goals(place: &str, all: &[Alone]) -> Vec<Goal> {
    let ratio = |name: &str, to: Way| of(all, name) / of(all, to.name());
    let [ours, kept] = [Way::Linklock, Way::LinklockKept].map(Way::name);
    let most = |what: &str, figure, limit| {
        Goal::at_most(format!("alone, {place}: {what}"), figure, limit, limit * 2.0)
    };
    let mut goals = vec![
        most("/ the seven calls", ratio(ours, Way::BareSeven), 1.15),
        most("/ the seven and two looks", ratio(ours, Way::BareNine), 1.15),
        most("/ those with a new name each time", ratio(ours, Way::BareNewName), 1.15),
        most("claim kept / the three calls", ratio(kept, Way::BareThree), 2.0), // and a look
        most("a slot / a lock", ratio(Way::Slot.name(), Way::Linklock), 1.15),
        most("to read / a lock", ratio(Way::Read.name(), Way::Linklock), 1.6),
    ];
    for (peer, times) in [("liblockfile (C)", 1.5), ("flufl.lock", 7.0)] {
        let faster = ratio(peer, Way::LinklockKept);
        if !faster.is_nan() {
            let what = format!("alone, {place}: {peer} / claim kept");
            goals.push(Goal::at_least(what, faster, times, times / 2.0));
        }
    }
    goals
}
