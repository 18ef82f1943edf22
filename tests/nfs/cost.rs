//! What it costs the server when a lock that nobody else wants is taken and given back.

use std::collections::BTreeMap;

use crate::{
    flufl::flufl,
    lab::{Lab, Options, Work},
    python::python,
    scene::{lab_for, say},
    terms::Terms,
};

/// Through one handle.
const ROUNDS: u32 = 100;

/// Requests that a cache spares, or doesn't, now and then; and those that a handle begins with.
const ROOM: f64 = 0.3;

#[test]
fn requests_by_operation_v3() {
    requests_by_operation("cost3", "3", 2.0);
}

#[test]
fn requests_by_operation_v42() {
    requests_by_operation("cost42", "4.2", 1.0);
}

/// linklock may ask `more` than the seven calls: to look at what it has taken away, which NFSv3
/// does in two requests.
fn requests_by_operation(name: &str, version: &str, more: f64) {
    let Some(lab) = lab_for(name, version, &Options::default()) else { return };
    let job = |what| format!("{what} {} {ROUNDS}", Terms::patient("lock"));
    let bare = cost(&lab, || lab.worker("c1", &job("bare")));
    let ours = cost(&lab, || lab.worker("c1", &job("rounds")));
    let theirs = python().map(|python| cost(&lab, || flufl(&lab, python, "c1", &job("rounds"))));

    say(&format!("NFSv{version}: requests for one lock and unlock, mean of {ROUNDS}:"));
    for (whose, cost) in
        [("seven calls", Some(&bare)), ("linklock", Some(&ours)), ("flufl.lock", theirs.as_ref())]
    {
        if let Some(cost) = cost {
            say(&format!("  {whose:<11} {:5.2} = {}", total(cost), sum(cost)));
        }
    }
    assert!(total(&ours) <= total(&bare) + more + ROOM);
}

/// The mean number of requests in a round, by operation.
fn cost(lab: &Lab, rounds: impl FnOnce() -> Work) -> BTreeMap<String, f64> {
    let before = lab.stats("c1");
    rounds().finished();
    let mean = |(op, count): (String, u64)| {
        let more = u32::try_from(count - before.get(&op).copied().unwrap_or(0)).expect("a few");
        (op, f64::from(more) / f64::from(ROUNDS))
    };
    lab.stats("c1").into_iter().map(mean).filter(|(_, mean)| *mean > 0.0).collect()
}

fn total(cost: &BTreeMap<String, f64>) -> f64 {
    cost.values().sum()
}

fn sum(cost: &BTreeMap<String, f64>) -> String {
    let terms: Vec<_> = cost.iter().map(|(op, mean)| format!("{mean:.2} {op}")).collect();
    terms.join(" + ")
}
