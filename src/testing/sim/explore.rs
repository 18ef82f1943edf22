//! Exploring a scenario: all schedules with few deviations, or many random ones. A violation is
//! shown as a trace, with the command that replays it.

use std::env;

use super::run::{Outcome, run};
use super::scenario::Scenario;
use super::schedule::{Deviations, Exhaustive, Random, Schedule};
use crate::testing::is_exhaustive;

/// How many random schedules of each scenario are tried, unless this variable sets another number.
const SCHEDULES: (&str, u64) = ("LINKLOCK_SCHEDULES", 500);
/// Replays one random schedule, by its seed.
const SEED: &str = "LINKLOCK_SEED";
/// Replays one schedule, by its deviations from the undisturbed one.
const DEVIATIONS: &str = "LINKLOCK_DEVIATIONS";
/// How many random schedules are tried before a missing safeguard counts as unnoticed.
const UNTIL_FOUND: u64 = 20_000;

/// The result of exploring a scenario.
#[derive(Debug, Default)]
pub(super) struct Explored {
    schedules: u64,
    tenures: usize,
    excused: u64,
    found: Option<Found>,
}

/// A violation, with its description and the trace of the run.
#[derive(Debug)]
struct Found {
    violation: String,
    trace: String,
}

impl Explored {
    fn count(&mut self, outcome: &Outcome) {
        self.schedules += 1;
        self.tenures += outcome.tenures;
        self.excused += u64::from(outcome.excused);
    }

    fn finds(&mut self, outcome: Outcome, replay: &str) {
        let Some(violation) = outcome.violation else {
            panic!("the same schedule led to a different run: {replay}");
        };
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        let steps = outcome.trace.join("\n");
        let trace = format!(
            "{steps}\n\n{violation}\n\nschedule {} of {test}; again:\n  {replay} cargo test \
             --release --lib {test} -- --exact --nocapture\n",
            self.schedules
        );
        self.found = Some(Found { violation, trace });
    }

    /// No violation was found, and most runs were subject to a promise.
    #[track_caller]
    pub(super) fn assert_safe(self) {
        if let Some(found) = self.found {
            panic!("{}", found.trace);
        }
        let Explored { schedules, tenures, excused, .. } = self;
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        println!("explored {schedules} schedules with {tenures} tenures: {test}");
        if excused > 0 {
            println!("    in {excused} of them a neighbour broke a lock by its own rules");
        }
        assert!(excused * 2 <= schedules, "too few runs prove anything");
    }

    /// A violation of one of these kinds was found.
    #[track_caller]
    pub(super) fn assert_found(self, kinds: &[&str]) {
        let Some(found) = self.found else {
            panic!("nothing was found in {} schedules", self.schedules);
        };
        let is_expected = kinds.iter().any(|kind| found.violation.contains(kind));
        assert!(is_expected, "an unexpected violation was found:\n{}", found.trace);
        println!("found after {} schedules: {}", self.schedules, found.violation);
        if env::var_os(SEED).is_some() || env::var_os(DEVIATIONS).is_some() {
            println!("{}", found.trace);
        }
    }
}

/// Every run with at most this many deviations from the undisturbed one.
pub(super) fn explore(scenario: &Scenario, deviations: usize) -> Explored {
    let mut explored = Explored::default();
    if let Ok(text) = env::var(DEVIATIONS) {
        let mut schedule = Deviations::parse(&text).expect("like 12:3,40:1");
        let outcome = run(scenario, &mut schedule, true);
        explored.count(&outcome);
        println!("{}", outcome.trace.join("\n"));
        if outcome.violation.is_some() {
            explored.finds(outcome, &format!("{DEVIATIONS}={text}"));
        }
        return explored;
    }
    let mut schedule = Exhaustive::new(deviations);
    loop {
        let outcome = run(scenario, &mut schedule, false);
        explored.count(&outcome);
        if outcome.violation.is_some() {
            let mut same = schedule.deviations();
            let replay = format!("{DEVIATIONS}={same}");
            explored.finds(run(scenario, &mut same, true), &replay);
            return explored;
        }
        if !schedule.next_run() {
            return explored;
        }
    }
}

/// Every run with at most two deviations from the undisturbed one, where tests are [exhaustive];
/// otherwise with one.
///
/// [exhaustive]: is_exhaustive
pub(super) fn explore_pairs(scenario: &Scenario) -> Explored {
    explore(scenario, if is_exhaustive() { 2 } else { 1 })
}

/// Random runs, as many as are configured.
pub(super) fn sample(scenario: &Scenario) -> Explored {
    let (variable, usual) = SCHEDULES;
    let count = env::var(variable).ok().map(|count| count.parse().expect("a number"));
    sample_up_to(scenario, count.unwrap_or(usual))
}

/// Random runs until a violation is found, up to [`UNTIL_FOUND`].
pub(super) fn search(scenario: &Scenario) -> Explored {
    sample_up_to(scenario, UNTIL_FOUND)
}

fn sample_up_to(scenario: &Scenario, count: u64) -> Explored {
    let only = env::var(SEED).ok().map(|seed| seed.parse::<u64>().expect("a number"));
    let mut explored = Explored::default();
    for seed in only.map_or(0..count, |seed| seed..seed + 1) {
        let schedule = || Box::new(Random::new(seed, scenario.processes())) as Box<dyn Schedule>;
        let outcome = run(scenario, &mut *schedule(), only.is_some());
        explored.count(&outcome);
        if outcome.violation.is_some() {
            explored.finds(run(scenario, &mut *schedule(), true), &format!("{SEED}={seed}"));
            return explored;
        }
        if only.is_some() {
            println!("{}", run(scenario, &mut *schedule(), true).trace.join("\n"));
        }
    }
    explored
}
