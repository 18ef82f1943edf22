//! The cost to the server when clients wait for a lock that is held for a long time.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    cost::{Cost, each, sum, total},
    lab::{Lab, Options},
    scene::{lab_for, measuring_seconds, say, while_held},
    terms::Terms,
};

/// How many threads wait in each of how many processes; each crowd has a client of its own.
const CROWDS: [(u64, u64); 3] = [(1, 1), (1, 100), (20, 5)];

const HOLDER: &str = "c1";

/// How many requests a second a lone waiter may make: twice as many as it does.
const MOST: f64 = 4.0;

/// Requests that the arrival of one among many may cost.
const MOST_TO_ARRIVE: f64 = 15.0;

/// The time after which all waiters poll as rarely as they ever will.
const SETTLED: Duration = Duration::from_secs(10);

#[test]
fn requests_of_waiters_v3() {
    requests_of_waiters("wait3", "3");
}

#[test]
fn requests_of_waiters_v42() {
    requests_of_waiters("wait42", "4.2");
}

fn requests_of_waiters(name: &str, version: &str) {
    let options = Options { clients: 1 + CROWDS.len(), ..Options::default() };
    let Some(lab) = lab_for(name, version, &options) else { return };
    let terms = Terms::by_default("long");
    let mut crowds = Vec::new();
    while_held(
        &lab,
        &terms,
        HOLDER,
        || lab.worker(HOLDER, &format!("hold {terms}")),
        || crowds = lab_full_of_waiters(&lab, &terms),
    );
    say(&format!("NFSv{version}: requests of waiters for a lock that is held for a long time:"));
    for ((processes, threads), crowd) in CROWDS.into_iter().zip(crowds) {
        let Crowd { to_begin, a_second } = crowd;
        let (beginning, rate) = (total(&to_begin), total(&a_second));
        say(&format!(
            "  {processes:2} x {threads:3} threads: {rate:5.2} a second = {}; {beginning} in the beginning",
            sum(&a_second)
        ));
        assert!(processes * threads > 1 || rate <= MOST);
        let arrival = beginning - rate * SETTLED.as_secs_f64();
        assert!(processes * threads == 1 || arrival <= MOST_TO_ARRIVE * count(processes * threads));
    }
}

fn count(contenders: u64) -> f64 {
    f64::from(u32::try_from(contenders).expect("a few"))
}

/// The requests of the waiters' clients.
struct Crowd {
    to_begin: Cost,
    a_second: Cost,
}

fn lab_full_of_waiters(lab: &Lab, terms: &Terms) -> Vec<Crowd> {
    let clients: Vec<_> = lab.clients().into_iter().filter(|client| client != HOLDER).collect();
    let counts = || clients.iter().map(|client| lab.stats(client)).collect::<Vec<_>>();
    thread::scope(|scope| {
        let mounted = counts();
        let mut waiters = Vec::new();
        for (client, (processes, threads)) in clients.iter().zip(CROWDS) {
            let job = format!("crowd {processes} wait {terms} {threads}");
            waiters.push(scope.spawn(move || lab.worker(client, &job).finished()));
        }
        let all: u64 = CROWDS.iter().map(|(processes, threads)| processes * threads).sum();
        lab.shared.await_tickets(usize::try_from(all).expect("a few"));
        thread::sleep(SETTLED);

        let (began, settled) = (Instant::now(), counts());
        thread::sleep(Duration::from_secs(measuring_seconds()));
        let (seconds, waited) = (began.elapsed().as_secs_f64(), counts());
        lab.shared.cue(&terms.cue("enough"));
        for crowd in waiters {
            crowd.join().expect("the waiters");
        }
        let crowd = |i: usize| Crowd {
            to_begin: each(&settled[i], &mounted[i], 1.0),
            a_second: each(&waited[i], &settled[i], seconds),
        };
        (0..CROWDS.len()).map(crowd).collect()
    })
}
