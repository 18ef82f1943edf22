//! The cost to the server of an acquisition and a release without contention.

use std::collections::BTreeMap;

use crate::{
    flufl::flufl,
    kit::python::python,
    lab::{Lab, Options, Work},
    scene::{lab_for, say},
    terms::Terms,
};

/// Rounds through one handle.
const ROUNDS: u32 = 100;

/// Requests that a cache may save now and then, and those with which a handle begins.
const ROOM: f64 = 0.3;

/// Requests that a listing of the directory may take.
const LISTING: f64 = 3.0;

/// The requests that linklock may need beyond the bare calls, because it renames the lock file, and
/// checks which one it has caught, before it removes it.
struct Beyond {
    /// One less, because a claim with an unpredictable name needs no exclusive create, which takes
    /// a SETATTR of its own.
    made: f64,
    /// One more: the release of a kept claim begins with a touch, where that of another claim
    /// begins with its removal.
    kept: f64,
}

#[test]
fn requests_by_operation_v3() {
    requests_by_operation("cost3", "3", &Beyond { made: 2.0, kept: 4.0 });
}

#[test]
fn requests_by_operation_v42() {
    requests_by_operation("cost42", "4.2", &Beyond { made: 1.0, kept: 3.0 });
}

fn requests_by_operation(name: &str, version: &str, beyond: &Beyond) {
    let Some(lab) = lab_for(name, version, &Options::default()) else { return };
    let job = |what| format!("{what} {} {ROUNDS}", Terms::patient("lock"));
    let ours = |what| cost(&lab, || lab.worker("c1", &job(what)));
    let theirs = python().map(|python| cost(&lab, || flufl(&lab, python, "c1", &job("rounds"))));
    let [bare, linklock, bare_kept, kept, read, write] =
        ["bare", "rounds", "bare-kept", "rounds-kept", "rounds-read", "rounds-write"].map(ours);

    say(&format!("NFSv{version}: requests for one lock and unlock, mean of {ROUNDS}:"));
    for (whose, cost) in [
        ("seven calls", Some(&bare)),
        ("linklock", Some(&linklock)),
        ("flufl.lock", theirs.as_ref()),
        ("three calls", Some(&bare_kept)),
        ("claim kept", Some(&kept)),
        ("to read", Some(&read)),
        ("to write", Some(&write)),
    ] {
        if let Some(cost) = cost {
            say(&format!("  {whose:<11} {:5.2} = {}", total(cost), sum(cost)));
        }
    }
    assert!(total(&linklock) <= total(&bare) + beyond.made + ROOM);
    assert!(total(&kept) <= total(&bare_kept) + beyond.kept + ROOM);
    // The lock file by a kept claim, and a lock of one's own.
    assert!(total(&read) <= total(&kept) + total(&linklock) + ROOM);
    assert!(total(&write) <= total(&linklock) + LISTING + ROOM);
}

/// Requests by operation, in a round or a second.
pub(crate) type Cost = BTreeMap<String, f64>;

fn cost(lab: &Lab, rounds: impl FnOnce() -> Work) -> Cost {
    let before = lab.stats("c1");
    rounds().finished();
    each(&lab.stats("c1"), &before, ROUNDS.into())
}

/// The requests since `before`, in each of so many rounds or seconds.
pub(crate) fn each(
    after: &BTreeMap<String, u64>,
    before: &BTreeMap<String, u64>,
    count: f64,
) -> Cost {
    let more = |(op, after): (&String, &u64)| {
        let more = after - before.get(op).copied().unwrap_or(0);
        (op.clone(), f64::from(u32::try_from(more).expect("fewer")) / count)
    };
    after.iter().map(more).filter(|(_, each)| *each > 0.0).collect()
}

pub(crate) fn total(cost: &Cost) -> f64 {
    cost.values().sum()
}

pub(crate) fn sum(cost: &Cost) -> String {
    let terms: Vec<_> = cost.iter().map(|(op, each)| format!("{each:.2} {op}")).collect();
    terms.join(" + ")
}
