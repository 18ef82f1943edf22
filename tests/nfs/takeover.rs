//! Holders that are killed, or stopped for longer than their lease, and their successors.

use std::{thread, time::Duration};

use crate::{
    lab::{GUEST_DIED, Lab, Options},
    scene::{killed, lab_for, left_behind, say, the_tenure, while_held},
    shared::LIMIT,
    tenure::{self, Tenure},
    terms::Terms,
};

/// How much longer than necessary a takeover may take on a busy machine: far less than the hour by
/// which the clocks are set wrong.
pub(crate) const TOLERANCE: Duration = Duration::from_secs(20);

/// The accuracy to which the guests' clocks follow the host's while they are not set.
const PRECISION: Duration = Duration::from_millis(500);

#[test]
fn a_lock_is_taken_over_when_its_tenure_is_over_and_not_before_v3() {
    takeovers("over3", "3");
}

#[test]
fn a_lock_is_taken_over_when_its_tenure_is_over_and_not_before_v42() {
    takeovers("over42", "4.2");
}

fn takeovers(name: &str, version: &str) {
    let Some(lab) = lab_for(name, version, &Options::default()) else { return };
    let (on_same_host, on_another) = thread::scope(|scope| {
        let on_same_host = scope.spawn(|| a_neighbour_takes_over_from_the_dead(&lab));
        let on_another = another_host_takes_over_from_the_dead(&lab, "dead", "c1", "c2");
        (on_same_host.join().expect("the neighbour"), on_another)
    });
    a_frozen_client_learns_its_loss(&lab);
    clocks_do_not_matter(&lab);
    the_lock_of_a_client_without_power_is_taken_over(&lab);
    assert_eq!(left_behind(&lab), [""; 0]);
    say(&format!(
        "NFSv{version}: a dead holder's lock is taken over on its host {on_same_host:.1?} after it took \
         the lock, on another host {on_another:.1?} after its lease"
    ));
}

/// A process that can prove the holder dead need not wait for its lease, only for the slop, in
/// which the dead holder's last request may arrive.
fn a_neighbour_takes_over_from_the_dead(lab: &Lab) -> Duration {
    let terms = Terms::seconds("neighbour", 100);
    let (dead, successor) = (die(lab, &terms, "c1"), take(lab, &terms, "c1"));
    let after = successor.from.time.duration_since(dead.from.time).expect("the successor is later");
    after_the_slop(&terms, after)
}

fn another_host_takes_over_from_the_dead(
    lab: &Lab,
    name: &str,
    holder: &str,
    successor: &str,
) -> Duration {
    let terms = Terms::seconds(name, 3);
    let (dead, successor) = (die(lab, &terms, holder), take(lab, &terms, successor));
    taken_over_in_time(&terms, &dead, &successor)
}

/// A whole client loses power, with its mount; when it is back it is like any other.
fn the_lock_of_a_client_without_power_is_taken_over(lab: &Lab) {
    let terms = Terms::seconds("power", 3);
    thread::scope(|scope| {
        let holder = scope.spawn(|| lab.worker("c1", &format!("hold {terms}")));
        lab.shared.await_cue(&terms.held_by("c1"));
        lab.crash("c1");
        assert_eq!(holder.join().expect("the holder").status, GUEST_DIED);
    });
    take(lab, &terms, "c2");
    lab.start("c1");
    take(lab, &terms, "c1");
}

/// It resumes while others have its locks, and must not disturb them, whatever it tries.
fn a_frozen_client_learns_its_loss(lab: &Lab) {
    let (kept, idle) = (Terms::seconds("kept", 3), Terms::seconds("idle", 3));
    let stall = || lab.worker("c1", &format!("stall {kept} {idle}")).finished();
    let hold = |terms| {
        let job = format!("hold {}", Terms { lifetime: LIMIT, ..terms });
        move || lab.worker("c2", &job)
    };
    let (frozen, successors) = thread::scope(|scope| {
        let frozen = scope.spawn(stall);
        lab.shared.await_cue(&kept.held_by("c1"));
        lab.freeze("c1");
        let mut reports = Vec::new();
        let mut successor_of_idle = None;
        let successor_of_kept = while_held(lab, &kept, "c2", hold(kept), || {
            successor_of_idle = Some(while_held(lab, &idle, "c2", hold(idle), || {
                lab.thaw("c1");
                reports = frozen.join().expect("the frozen worker");
            }));
        });
        (reports, [successor_of_kept, successor_of_idle.expect("it was held")])
    });
    let lost = frozen.iter().filter(|line| !line.starts_with("tenure "));
    assert!(
        lost.eq(["keep-alive Lost", "refresh Lost", "verify Lost", "unlock Lost", "unlock Lost"]),
        "{frozen:?}"
    );
    // The checker takes the tenures of one lock.
    for (tenure, successor) in tenure::among(&frozen, &lab.shared).into_iter().zip(successors) {
        assert_eq!(tenure::overlapping(&[tenure, successor]), []);
    }
}

/// Both clients' dates are wrong, by an hour in either direction.
fn clocks_do_not_matter(lab: &Lab) {
    lab.skew("c1", 3600);
    lab.skew("c2", -3600);
    thread::scope(|scope| {
        for (name, holder, waiter) in [("ahead", "c1", "c2"), ("behind", "c2", "c1")] {
            scope.spawn(move || the_living_are_left_alone(lab, name, holder, waiter));
            let name = format!("{name}.dead");
            scope.spawn(move || another_host_takes_over_from_the_dead(lab, &name, holder, waiter));
        }
    });
}

fn the_living_are_left_alone(lab: &Lab, name: &str, holder: &str, waiter: &str) {
    let terms = Terms::seconds(name, 30);
    let hold = || lab.worker(holder, &format!("hold {terms}"));
    while_held(lab, &terms, holder, hold, || {
        let tried = lab.worker(waiter, &format!("try {terms} 3"));
        assert_eq!(tried.finished(), ["try TimedOut"]);
    });
    assert_eq!(lab.worker(waiter, &format!("try {terms} 3")).finished(), ["try Ok"]);
}

fn die(lab: &Lab, terms: &Terms, client: &str) -> Tenure {
    killed(lab, &lab.worker(client, &format!("die {terms}")))
}

fn take(lab: &Lab, terms: &Terms, client: &str) -> Tenure {
    the_tenure(lab, &lab.worker(client, &format!("take {terms}")).finished())
}

/// Asserts that it was not before the lease and the slop were over, and soon after; returns how
/// long after the lease.
pub(crate) fn taken_over_in_time(terms: &Terms, dead: &Tenure, successor: &Tenure) -> Duration {
    let after = successor.from.time.duration_since(dead.lease_ends).expect("the lease to be over");
    after_the_slop(terms, after)
}

fn after_the_slop(terms: &Terms, time: Duration) -> Duration {
    let is_timely = terms.slop <= time + PRECISION && time < terms.slop + TOLERANCE;
    assert!(is_timely, "{terms}: {time:?}");
    time
}
