//! Requests that the server executes when the lease is over and another process has the lock:
//! quickly, and on NFSv3 too, where only a slow server or network makes them so late.

use std::thread;

use crate::{
    lab::{Lab, Options},
    scene::{await_claims, lab_for},
    shared::wait_until,
    successors::{each_had_it, watching_names},
    terms::Terms,
};

#[test]
fn a_late_request_takes_no_other_lock_v3() {
    late_requests("late3", "3");
}

#[test]
fn a_late_request_takes_no_other_lock_v42() {
    late_requests("late42", "4.2");
}

fn late_requests(name: &str, version: &str) {
    let options = Options { faults: true, ..Options::default() };
    let Some(lab) = lab_for(name, version, &options) else { return };
    // Requests of a release, which begins well within the lease, and of a refresh.
    late_request(&lab, "release", "REMOVE");
    late_request(&lab, "keep", "SETATTR");
}

fn late_request(lab: &Lab, what: &str, request: &str) {
    let name = format!("late-{request}");
    let terms = Terms::seconds(&name, 5);
    let (reports, taken) = watching_names(lab, || {
        thread::scope(|scope| {
            let holder = scope.spawn(|| lab.worker("c1", &format!("{what} {terms}")));
            lab.shared.await_cue(&terms.held_by("c1"));
            let successor = scope.spawn(|| lab.worker("c2", &format!("take-over {terms}")));
            await_claims(lab, "c2", &[terms]);
            lab.fault(request, "late=15", "c1");
            if what == "keep" {
                wait_until("a late refresh", || lab.faults_left() == 0);
            }
            lab.shared.cue(&terms.cue("release"));
            let mut reports = holder.join().expect("the holder").finished();
            reports.extend(successor.join().expect("the successor").finished());
            reports
        })
    });
    assert_eq!(lab.faults_left(), 0);
    each_had_it(lab, &terms, 1, &reports, &taken);
}
