//! Many processes that contend for one lock, each of which holds it for 1 ms.

use std::path::Path;
use std::time::Duration;

use linklock_bench::figures::jain;
use linklock_bench::ways::Way;

use crate::chapters::{Chapters, Place, WOKEN, time};
use crate::contender::{nanoseconds, now};
use crate::goals::Goal;
use crate::plot;
use crate::workers::{Peer, Worker, fresh};

const HOLD: Duration = Duration::from_millis(1);

/// A crowd's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setup {
    pub(crate) contenders: usize,
    pub(crate) hold: Duration,
    /// The pause of each between an unlock and its next lock.
    pub(crate) think: Duration,
    pub(crate) time: Duration,
}

/// The results of a crowd.
#[derive(Clone, Debug)]
pub(crate) struct Crowd {
    name: &'static str,
    setup: Setup,
    /// Acquisitions a second.
    pub(crate) rate: f64,
    /// CPU time of all contenders for each acquisition, in nanoseconds.
    cpu: f64,
    pub(crate) jain: f64,
    /// The longest wait of all, in nanoseconds.
    longest: f64,
    /// The longest wait of all, in mean waits.
    longest_over_mean: f64,
}

pub(crate) fn measure(peer: &Peer, parent: &Path, setup: Setup) -> Crowd {
    let dir = fresh(parent);
    let path = dir.path().join("it.lock");
    let start = |_| Worker::start(peer, &path).expect("it has started before");
    let mut workers: Vec<_> = (0..setup.contenders).map(start).collect();
    let begin = now() + nanoseconds(Duration::from_millis(100)); // when all have their orders
    let end = begin + nanoseconds(setup.time);
    let [hold, think] = [setup.hold, setup.think].map(nanoseconds);
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

impl Chapters {
    pub(crate) fn crowds(&mut self, place: &Place) {
        let (woken, polling) = self.size.contenders;
        let mut tables = Vec::new();
        for think in [0, 10].map(Duration::from_millis) {
            println!(
                "\n## Contended, {}: held for 1 ms, {} ms of thinking between\n",
                place.name,
                think.as_millis()
            );
            println!(
                "| contenders | | acquisitions/s | CPU time each | Jain | longest wait | in mean waits |"
            );
            println!("|---:|---|---:|---:|---:|---:|---:|");
            let mut crowds = Vec::new();
            for &contenders in woken {
                let setup = Setup { contenders, hold: HOLD, think, time: self.size.crowd };
                let peers = WOKEN.map(Peer::ours).into_iter();
                let pollers = self
                    .pollers()
                    .filter(|_| polling.contains(&contenders) && *place == self.quiet())
                    .cloned();
                for peer in peers.chain(pollers) {
                    let crowd = measure(&peer, &place.dir, setup);
                    print_crowd(&crowd);
                    crowds.push(crowd);
                }
            }
            self.goals.extend(goals(place, &crowds));
            tables.push(crowds);
        }
        if *place != self.quiet() {
            return;
        }
        let of = |figure: fn(&Crowd) -> f64| {
            WOKEN.map(|way| {
                let own = tables[0].iter().filter(|crowd| crowd.name == way.name());
                #[allow(clippy::cast_precision_loss)]
                let points = own.map(|crowd| (crowd.setup.contenders as f64, figure(crowd)));
                (way.name(), points.collect())
            })
        };
        let (rates, cpu) = (of(|crowd| crowd.rate), of(|crowd| crowd.cpu / 1e3));
        let axes = ("contenders", "acquisitions a second");
        let title = "Contended: a lock that is held for 1 ms";
        self.draw("contended", |file| plot::lines(file, title, axes, &rates));
        let axes = ("contenders", "CPU time for each acquisition, us");
        self.draw("contended-cpu", |file| plot::lines(file, title, axes, &cpu));
    }
}

fn goals(place: &Place, crowds: &[Crowd]) -> Vec<Goal> {
    let mut goals = Vec::new();
    let ours = [Way::Linklock, Way::LinklockKept].map(Way::name);
    for crowd in crowds.iter().filter(|crowd| ours.contains(&crowd.name)) {
        let is_flock =
            |other: &&Crowd| other.name == Way::Flock.name() && other.setup == crowd.setup;
        let flock = crowds.iter().find(is_flock).expect("it was measured");
        let Setup { contenders, think, .. } = crowd.setup;
        let think = think.as_millis();
        let who = format!("{}, {}, {contenders} contenders, {think} ms", crowd.name, place.name);
        let (rate, cpu) = (crowd.rate / flock.rate, crowd.cpu / flock.cpu);
        let wait = crowd.longest_over_mean;
        goals.extend([
            Goal::at_least(format!("{who}: acquisitions / flock's"), rate, 0.7, 0.2),
            Goal::at_most(format!("{who}: CPU time / flock's"), cpu, 3.0, 12.0),
            // With so many, each has few turns in so short a time.
            Goal::at_least(
                format!("{who}: Jain"),
                crowd.jain,
                0.9,
                if contenders > 8 { 0.6 } else { 0.9 },
            ),
        ]);
        // Contenders that pause mostly find the lock free, and don't wait: there the mean is no
        // measure of a queue.
        if crowd.setup.think.is_zero() {
            goals.push(Goal::at_most(format!("{who}: longest / mean wait"), wait, 5.0, 200.0));
        }
    }
    goals
}

fn print_crowd(crowd: &Crowd) {
    println!(
        "| {} | {} | {:.0} | {} | {:.3} | {} | {:.1} |",
        crowd.setup.contenders,
        crowd.name,
        crowd.rate,
        time(crowd.cpu),
        crowd.jain,
        time(crowd.longest),
        crowd.longest_over_mean
    );
}
