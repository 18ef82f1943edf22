//! Machines that vanish in a seat, while they take over from a dead holder.

use std::{thread, time::Instant};

use crate::{
    lab::{Fate, Lab, Options},
    scene::{lab_for, say},
    shared::wait_until,
    takeover::TOLERANCE,
    terms::Terms,
};

/// The machine in the seat, the request that is never answered, and what happens to the machine
/// then.
const SEATED: [(&str, &str, Fate); 4] = [
    ("c2", "RENAME", Lab::crash),
    ("c3", "RENAME", Lab::mute),
    ("c4", "RENAME", Lab::freeze),
    ("c5", "REMOVE", Lab::crash),
];

#[test]
fn a_machine_that_is_gone_in_a_seat_does_not_keep_it_v3() {
    does_not_keep_it("seat3", "3");
}

#[test]
fn a_machine_that_is_gone_in_a_seat_does_not_keep_it_v42() {
    does_not_keep_it("seat42", "4.2");
}

fn does_not_keep_it(name: &str, version: &str) {
    let options = Options { clients: 1 + SEATED.len(), faults: true, ..Options::default() };
    let Some(lab) = lab_for(name, version, &options) else { return };
    let lab = &lab;
    thread::scope(|scope| {
        for (client, request, fate) in SEATED {
            scope.spawn(move || {
                let name = format!("seat-{client}");
                let terms = Terms::seconds(&name, 5);
                lab.worker("c1", &format!("die {terms}"));
                lab.fault(request, "swallow", client);
                thread::scope(|scope| {
                    scope.spawn(|| lab.worker(client, &format!("take {terms}")));
                    wait_until("the seat", || lab.faults_left_for(client) == 0);
                    fate(lab, client);
                    let begun = Instant::now();
                    lab.worker("c1", &format!("take {terms}")).finished();
                    let took = begun.elapsed();
                    lab.crash(client);
                    let which = format!("{name}: vanished in its {request}");
                    say(&format!("{which}: the next one gets the lock after {took:.1?}"));
                    assert!(took < terms.lifetime + terms.slop + TOLERANCE, "{which}: {took:?}");
                });
            });
        }
    });
}
