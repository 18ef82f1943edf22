//! All clients contend for one lock, several processes on each.

use std::{thread, time::Duration};

use crate::{
    lab::{Lab, Options},
    scene::{contend, crowd, lab_for, left_behind, say},
    tenure::handovers,
};

#[test]
fn one_holder_at_a_time_v3() {
    one_holder_at_a_time("contend3", "3", "");
}

#[test]
fn one_holder_at_a_time_v42() {
    one_holder_at_a_time("contend42", "4.2", "");
}

#[test]
fn one_holder_at_a_time_without_attribute_caches_v3() {
    one_holder_at_a_time("noac3", "3", "noac");
}

#[test]
fn one_holder_at_a_time_without_attribute_caches_v42() {
    one_holder_at_a_time("noac42", "4.2", "noac");
}

fn one_holder_at_a_time(name: &str, version: &str, mount: &str) {
    let Some(lab) = lab_for(name, version, &Options { mount, ..Options::default() }) else {
        return;
    };
    let tenures = contend(&lab, "lock", crowd(&lab, 3), || disturb_clocks(&lab));
    let in_ms = |gap: Option<Duration>| {
        gap.map_or("no time".to_owned(), |gap| format!("{:.0} ms", gap.as_secs_f64() * 1e3))
    };
    let [across, within] = handovers(&tenures).map(in_ms);
    let mount = if mount.is_empty() { "default caching" } else { mount };
    say(&format!(
        "NFSv{version}, {mount}: {} tenures; handed over to another client in {across}, \
         on one client in {within} (medians)",
        tenures.len()
    ));
    assert_eq!(left_behind(&lab), [""; 0]);
}

/// The clients' dates come to be two hours apart, and one stands still for a while that is shorter
/// than a lease.
fn disturb_clocks(lab: &Lab) {
    lab.skew("c1", 3600);
    lab.skew("c2", -3600);
    lab.freeze("c1");
    thread::sleep(Duration::from_secs(3));
    lab.thaw("c1");
}
