//! The cost of many locks, many claims and many threads.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use linklock::Lock;
use linklock_bench::figures::median;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;

use crate::chapters::{Chapters, Place, time};
use crate::contender::{cpu, nanoseconds, now};
use crate::goals::Goal;
use crate::plot;
use crate::workers::{Worker, fresh};

const TURNS: usize = 500;

/// The figures for so many locks, claims or threads; times in nanoseconds, memory in bytes.
#[derive(Clone, Debug)]
struct Scale {
    number: usize,
    figures: Vec<f64>,
}

/// Runs this program again, as a process that answers once with figures, and ends.
fn rerun(what: &str, number: usize, parent: &Path) -> Scale {
    let dir = fresh(parent);
    let program = env::current_exe().expect("this is one");
    let mut command = Command::new(program);
    command.arg(what).arg(number.to_string()).arg(dir.path());
    let mut worker = Worker::run(&mut command).expect("it is ready");
    #[allow(clippy::cast_precision_loss)]
    let figures = worker.answer().into_iter().map(|figure| figure as f64).collect();
    Scale { number, figures }
}

/// Locks held and kept alive by one process: its memory, its threads, the time to acquire each of
/// them, and p50 of lock + unlock of another.
fn held(number: usize, parent: &Path) -> Scale {
    rerun("hold", number, parent)
}

pub(crate) fn hold(number: usize, dir: &Path) {
    let before = status("VmRSS") * 1024;
    let begun = now();
    let hold = |number| {
        let lock = Lock::new(dir.join(format!("{number}.lock"))).expect("a lock");
        let guard = lock.lock().expect("it is free");
        guard.keep_alive(|why| panic!("{why}")).expect("a keep-alive");
        guard
    };
    let guards: Vec<_> = (0..number).map(hold).collect();
    let each = (now() - begun) / number as u64;
    let memory = (status("VmRSS") * 1024).saturating_sub(before);
    let turn = turn(&Lock::new(dir.join("another.lock")).expect("a lock"));
    println!("ready\n{memory} {} {each} {turn}", status("Threads"));
    drop(guards);
}

/// Live claims of others beside a lock file: the time of a handle's first lock + unlock, which
/// sweeps, and p50 of the others.
fn claims(number: usize, parent: &Path) -> Scale {
    let dir = fresh(parent);
    let path = dir.path().join("it.lock");
    let soon = SystemTime::now() + Duration::from_secs(3600);
    let soon = TimeSpec::from_duration(soon.duration_since(SystemTime::UNIX_EPOCH).expect("now"));
    for other in 0..number {
        let claim = format!("{}|other.example.org|{}|{other}", path.display(), other + 2);
        fs::write(&claim, &claim).expect("a claim");
        utimensat(AT_FDCWD, claim.as_str(), &soon, &soon, UtimensatFlags::NoFollowSymlink)
            .expect("touched");
    }
    let mut last = None;
    let firsts: Vec<f64> = (0..5)
        .map(|_| {
            let lock = last.insert(Lock::new(&path).expect("a lock"));
            timed(lock)
        })
        .collect();
    #[allow(clippy::cast_precision_loss)]
    let usual = turn(&last.expect("there is one")) as f64;
    Scale { number, figures: vec![median(&firsts), usual] }
}

/// Threads of one process that wait for one lock: memory and CPU time a second while they wait,
/// then time and CPU time until each has had it, for each of them; descriptors while they wait.
fn waiting(number: usize, parent: &Path) -> Scale {
    rerun("wait", number, parent)
}

