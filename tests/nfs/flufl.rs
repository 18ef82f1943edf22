//! A lock that is used by flufl.lock on one client and by linklock on another.

use std::{path::Path, thread};

use crate::{
    kit::python::python,
    lab::{Lab, Options, Work},
    scene::{self, killed, lab_for, left_behind, say, the_tenure, while_held},
    takeover::taken_over_in_time,
    terms::Terms,
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/nfs/worker.py");

#[test]
fn flufl_lock_and_linklock_keep_each_other_out_v3() {
    keep_each_other_out("flufl3", "3");
}

#[test]
fn flufl_lock_and_linklock_keep_each_other_out_v42() {
    keep_each_other_out("flufl42", "4.2");
}

/// A worker, ours or flufl.lock, that does a job on a client.
type Worker<'a> = &'a (dyn Fn(&str, &str) -> Work + Sync);

fn keep_each_other_out(name: &str, version: &str) {
    let Some(lab) = lab_for(name, version, &Options::default()) else { return };
    let Some(python) = python() else { return };
    let lab = &lab;
    let ours: Worker = &|client, job| lab.worker(client, job);
    let theirs: Worker = &|client, job| flufl(lab, python, client, job);
    thread::scope(|scope| {
        for (name, holder, other) in [("theirs", theirs, ours), ("ours", ours, theirs)] {
            scope.spawn(move || the_living_are_left_alone(lab, name, holder, other));
            scope.spawn(move || {
                the_dead_are_taken_over_from(lab, &format!("{name}.dead"), holder, other);
            });
        }
    });
    contention(lab, ours, theirs);
    assert_eq!(left_behind(lab), [""; 0]);
}

/// Has flufl.lock do a job on a client.
pub(crate) fn flufl(lab: &Lab, python: &Path, client: &str, job: &str) -> Work {
    let python = python.to_str().expect("a path in UTF-8");
    let job: Vec<&str> = job.split(' ').collect();
    lab.work(client, &[&[python, SCRIPT], &job[..]].concat())
}

fn the_living_are_left_alone(lab: &Lab, name: &str, holder: Worker, other: Worker) {
    let terms = Terms::seconds(name, 30);
    while_held(
        lab,
        &terms,
        "c1",
        || holder("c1", &format!("hold {terms}")),
        || {
            let tried = other("c2", &format!("try {terms} 3"));
            assert_eq!(tried.finished(), ["try TimedOut"]);
        },
    );
    assert_eq!(other("c2", &format!("try {terms} 3")).finished(), ["try Ok"]);
}

fn the_dead_are_taken_over_from(lab: &Lab, name: &str, holder: Worker, other: Worker) {
    let terms = Terms::seconds(name, 3);
    let dead = killed(lab, &holder("c1", &format!("die {terms}")));
    let successor = the_tenure(lab, &other("c2", &format!("take {terms}")).finished());
    taken_over_in_time(&terms, &dead, &successor);
}

fn contention(lab: &Lab, ours: Worker, theirs: Worker) {
    let contend = |client: &str, job: &str| match client {
        "c1" => theirs(client, job),
        _ => ours(client, job),
    };
    let tenures = scene::contend(lab, "mixed", contend, || ());
    let theirs = tenures.iter().filter(|tenure| tenure.vm == "c1").count();
    say(&format!("{theirs} tenures of flufl.lock among {} of all", tenures.len()));
}
