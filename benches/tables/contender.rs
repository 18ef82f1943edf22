//! A contender: a process of its own, which follows orders on its stdin, a line each, and answers
//! each with a line of numbers, in nanoseconds. The peers that are not Rust do the same, in
//! `../peers/`.
//!
//! | order | answer |
//! |---|---|
//! | `times N` | how long each of N times lock + unlock took |
//! | `repeat N` | nothing: N times lock + unlock |
//! | `lock`, `unlock` | when lock had returned; when unlock was about to be called (CLOCK_MONOTONIC) |
//! | `contend START HOLD THINK END` | acquisitions, CPU time, waits, their sum, the longest of them |

use std::io::{self, BufRead, Write};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use linklock_bench::ways::{Lockable, Way};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use nix::time::{ClockId, clock_gettime};

/// Follows the orders until its stdin is closed.
pub(crate) fn obey(way: Way, path: &Path) {
    let mut lock = way.open(path);
    println!("ready");
    for line in io::stdin().lock().lines() {
        let line = line.expect("orders are text");
        let mut words = line.split_whitespace();
        let order = words.next().expect("an order");
        let numbers: Vec<u64> = words.map(|word| word.parse().expect("a number")).collect();
        let answer = act(lock.as_mut(), order, &numbers);
        let answer: Vec<_> = answer.iter().map(ToString::to_string).collect();
        println!("{}", answer.join(" "));
        io::stdout().flush().expect("stdout is open");
    }
}

fn act(lock: &mut dyn Lockable, order: &str, numbers: &[u64]) -> Vec<u64> {
    match (order, numbers) {
        ("times", &[number]) => (0..number).map(|_| nanoseconds(timed(lock))).collect(),
        ("repeat", &[number]) => {
            for _ in 0..number {
                timed(lock);
            }
            Vec::new()
        }
        ("lock", &[]) => {
            lock.lock();
            vec![now()]
        }
        ("unlock", &[]) => {
            let began = now();
            lock.unlock();
            vec![began]
        }
        ("contend", &[start, hold, think, end]) => contend(lock, start, hold, think, end),
        other => panic!("no such order: {other:?}"),
    }
}

fn timed(lock: &mut dyn Lockable) -> Duration {
    let began = Instant::now();
    lock.lock();
    lock.unlock();
    began.elapsed()
}

fn contend(lock: &mut dyn Lockable, start: u64, hold: u64, think: u64, end: u64) -> Vec<u64> {
    let [hold, think] = [hold, think].map(Duration::from_nanos);
    sleep(Duration::from_nanos(start.saturating_sub(now())));
    let used = cpu();
    let (mut count, mut waits, mut total, mut longest) = (0, 0, 0, 0);
    while now() < end {
        let began = now();
        lock.lock();
        let waited = now() - began;
        (waits, total, longest) = (waits + 1, total + waited, longest.max(waited));
        if now() < end {
            count += 1;
            sleep(hold);
        }
        lock.unlock();
        if !think.is_zero() {
            sleep(think);
        }
    }
    vec![count, nanoseconds(cpu().saturating_sub(used)), waits, total, longest]
}

/// The CPU time that this process has used.
pub(crate) fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("getrusage");
    let time = |time: TimeVal| {
        Duration::from_micros(
            u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).expect("time goes on"),
        )
    };
    time(usage.user_time()) + time(usage.system_time())
}

/// The time on the clock that all processes share.
pub(crate) fn now() -> u64 {
    nanoseconds(Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock")))
}

pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("it is not that late")
}
