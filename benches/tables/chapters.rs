//! What is measured, with the tables, plots and goals that come of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use linklock_bench::ways::Way;
use tempfile::TempDir;

use crate::alone::{self, Alone};
use crate::calls;
use crate::crew::{Peer, fresh, skip};
use crate::crowd::{self, Crowd, Setup};
use crate::goals::Goal;
use crate::handover::{self, Handover};
use crate::plot;
use crate::scale::{self, Scale};
use crate::size::Size;

/// Those who wake their waiters.
const WOKEN: [Way; 3] = [Way::FileLock, Way::Linklock, Way::LinklockKept];
const OURS: [Way; 2] = [Way::Linklock, Way::LinklockKept];

#[derive(Debug)]
pub(crate) struct Chapters {
    size: Size,
    peers: Vec<Peer>,
    disk: PathBuf,
    pub(crate) goals: Vec<Goal>,
    _tools: TempDir,
}

impl Chapters {
    pub(crate) fn new(size: Size) -> Chapters {
        let disk = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let tools = fresh(&disk);
        let peers = Peer::all(tools.path());
        Chapters { size, peers, disk, goals: Vec::new(), _tools: tools }
    }

    /// Those who poll, and are no bare calls.
    fn pollers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter().filter(|peer| peer.polls.is_some())
    }

    pub(crate) fn alone(&mut self) {
        let calls: Vec<_> = self.peers.iter().map(|peer| calls::count(peer, &self.disk)).collect();
        let disk = alone::measure(&self.peers, &self.disk, self.size.rounds);
        let shm = Path::new("/dev/shm");
        let memory = if shm.is_dir() {
            alone::measure(&self.peers, shm, self.size.rounds)
        } else {
            skip("tmpfs", "there is no /dev/shm");
            Vec::new()
        };
        println!("\n## Alone: lock + unlock, p50\n");
        println!("| | calls | target/tmp | x seven calls | tmpfs | x seven calls |");
        println!("|---|---:|---:|---:|---:|---:|");
        let of = |all: &[Alone], name: &str| {
            all.iter().find(|alone| alone.name == name).map_or(f64::NAN, |alone| alone.p50)
        };
        let floor = Way::BareSeven.name();
        for (peer, calls) in self.peers.iter().zip(&calls) {
            let calls = calls.map_or("?".to_owned(), |calls| format!("{calls:.1}"));
            let [disk, memory] = [&disk, &memory]
                .map(|all| (of(all, peer.name), of(all, peer.name) / of(all, floor)));
            println!(
                "| {} | {calls} | {} | {:.2} | {} | {:.2} |",
                peer.name,
                time(disk.0),
                disk.1,
                time(memory.0),
                memory.1
            );
        }
        for (place, all) in [("target/tmp", &disk), ("tmpfs", &memory)] {
            if all.is_empty() {
                continue;
            }
            let ratio = |way: Way, to: Way| of(all, way.name()) / of(all, to.name());
            let [ours, kept] =
                [ratio(Way::Linklock, Way::BareSeven), ratio(Way::LinklockKept, Way::BareThree)];
            let beyond = ratio(Way::Linklock, Way::BareNine);
            self.goals.extend([
                Goal::at_most(format!("alone, {place}: / the seven calls"), ours, 1.15, 2.5),
                Goal::at_most(
                    format!("alone, {place}: / the seven and two looks"),
                    beyond,
                    1.15,
                    2.0,
                ),
                Goal::at_most(format!("claim kept, {place}: / the three calls"), kept, 1.3, 2.5),
            ]);
            for (peer, times) in [("liblockfile (C)", 2.0), ("flufl.lock", 10.0)] {
                let faster = of(all, peer) / of(all, Way::LinklockKept.name());
                if !faster.is_nan() {
                    let what = format!("claim kept, {place}: {peer} / ours");
                    self.goals.push(Goal::at_least(what, faster, times, times / 3.0));
                }
            }
        }
        for (way, most) in [(Way::Linklock, 9.0), (Way::LinklockKept, 3.0)] {
            let place = self.peers.iter().position(|peer| peer.is(way)).expect("it is ours");
            if let Some(calls) = calls[place] {
                let what = format!("{}: system calls", way.name());
                self.goals.push(Goal::at_most(what, calls, most, most));
            }
        }
        let bars: Vec<_> =
            disk.iter().map(|alone| (alone.name, alone.p50, time(alone.p50))).collect();
        self.draw("alone", |file| plot::bars(file, "Alone: lock + unlock, p50 (log scale)", &bars));
    }

    pub(crate) fn handover(&mut self) {
        let (woken, polling) = self.size.handovers;
        let measure = |peer: &Peer, times| handover::measure(peer, &self.disk, times);
        let mut all: Vec<_> = WOKEN.map(|way| measure(&Peer::ours(way), woken)).into();
        if polling > 0 {
            // At the same time, since they sleep nearly all of it.
            let pollers: Vec<_> = self.pollers().collect();
            std::thread::scope(|scope| {
                let start = |peer| scope.spawn(move || measure(peer, polling));
                let running: Vec<_> = pollers.into_iter().map(start).collect();
                all.extend(running.into_iter().map(|run| run.join().expect("it was measured")));
            });
        }
        println!("\n## Handed over: from unlock to the one waiter's return\n");
        println!("| | p50 | x File::lock | p99 |\n|---|---:|---:|---:|");
        let floor = all[0].p50;
        for Handover { name, p50, p99 } in &all {
            println!("| {name} | {} | {:.2} | {} |", time(*p50), p50 / floor, time(*p99));
        }
        for Handover { name, p50, p99 } in &all[1..WOKEN.len()] {
            self.goals.extend([
                Goal::at_most(format!("{name}: handed over, p50 / flock"), p50 / floor, 3.0, 20.0),
                Goal::at_most(format!("{name}: handed over, p99 in ms"), p99 / 1e6, 2.0, 100.0),
            ]);
        }
        let bars: Vec<_> = all.iter().map(|one| (one.name, one.p50, time(one.p50))).collect();
        let title = "From unlock to the one waiter's return, p50 (log scale)";
        self.draw("handover", |file| plot::bars(file, title, &bars));
    }

    pub(crate) fn crowds(&mut self) {
        let (woken, polling) = self.size.contenders;
        let mut tables = Vec::new();
        for think in [0, 10].map(Duration::from_millis) {
            println!(
                "\n## Contended: held for 1 ms, {} ms of thinking between\n",
                think.as_millis()
            );
            println!(
                "| contenders | | acquisitions/s | CPU time each | Jain | longest wait | in mean waits |"
            );
            println!("|---:|---|---:|---:|---:|---:|---:|");
            let mut crowds = Vec::new();
            for &contenders in woken {
                let setup = Setup { contenders, think, time: self.size.crowd };
                let peers = WOKEN.map(Peer::ours).into_iter();
                let pollers = self.pollers().filter(|_| polling.contains(&contenders)).cloned();
                for peer in peers.chain(pollers) {
                    let crowd = crowd::measure(&peer, &self.disk, setup);
                    print_crowd(&crowd);
                    crowds.push(crowd);
                }
            }
            self.judge_crowds(&crowds);
            tables.push(crowds);
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

    fn judge_crowds(&mut self, crowds: &[Crowd]) {
        for crowd in crowds.iter().filter(|crowd| OURS.iter().any(|way| way.name() == crowd.name)) {
            let is_floor =
                |other: &&Crowd| other.name == Way::FileLock.name() && other.setup == crowd.setup;
            let flock = crowds.iter().find(is_floor).expect("it was measured");
            let Setup { contenders, think, .. } = crowd.setup;
            let who = format!("{}, {contenders} contenders, {} ms", crowd.name, think.as_millis());
            let (rate, cpu) = (crowd.rate / flock.rate, crowd.cpu / flock.cpu);
            self.goals.extend([
                Goal::at_least(format!("{who}: acquisitions / flock's"), rate, 0.7, 0.35),
                Goal::at_most(format!("{who}: CPU time / flock's"), cpu, 3.0, 12.0),
                Goal::at_least(format!("{who}: Jain"), crowd.jain, 0.9, 0.9),
                Goal::at_most(
                    format!("{who}: longest / mean wait"),
                    crowd.longest_over_mean,
                    5.0,
                    50.0,
                ),
            ]);
        }
    }

    pub(crate) fn scale(&mut self) {
        println!(
            "\n## Scale\n\n| locks held and kept alive | memory each | threads | time to acquire each | another's lock + unlock |"
        );
        println!("|---:|---:|---:|---:|---:|");
        let measure = |of: fn(usize, &Path) -> Scale, numbers: &[usize]| -> Vec<Scale> {
            numbers.iter().map(|&number| of(number, &self.disk)).collect()
        };
        #[allow(clippy::cast_precision_loss)]
        let each = |scale: &Scale| scale.figures[0] / scale.number as f64 / 1024.0;
        let held = measure(scale::held, self.size.numbers);
        for one in &held {
            let figures = &one.figures;
            let (acquire, another) = (time(figures[2]), time(figures[3]));
            println!(
                "| {} | {:.1} KiB | {} | {acquire} | {another} |",
                one.number,
                each(one),
                figures[1]
            );
        }
        println!(
            "\n| others' claims beside it | a handle's first lock + unlock, which sweeps | the others, p50 |\n|---:|---:|---:|"
        );
        let claims = measure(scale::claims, self.size.numbers);
        for Scale { number, figures } in &claims {
            println!("| {number} | {} | {} |", time(figures[0]), time(figures[1]));
        }
        println!(
            "\n| threads of one process that wait | memory each | descriptors | CPU time a second, waiting | time to serve each | CPU time for each |"
        );
        println!("|---:|---:|---:|---:|---:|---:|");
        let waiting = measure(scale::waiting, self.size.threads);
        for one in &waiting {
            let [idle, serve, work] = [2, 3, 4].map(|field| time(one.figures[field]));
            println!(
                "| {} | {:.1} KiB | {} | {idle} | {serve} | {work} |",
                one.number,
                each(one),
                one.figures[1]
            );
        }
        let growth =
            |all: &[Scale], field: usize| all[all.len() - 1].figures[field] / all[0].figures[field];
        let most = held[held.len() - 1].number;
        self.goals.extend([
            Goal::at_most(
                format!("{most} locks held: threads"),
                held[held.len() - 1].figures[1],
                2.0,
                2.0,
            ),
            Goal::at_most(
                format!("{most} locks held: another's time / with 1"),
                growth(&held, 3),
                1.5,
                5.0,
            ),
            Goal::at_most(format!("{most} claims: time / with 1"), growth(&claims, 1), 1.5, 5.0),
        ]);
        let line = |all: &[Scale], field: usize| -> Vec<_> {
            #[allow(clippy::cast_precision_loss)]
            let point = |one: &Scale| (one.number as f64, one.figures[field] / 1e3);
            all.iter().map(point).collect()
        };
        let lines = [
            ("another lock, beside so many held", line(&held, 3)),
            ("a lock with so many claims of others", line(&claims, 1)),
            ("its first time, which sweeps", line(&claims, 0)),
        ];
        let axes = ("locks or claims", "lock + unlock, us");
        self.draw("scale", |file| plot::lines(file, "Lock + unlock among many", axes, &lines));
    }

    fn draw(&self, name: &str, plot: impl FnOnce(&Path) -> Result<(), Box<dyn std::error::Error>>) {
        if !self.size.plots {
            return;
        }
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/bench");
        fs::create_dir_all(&dir).expect("a place for plots");
        plot(&dir.join(format!("{name}.svg"))).expect("a plot");
    }
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

/// Nanoseconds, for people.
fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        ns if ns.is_nan() => "?".to_owned(),
        ns if ns < 1e4 => format!("{:.2} us", ns / 1e3),
        ns if ns < 1e6 => format!("{:.1} us", ns / 1e3),
        ns if ns < 1e9 => format!("{:.2} ms", ns / 1e6),
        ns => format!("{:.2} s", ns / 1e9),
    }
}
