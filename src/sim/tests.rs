//! What is explored, and what must be found when a safeguard is missing.

use std::ops::Range;

use super::run::{Actor, Faults, Outcome, Scenario, Script, run};
use super::schedule::{Exhaustive, Random};
use super::world::Caching;
use crate::holder::StalePolicy;
use crate::safeguard::Safeguard;

/// Takes the lock, works under it, refreshes it, works, and gives it back.
fn tenure(actor: &Actor) {
    let Some(guard) = actor.lock() else { return };
    actor.sleep(2);
    if actor.refresh(&guard) {
        actor.sleep(2);
    }
    actor.unlock(guard);
}

/// Takes the lock and gives it back.
fn brief_tenure(actor: &Actor) {
    if let Some(guard) = actor.lock() {
        actor.unlock(guard);
    }
}

fn two_tenures(actor: &Actor) {
    brief_tenure(actor);
    tenure(actor);
}

/// The processes and their machines, on a network file system.
fn scenario(processes: &[(&'static str, usize, Script)]) -> Scenario {
    Scenario {
        processes: processes.to_vec(),
        // One has run for days and is an hour fast, one was just started and is an hour slow.
        clients: vec![(500_000, 3600), (5, -3600), (70, 0)],
        policy: StalePolicy::ExpiredOrDead,
        local: false,
        faults: Faults::default(),
        caching: Caching::Nothing,
    }
}

fn two() -> Scenario {
    scenario(&[("alice", 0, tenure), ("bob", 1, tenure)])
}

fn three() -> Scenario {
    scenario(&[("alice", 0, two_tenures), ("bob", 1, two_tenures), ("carol", 1, tenure)])
}

fn five() -> Scenario {
    scenario(&[
        ("alice", 0, two_tenures),
        ("bob", 1, two_tenures),
        ("carol", 1, tenure),
        ("dave", 2, two_tenures),
        ("eve", 2, tenure),
    ])
}

const CRASH: Faults = Faults { crashes: 1, repeats: 0, errors: 0 };
const CRASHES: Faults = Faults { crashes: 2, repeats: 0, errors: 0 };
const TROUBLE: Faults = Faults { crashes: 1, repeats: 0, errors: 2 };

/// How many random schedules each test tries: in CI they are a million in all.
fn seeds() -> Range<u64> {
    let count = std::env::var("LINKLOCK_SCHEDULES").ok().and_then(|count| count.parse().ok());
    0..count.unwrap_or(3_000)
}

fn report(outcome: &Outcome, how: &str) -> String {
    let violation = outcome.violation.as_deref().unwrap_or("nothing is wrong");
    format!("{}\n\n{how}: {violation}\n", outcome.trace.join("\n"))
}

/// Every run with at most so many deviations from the undisturbed one.
fn explore(scenario: &Scenario, deviations: usize) -> Result<String, String> {
    let mut schedule = Exhaustive::new(deviations);
    for runs in 1.. {
        if run(scenario, &mut schedule, false).violation.is_some() {
            schedule.again();
            let outcome = run(scenario, &mut schedule, true);
            return Err(report(&outcome, &format!("deviations: {deviations}, run {runs}")));
        }
        if !schedule.next_run() {
            return Ok(format!("{runs} runs, which are all with {deviations} deviations"));
        }
    }
    unreachable!("numbers do not end")
}

/// Random runs. `LINKLOCK_SEED` replays a single one.
fn sample(scenario: &Scenario) -> Result<String, String> {
    let only = std::env::var("LINKLOCK_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let seeds = only.map_or_else(seeds, |seed| seed..seed + 1);
    let (mut tenures, runs) = (0, seeds.end - seeds.start);
    for seed in seeds {
        let schedule = || Random::new(seed, scenario.processes.len() + 1);
        let outcome = run(scenario, &mut schedule(), false);
        tenures += outcome.tenures;
        if outcome.violation.is_some() {
            let outcome = run(scenario, &mut schedule(), true);
            return Err(report(&outcome, &format!("LINKLOCK_SEED={seed}")));
        }
    }
    Ok(format!("{runs} random runs, {tenures} tenures"))
}

fn assert_safe(shown: Result<String, String>) {
    match shown {
        Ok(explored) => println!("{explored}"),
        Err(trace) => {
            println!("{trace}");
            panic!("something is wrong: the trace is above");
        }
    }
}

/// Takes the lock and keeps it for longer than its lifetime and the slop together.
fn long_tenure(actor: &Actor) {
    let Some(guard) = actor.lock() else { return };
    for _ in 0..6 {
        actor.sleep(9);
        actor.refresh(&guard);
    }
    actor.unlock(guard);
}

/// One who keeps the lock for long, and two who wait on other machines.
fn long_tenures() -> Scenario {
    scenario(&[("alice", 0, long_tenure), ("bob", 1, two_tenures), ("carol", 2, two_tenures)])
}

/// Takes the lock and dies.
fn last_tenure(actor: &Actor) {
    if let Some(_guard) = actor.lock() {
        actor.die();
    }
}

/// A dead holder, and three on its machine who would succeed it at once.
fn succession() -> Scenario {
    let heirs = [("bob", 0, tenure as Script), ("carol", 0, tenure), ("dave", 0, tenure)];
    let mut scenario = scenario(&heirs);
    scenario.processes.insert(0, ("alice", 0, last_tenure));
    scenario.local = true;
    scenario
}

/// A dead holder, and four on other machines who would succeed it once its lease is over.
fn succession_by_lease() -> Scenario {
    scenario(&[
        ("alice", 0, last_tenure),
        ("bob", 1, brief_tenure),
        ("carol", 1, brief_tenure),
        ("dave", 2, brief_tenure),
        ("eve", 2, brief_tenure),
    ])
}

/// With its safeguards the scenario is safe. Without these something is found to be wrong.
fn assert_needed(removed: &'static [Safeguard], scenario: &Scenario, violations: &[&str]) {
    assert_safe(sample(scenario));
    assert_found(Safeguard::without(removed, || sample(scenario)), violations);
}

fn assert_found(shown: Result<String, String>, violations: &[&str]) {
    let trace = shown.expect_err("nothing was found");
    println!("{trace}");
    let found = violations.iter().any(|violation| trace.contains(violation));
    assert!(found, "something else was found: the trace is above");
}

/// Two hold the lock, or one is told that it still does.
const UNSAFE: &[&str] = &["while the lease of", "was not told that it lost it"];

#[test]
fn two_processes_in_every_order() {
    assert_safe(explore(&Scenario { faults: CRASH, ..two() }, 2));
}

#[test]
fn two_processes_in_every_order_on_a_local_file_system() {
    assert_safe(explore(&Scenario { faults: CRASH, local: true, ..two() }, 2));
}

#[test]
fn two_processes_with_errors_in_every_order() {
    assert_safe(explore(&Scenario { faults: TROUBLE, ..two() }, 2));
}

#[test]
fn three_processes_and_crashes() {
    assert_safe(sample(&Scenario { faults: CRASHES, ..three() }));
}

#[test]
fn three_processes_and_crashes_on_a_local_file_system() {
    assert_safe(sample(&Scenario { faults: CRASHES, local: true, ..three() }));
}

#[test]
fn three_processes_with_stale_names() {
    assert_safe(sample(&Scenario { faults: CRASHES, caching: Caching::Names, ..three() }));
}

#[test]
fn three_processes_and_errors() {
    assert_safe(sample(&Scenario { faults: TROUBLE, caching: Caching::Names, ..three() }));
}

#[test]
fn five_processes_and_crashes() {
    assert_safe(sample(&Scenario { faults: CRASHES, caching: Caching::Names, ..five() }));
}

#[test]
fn three_processes_and_long_tenures() {
    assert_safe(sample(&Scenario { caching: Caching::Names, ..long_tenures() }));
}

#[test]
fn five_processes_by_leases_alone() {
    let policy = StalePolicy::Expired;
    assert_safe(sample(&Scenario { faults: CRASHES, policy, ..five() }));
}

/// A third could take the lock while the second's is put back: that is what no lock can prevent on
/// a server that executes a RENAME twice. See the crate's docs.
#[test]
fn two_processes_and_requests_executed_twice() {
    let faults = Faults { crashes: 0, repeats: 1, errors: 0 };
    assert_safe(explore(&Scenario { faults, ..two() }, 2));
    assert_safe(sample(&Scenario { faults, ..two() }));
}

#[test]
fn heirs_by_lease() {
    assert_safe(sample(&succession_by_lease()));
}

#[test]
fn heirs_in_every_order() {
    assert_safe(explore(&succession(), 2));
}

#[test]
fn the_seat_is_needed() {
    // Without the put-back, which mends most of it.
    assert_needed(&[Safeguard::Seat, Safeguard::LookAtCatch], &succession(), UNSAFE);
}

#[test]
fn the_second_look_is_needed() {
    assert_needed(&[Safeguard::SecondLook, Safeguard::LookAtCatch], &succession(), UNSAFE);
}

#[test]
fn the_touch_before_the_seat_is_needed() {
    // A seat with an expired claim in it is no seat: nobody ever acts in one.
    let scenario = Scenario { faults: CRASHES, ..five() };
    assert_needed(&[Safeguard::TouchBeforeSeat], &scenario, &["never come to an end"]);
}

#[test]
fn the_late_holders_seat_is_needed() {
    let scenario = Scenario { faults: CRASHES, local: true, ..five() };
    assert_needed(&[Safeguard::LateHolderTakesSeat], &scenario, UNSAFE);
}

/// Of the two, each makes up for the other: whoever links a claim that has expired meanwhile is late
/// from the first moment on, and keeps to the rule for those. flufl.lock has neither.
#[test]
fn keeping_the_claim_fresh_is_needed() {
    let removed = &[Safeguard::FreshWhileWaiting, Safeguard::LateHolderTakesSeat];
    assert_needed(removed, &long_tenures(), UNSAFE);
}

#[test]
fn the_look_at_the_inode_is_needed() {
    let faults = Faults { crashes: 0, repeats: 1, errors: 0 };
    let scenario = Scenario { faults, ..two() };
    assert_needed(&[Safeguard::TruthIsInode], &scenario, &["holds a lock already"]);
}

#[test]
fn forced_attributes_are_needed() {
    let scenario = |caching| Scenario { faults: CRASHES, caching, ..five() };
    assert_safe(sample(&scenario(Caching::Names)));
    assert_found(sample(&scenario(Caching::Everything)), UNSAFE);
}
