//! A release in the server's grace period: after a boot it waits for its clients to reclaim their
//! state.

use std::{thread, time::Instant};

use crate::{
    lab::{DEFAULT_LEASE, Lab, Options},
    scene::{await_claims, job, lab_for, say},
    successors::{each_had_it, watching_names},
    terms::Terms,
};

/// The grace period lasts for its full time, because a client that has lost power does not reclaim.
/// No file can be removed meanwhile, but leases can be renewed.
#[test]
fn a_release_in_the_grace_period_takes_no_other_lock_v42() {
    let options = Options { clients: 3, lease: DEFAULT_LEASE, ..Options::default() };
    let Some(lab) = lab_for("grace", "4.2", &options) else { return };
    let names: Vec<_> = (0..4).map(|i| format!("grace-{i}")).collect();
    // Longer than it takes the server to boot on a busy machine, and the clients to find it.
    let all: Vec<_> = names.iter().map(|name| Terms::seconds(name, 30)).collect();
    let (reports, taken) = watching_removals_after(&lab, &all);
    for terms in &all {
        each_had_it(&lab, terms, 1, &reports, &taken);
    }
}

/// The reports of the holder and its successor, and the names that were removed after the server
/// booted.
fn watching_removals_after(lab: &Lab, all: &[Terms]) -> (Vec<String>, Vec<String>) {
    thread::scope(|scope| {
        let holder = scope.spawn(|| lab.worker("c1", &job("keep", all)));
        for terms in all {
            lab.shared.await_cue(&terms.held_by("c1"));
        }
        let successor = scope.spawn(|| lab.worker("c3", &job("take-over", all)));
        await_claims(lab, "c3", all);
        lab.exec("c2", &["touch", "/nfs/known"]); // so that the server remembers it
        lab.crash("c2");
        lab.restart("server");
        watching_names(lab, || {
            let begun = Instant::now();
            for terms in all {
                lab.shared.cue(&terms.cue("release"));
            }
            while !holder.is_finished() {
                claims_are_fresh(lab);
            }
            let took = begun.elapsed();
            say(&format!("grace: the releases took {took:.1?}"));
            assert!(took > all[0].lifetime, "no release outlasted its lease");
            let mut reports = holder.join().expect("the holder").finished();
            reports.extend(successor.join().expect("the successor").finished());
            reports
        })
    })
}

/// By the server's own clock the holder's leases run as long as its claims exist: all but one,
/// because Linux locks a file, against its own processes, while it is being removed, and removes
/// one after the other.
fn claims_are_fresh(lab: &Lab) {
    const LEFT: &str = r#"now=$(date +%s); cd /srv/export
        for claim in grace-*'|c1|'*; do
            ends=$(stat -c %Y "$claim" 2>/dev/null) && echo "$((ends - now)) $claim"; done; true"#;
    let left = lab.exec("server", &["sh", "-c", LEFT]);
    let left = String::from_utf8_lossy(&left.stdout).into_owned();
    let over = left.lines().filter(|line| line.starts_with('-')).count();
    assert!(over <= 1, "leases that are over:\n{left}");
}
