//! Wake-up hints between clients: how soon the next one gets the lock, in what order, and at what cost
//! to the server.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use crate::{
    cost::{each, sum, total},
    handover::{percentile, relay_on},
    lab::{Lab, Options},
    scene::{
        all_are_asked_for, await_claims, contention, lab_for, left_behind, measuring_seconds,
        one_at_a_time, say,
    },
    tenure::{self, Tenure},
    terms::Terms,
};

/// Time for a waiter whose claim exists to have asked, and for the holder's keep-alive to answer.
const A_WHILE: Duration = Duration::from_secs(8);

/// Long enough that a waiter which polls pauses for a third to half of a second.
const LONG_MS: u64 = 2000;

/// Requests a second of a waiter that looks every ten seconds: less than one look a second.
const MOST_AT_REST: f64 = 0.9;

#[test]
fn hints_between_clients_v3() {
    hints_between_clients("hints3", "3");
}

#[test]
fn hints_between_clients_v42() {
    hints_between_clients("hints42", "4.2");
}

fn hints_between_clients(name: &str, version: &str) {
    let Some(lab) = lab_for(name, version, &Options { clients: 4, ..Options::default() }) else {
        return;
    };
    say(&format!("NFSv{version}, wake-up hints:"));
    waiters_are_woken(&lab);
    the_first_is_served_first(&lab);
    clients_take_turns(&lab);
    a_waiter_rests(&lab);
    without_a_network_they_poll(&lab);
    assert_eq!(left_behind(&lab), [""; 0]);
}

/// Whatever the time for which the lock was held: much sooner than by polling.
fn waiters_are_woken(lab: &Lab) {
    let times = |job, name: &str, hold, rounds| {
        let times = relay_on(lab, job, &Terms::patient(name).with_hints(), hold, rounds);
        say_times(job, hold, &times);
        times
    };
    let polled = relay_on(lab, "relay", &Terms::patient("polled"), LONG_MS, 8);
    say_times("without hints", LONG_MS, &polled);
    times("relay", "woken", 50, 100);
    if all_are_asked_for() {
        times("relay", "woken-late", 30_000, 5);
    }
    for job in ["relay", "relay-slot", "relay-shared"] {
        let woken = times(job, job, LONG_MS, 8);
        assert!(percentile(&woken, 50) * 2 < percentile(&polled, 50), "{woken:?}, {polled:?}");
    }
}

fn say_times(what: &str, hold: u64, times: &[Duration]) {
    let [half, almost_all] = [50, 99].map(|percent| percentile(times, percent));
    say(&format!(
        "  {what}, held for {hold:5} ms: median {half:4} ms, p99 {almost_all:4} ms, of {}",
        times.len()
    ));
}

/// The order in which clients began to wait is that in which they get the lock.
fn the_first_is_served_first(lab: &Lab) {
    for round in 0..2 {
        let name = format!("queue-{round}");
        let terms = Terms::by_default(&name).with_hints();
        let order = thread::scope(|scope| {
            let holder = scope.spawn(|| lab.worker("c1", &format!("keep {terms}")).finished());
            lab.shared.await_cue(&terms.held_by("c1"));
            let waiters = ["c3", "c2", "c4"].map(|client| {
                let waiter =
                    scope.spawn(|| lab.worker(client, &format!("take {terms}")).finished());
                await_claims(lab, client, &[terms]);
                thread::sleep(A_WHILE);
                waiter
            });
            lab.shared.cue(&terms.cue("release"));
            holder.join().expect("the holder");
            let reports = waiters.map(|waiter| waiter.join().expect("a waiter")).concat();
            let mut tenures = tenure::among(&reports, &lab.shared);
            tenures.sort_by_key(|tenure| tenure.from);
            tenures.into_iter().map(|tenure| tenure.vm).collect::<Vec<_>>()
        });
        assert_eq!(order, ["c3", "c2", "c4"]);
    }
    say("  four clients got the lock in the order of arrival, twice");
}

/// Clients that want the lock again and again get it one after the other, more or less: a client that
/// has come back looks first, and on a busy machine a hint may come later than that.
fn clients_take_turns(lab: &Lab) {
    for terms in [Terms::patient("turns").with_hints(), Terms::patient("no-turns")] {
        let worker = |client: &str, job: &str| lab.worker(client, job);
        let mut tenures = one_at_a_time(contention(lab, "contend", &terms, worker, || ()));
        tenures.sort_by_key(|tenure| tenure.from);
        let in_turn = in_turn(&tenures, lab.clients().len());
        let kind = if terms.hints { "hints" } else { "polling" };
        say(&format!("  {kind}: {in_turn} % of {} tenures in turn", tenures.len()));
    }
}

/// How many of a hundred tenures are followed by one of each other client before the next of the same.
fn in_turn(tenures: &[Tenure], clients: usize) -> usize {
    let is_whole = |round: &&[Tenure]| {
        round.iter().map(|tenure| &tenure.vm).collect::<BTreeSet<_>>().len() == clients
    };
    let rounds = tenures.windows(clients);
    rounds.clone().filter(is_whole).count() * 100 / rounds.count().max(1)
}

/// A waiter looks rarely while the holder says that it is there, and gets the lock at once.
fn a_waiter_rests(lab: &Lab) {
    let terms = Terms::by_default("rest").with_hints();
    thread::scope(|scope| {
        let holder = scope.spawn(|| lab.worker("c1", &format!("keep {terms}")).finished());
        lab.shared.await_cue(&terms.held_by("c1"));
        let waiter = scope.spawn(|| lab.worker("c2", &format!("take {terms}")).finished());
        thread::sleep(Duration::from_secs(15)); // until the first refreshes have been answered
        let (began, before) = (Instant::now(), lab.stats("c2"));
        thread::sleep(Duration::from_secs(measuring_seconds().max(20)));
        let seconds = began.elapsed().as_secs_f64();
        let cost = each(&lab.stats("c2"), &before, seconds);
        say(&format!("  a waiter: {:.2} requests a second = {}", total(&cost), sum(&cost)));
        assert!(total(&cost) <= MOST_AT_REST, "{cost:?}");
        lab.shared.cue(&terms.cue("release"));
        holder.join().expect("the holder");
        waiter.join().expect("the waiter");
    });
}

/// What clients send each other is dropped.
fn without_a_network_they_poll(lab: &Lab) {
    lab.part_clients();
    for terms in [Terms::patient("parted").with_hints(), Terms::patient("parted-plain")] {
        let kind = if terms.hints { "hints that are dropped" } else { "without hints" };
        say_times(kind, 300, &relay_on(lab, "relay", &terms, 300, 20));
    }
}
