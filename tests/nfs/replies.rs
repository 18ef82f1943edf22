//! Single requests whose reply is lost, that never arrive, or arrive twice.
//!
//! A client that gets no reply repeats its request. If the server still has its reply, or never got
//! the request, all is well. If it has forgotten the reply (after a restart, or after too many
//! other requests), it executes the request again, and the client believes the second reply.

use crate::{
    lab::{Lab, Options},
    scene::{contention, crowd, lab_for, left_behind, one_at_a_time},
    shared::wait_until,
    terms::Terms,
};

#[test]
fn a_request_and_its_reply_may_be_lost_v3() {
    let Some(lab) = faulty_lab("replies3", "3") else { return };
    go_astray(&lab, &["CREATE", "WRITE", "SETATTR", "LINK", "RENAME", "REMOVE"]);
}

#[test]
fn a_request_and_its_reply_may_be_lost_v42() {
    let Some(lab) = faulty_lab("replies42", "4.2") else { return };
    go_astray(&lab, &["OPEN", "WRITE", "SETATTR", "LINK", "RENAME", "REMOVE"]);
}

fn faulty_lab(name: &str, version: &str) -> Option<Lab> {
    lab_for(name, version, &Options { faults: true, ..Options::default() })
}

/// `requests` are those of an acquisition and a release.
fn go_astray(lab: &Lab, requests: &[&str]) {
    the_kernel_tells_an_untruth(lab);
    for (name, action) in [("call", "lostcall"), ("reply", "lostreply")] {
        a_lock_is_taken_and_given_back(lab, name, action, requests);
    }
    let once_each = ["LINK", "RENAME", "REMOVE"];
    a_lock_is_taken_and_given_back(lab, "forgotten", "lostreply+flush", &once_each);
    a_lock_is_taken_and_given_back(lab, "twice", "dup", &["LINK"]);
    assert_eq!(left_behind(lab), ["bare", "bare.c1"]);

    // Only LINK: README.md explains what a RENAME that is executed twice does among contenders.
    let terms = Terms::patient("contended");
    let crowd = crowd(lab, 2);
    let kept = format!("contend-kept {terms}");
    let contender =
        |client: &str, job: &str| crowd(client, if client == "c2" { &kept } else { job });
    one_at_a_time(contention(lab, "contend", &terms, contender, || {
        for client in lab.clients() {
            lab.fault("LINK", "lostreply+flush", &client);
            wait_until("the fault", || lab.faults_left() == 0);
        }
    }));
}

/// Why linklock does not rely on the result of link(2).
fn the_kernel_tells_an_untruth(lab: &Lab) {
    let terms = Terms::patient("bare");
    lab.fault("LINK", "lostreply+flush", "c1");
    let linked = lab.worker("c1", &format!("link {terms}")).finished();
    assert_eq!(linked, ["link Err(AlreadyExists)"]);
    assert_eq!(lab.faults_left(), 0);
    let links = lab.exec("server", &["stat", "-c", "%h", "/srv/export/bare"]);
    assert_eq!(links.stdout, b"2\n", "yet the link exists");
}

/// Each of `requests` meets its fault once, while a client acquires a lock, and the client notices
/// nothing.
fn a_lock_is_taken_and_given_back(lab: &Lab, name: &str, action: &str, requests: &[&str]) {
    let terms = Terms::patient(name);
    for op in requests {
        lab.fault(op, action, "c1");
    }
    let cycle = lab.worker("c1", &format!("cycle {terms}")).finished();
    assert_eq!(cycle, ["lock Ok", "verify Ok", "unlock Ok"], "{action}");
    assert_eq!(lab.faults_left(), 0, "{action}: not all of {requests:?} were sent");
    assert_eq!(lab.worker("c2", &format!("try {terms} 0")).finished(), ["try Ok"], "{action}");
}
