//! A full disk on the server.

use crate::{
    lab::{Lab, Options},
    scene::{lab_for, left_behind},
    terms::Terms,
};

#[test]
fn a_full_disk_fails_the_acquisition_and_leaves_nothing_v3_v42() {
    let Some(lab) = lab_for("disk", "3,4.2", &Options::default()) else { return };
    lab.fill_disk();
    let tried: Vec<_> = lab
        .clients()
        .into_iter()
        .map(|client| (attempt(&lab, &client), left_behind(&lab)))
        .collect();
    lab.empty_disk();
    for (tried, left) in tried {
        assert!(tried.len() == 1 && tried[0].contains("No space left on device"), "{tried:?}");
        assert_eq!(left, [""; 0]);
    }
    for client in lab.clients() {
        assert_eq!(attempt(&lab, &client), ["try Ok"]);
    }
}

fn attempt(lab: &Lab, client: &str) -> Vec<String> {
    lab.worker(client, &format!("try {} 10", Terms::seconds("full", 10))).finished()
}
