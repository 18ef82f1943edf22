//! All clients contend for one lock, several processes on each.

use std::{thread, time::Duration};

use crate::{
    lab::{Lab, Options},
    scene::{contend, contention, crowd, lab_for, left_behind, one_at_a_time, say},
    tenure::{handovers, overlapping},
    terms::Terms,
};

/// How often the control is tried.
const ROUNDS: usize = 30;

#[test]
fn one_holder_at_a_time_v3() {
    let Some(lab) = lab_for("contend3", "3", &Options::default()) else { return };
    in_every_way(&lab, "NFSv3");
}

#[test]
fn one_holder_at_a_time_v42() {
    let Some(lab) = lab_for("contend42", "4.2", &Options::default()) else { return };
    in_every_way(&lab, "NFSv4.2");
}

#[test]
fn one_holder_at_a_time_without_attribute_caches_v3() {
    let noac = Options { mount: "noac", ..Options::default() };
    let Some(lab) = lab_for("noac3", "3", &noac) else { return };
    while_clocks_are_disturbed(&lab, "NFSv3, noac");
}

#[test]
fn one_holder_at_a_time_without_attribute_caches_v42() {
    let noac = Options { mount: "noac", ..Options::default() };
    let Some(lab) = lab_for("noac42", "4.2", &noac) else { return };
    while_clocks_are_disturbed(&lab, "NFSv4.2, noac");
}

fn in_every_way(lab: &Lab, what: &str) {
    while_clocks_are_disturbed(lab, what);
    with_kept_claims(lab);
    while_holders_are_killed(lab);
    the_checks_detect_a_lock_that_excludes_nobody(lab);
}

fn while_clocks_are_disturbed(lab: &Lab, what: &str) {
    let tenures = contend(lab, "lock", crowd(lab, 3), || disturb_clocks(lab));
    let median = |gaps: Vec<Duration>| {
        let gap = gaps.get(gaps.len() / 2);
        gap.map_or("no time".to_owned(), |gap| format!("{} ms", gap.as_millis()))
    };
    let [across, within] = handovers(&tenures).map(median);
    say(&format!(
        "{what}: {} tenures; handed over to another client in {across}, on one client in {within} (medians)",
        tenures.len()
    ));
    assert_eq!(left_behind(lab), [""; 0]);
}

/// A process that takes the lock again does so with the same inode.
fn with_kept_claims(lab: &Lab) {
    one_at_a_time(contention(lab, "contend-kept", &Terms::patient("kept"), crowd(lab, 3), || ()));
    assert_eq!(left_behind(lab), [""; 0]);
}

/// Each contender is killed in its ninth tenure, and replaced.
fn while_holders_are_killed(lab: &Lab) {
    let terms = Terms::seconds("killed", 10);
    let crowd = crowd(lab, 3);
    let contender = |client: &str, job: &str| crowd(client, &format!("again {job}"));
    let is_over = || {
        for client in lab.clients() {
            lab.shared.await_cue(&terms.died_on(&client));
        }
    };
    one_at_a_time(contention(lab, "contend-killed", &terms, contender, is_over));
    // After the last one to die there may be no other contender.
    lab.worker("c1", &format!("take {terms}")).finished();
    assert_eq!(left_behind(lab), [""; 0]);
}

/// The control: with a lock that each client has for itself, clients hold it at the same time, and
/// both checks must detect that. On a busy machine, guests may run in turns for a while.
fn the_checks_detect_a_lock_that_excludes_nobody(lab: &Lab) {
    let is_detected = |round| {
        let name = format!("apart-{round}");
        let found = contention(lab, "contend-apart", &Terms::patient(&name), crowd(lab, 3), || ());
        !overlapping(&found.tenures).is_empty() && found.witnessed > 0
    };
    assert!((0..ROUNDS).any(is_detected), "never, in {ROUNDS} rounds");
}

/// Sets the clients' dates two hours apart, and stops one client for less than a lease.
fn disturb_clocks(lab: &Lab) {
    lab.skew("c1", 3600);
    lab.skew("c2", -3600);
    lab.freeze("c1");
    thread::sleep(Duration::from_secs(3));
    lab.thaw("c1");
}
