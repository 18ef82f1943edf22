//! How soon another client, which waits, gets a lock that one client releases.

use std::{thread, time::Duration};

use crate::{
    lab::{Lab, Options},
    scene::{lab_for, measuring_seconds, say},
    tenure::{self, handovers},
    terms::Terms,
};

const HOLDS_MS: [u64; 3] = [50, 300, 2000];

#[test]
fn handover_between_clients_v3() {
    handover_between_clients("handover3", "3");
}

#[test]
fn handover_between_clients_v42() {
    handover_between_clients("handover42", "4.2");
}

fn handover_between_clients(name: &str, version: &str) {
    let Some(lab) = lab_for(name, version, &Options::default()) else { return };
    let lab = &lab;
    let all = thread::scope(|scope| {
        HOLDS_MS
            .map(|hold| scope.spawn(move || relay(lab, hold)))
            .map(|relay| relay.join().expect("a relay"))
    });
    say(&format!(
        "NFSv{version}: from unlock on one client to lock's return on another, which was waiting:"
    ));
    for (hold, times) in HOLDS_MS.into_iter().zip(all) {
        let [half, almost_all, all] = [50, 99, 100].map(|percent| percentile(&times, percent));
        say(&format!(
            "  held for {hold:4} ms: median {half:4} ms, p99 {almost_all:4} ms, at most {all:4} ms, of {}",
            times.len()
        ));
    }
}

/// Two clients hold a lock in turns.
fn relay(lab: &Lab, hold: u64) -> Vec<Duration> {
    let name = format!("held-{hold}");
    let rounds = (measuring_seconds() * 1000 / hold).max(4);
    relay_on(lab, "relay", &Terms::by_default(&name), hold, rounds)
}

/// The same on these terms, for so many rounds, by one of the jobs for that. Returns the times of the
/// hand-overs, shortest first.
pub(crate) fn relay_on(
    lab: &Lab,
    job: &str,
    terms: &Terms,
    hold: u64,
    rounds: u64,
) -> Vec<Duration> {
    let job = |client: &str| {
        let first = client.trim_start_matches('c');
        lab.worker(client, &format!("{job} {terms} {hold} {rounds} {first}")).finished()
    };
    let reports = thread::scope(|scope| {
        let jobs = ["c1", "c2"].map(|client| scope.spawn(move || job(client)));
        jobs.map(|job| job.join().expect("a client's part")).concat()
    });
    let tenures = tenure::among(&reports, &lab.shared);
    assert_eq!(tenure::overlapping(&tenures), []);
    let [times, on_one_client] = handovers(&tenures);
    assert_eq!((times.len() as u64, on_one_client.len()), (rounds - 1, 0));
    times
}

/// In milliseconds.
pub(crate) fn percentile(times: &[Duration], percent: usize) -> u128 {
    times[(times.len() * percent / 100).min(times.len() - 1)].as_millis()
}
