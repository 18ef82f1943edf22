//! More than one holder at a time: of slots, and of a lock that readers share. Several processes on each
//! client.

use crate::{
    lab::{Lab, Options},
    scene::{contention, crowd, lab_for, left_behind, one_at_a_time, say},
    terms::Terms,
};

#[test]
fn slots_and_readers_v3() {
    let Some(lab) = lab_for("several3", "3", &Options::default()) else { return };
    slots_and_readers(&lab, "NFSv3");
}

#[test]
fn slots_and_readers_v42() {
    let Some(lab) = lab_for("several42", "4.2", &Options::default()) else { return };
    slots_and_readers(&lab, "NFSv4.2");
}

fn slots_and_readers(lab: &Lab, what: &str) {
    // A slot's number is in its witness's name, so that two holders of a set do not meet there.
    let found = contention(lab, "contend-slots", &Terms::patient("set"), crowd(lab, 3), || ());
    assert_eq!(found.witnessed, 0, "a slot had two holders");
    assert_eq!(left_behind(lab), [""; 0]);

    let terms = Terms::patient("cache");
    let tenures = one_at_a_time(contention(lab, "contend-readers", &terms, crowd(lab, 3), || ()));
    let readings = tenures.iter().filter(|tenure| tenure.reads).count();
    say(&format!("{what}: {readings} readings, {} times written", tenures.len() - readings));
    assert!(readings > 0 && readings < tenures.len());
    assert_eq!(left_behind(lab), [""; 0]);
}