pub(crate) fn wait(number: usize, dir: &Path) {
    let before = status("VmRSS") * 1024;
    let lock = Lock::new(dir.join("it.lock")).expect("a lock");
    let guard = lock.lock().expect("it is free");
    let had = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..number {
            let (lock, had) = (lock.clone(), &had);
            scope.spawn(move || {
                lock.lock().and_then(linklock::LockGuard::unlock).expect("it comes to each");
                had.fetch_add(1, Ordering::Relaxed);
            });
        }
        thread::sleep(Duration::from_secs(3)); // until all of them wait
        let memory = (status("VmRSS") * 1024).saturating_sub(before);
        let descriptors = fs::read_dir("/proc/self/fd").expect("Linux").count();
        let used = cpu();
        thread::sleep(Duration::from_secs(3));
        let idle = nanoseconds(cpu().saturating_sub(used)) / 3;
        let (begun, used) = (now(), cpu());
        guard.unlock().expect("unlock");
        while had.load(Ordering::Relaxed) < number {
            thread::sleep(Duration::from_millis(1));
        }
        let each = (now() - begun) / number as u64;
        let work = nanoseconds(cpu().saturating_sub(used)) / number as u64;
        println!("ready\n{memory} {descriptors} {idle} {each} {work}");
    });
}

fn timed(lock: &Lock) -> f64 {
    let begun = now();
    lock.lock().and_then(linklock::LockGuard::unlock).expect("nobody holds it");
    #[allow(clippy::cast_precision_loss)]
    let time = (now() - begun) as f64;
    time
}

/// p50 of a lock + unlock that is not the first.
fn turn(lock: &Lock) -> u64 {
    timed(lock);
    let times: Vec<f64> = (0..TURNS).map(|_| timed(lock)).collect();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let time = median(&times) as u64;
    time
}

/// A figure of this process, see proc(5).
fn status(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("it is there");
    let number = line.trim_start_matches(':').split_whitespace().next();
    number.and_then(|number| number.parse().ok()).expect("a number")
}

impl Chapters {
    pub(crate) fn scale(&mut self, place: &Place) {
        println!(
            "\n## Scale, {}\n\n| locks held and kept alive | memory each | threads | time to acquire each | another's lock + unlock |",
            place.name
        );
        println!("|---:|---:|---:|---:|---:|");
        let measure = |of: fn(usize, &Path) -> Scale, numbers: &[usize]| -> Vec<Scale> {
            numbers.iter().map(|&number| of(number, &place.dir)).collect()
        };
        #[allow(clippy::cast_precision_loss)]
        let each = |scale: &Scale| scale.figures[0] / scale.number as f64 / 1024.0;
        let holding = measure(held, self.size.numbers);
        for one in &holding {
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
        let sweeping = measure(claims, self.size.numbers);
        for Scale { number, figures } in &sweeping {
            println!("| {number} | {} | {} |", time(figures[0]), time(figures[1]));
        }
        println!(
            "\n| threads of one process that wait | memory each | descriptors | CPU time a second, waiting | time to serve each | CPU time for each |"
        );
        println!("|---:|---:|---:|---:|---:|---:|");
        let served = measure(waiting, self.size.threads);
        for one in &served {
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
        let most = holding[holding.len() - 1].number;
        self.goals.extend([
            Goal::at_most(
                format!("{most} locks held: threads"),
                holding[holding.len() - 1].figures[1],
                2.0,
                2.0,
            ),
            Goal::at_most(
                format!("{most} locks held: another's time / with 1"),
                growth(&holding, 3),
                1.5,
                5.0,
            ),
            Goal::at_most(format!("{most} claims: time / with 1"), growth(&sweeping, 1), 1.5, 5.0),
        ]);
        let line = |all: &[Scale], field: usize| -> Vec<_> {
            #[allow(clippy::cast_precision_loss)]
            let point = |one: &Scale| (one.number as f64, one.figures[field] / 1e3);
            all.iter().map(point).collect()
        };
        let lines = [
            ("another lock, beside so many held", line(&holding, 3)),
            ("a lock with so many claims of others", line(&sweeping, 1)),
            ("its first time, which sweeps", line(&sweeping, 0)),
        ];
        let axes = ("locks or claims", "lock + unlock, us");
        self.draw("scale", |file| plot::lines(file, "Lock + unlock among many", axes, &lines));
    }
}
