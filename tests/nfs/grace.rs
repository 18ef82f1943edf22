//! A release while the server, booted again, waits for its clients to say what they had open.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    lab::{DEFAULT_LEASE, Lab, Options},
    scene::{await_claims, job, lab_for, of_lock, say},
    tenure,
    terms::Terms,
};

/// The server's grace lasts for all of its time, because a client that has lost its power says
/// nothing: no file can be removed meanwhile, but a lease can be renewed.
#[test]
fn a_release_in_the_grace_period_is_kept_alive_v42() {
    let options = Options { clients: 3, lease: DEFAULT_LEASE, ..Options::default() };
    let Some(lab) = lab_for("grace", "4.2", &options) else { return };
    let lab = &lab;
    let names: Vec<_> = (0..4).map(|i| format!("grace-{i}")).collect();
    let all: Vec<_> = names.iter().map(|name| Terms::seconds(name, 15)).collect();
    thread::scope(|scope| {
        let holder = scope.spawn(|| lab.worker("c1", &job("keep", &all)));
        all.iter().for_each(|terms| lab.shared.await_cue(&terms.held_by("c1")));
        let heir = scope.spawn(|| lab.worker("c3", &job("succeed", &all)));
        await_claims(lab, "c3", &all);
        lab.exec("c2", &["touch", "/nfs/known"]); // the server will remember it
        lab.crash("c2");
        lab.restart("server");
        let begun = Instant::now();
        all.iter().for_each(|terms| lab.shared.cue(&terms.cue("release")));
        while !holder.is_finished() {
            claims_are_fresh(lab);
        }
        let took = begun.elapsed();
        say(&format!("grace: the releases took {took:.1?}"));
        let mut reports = holder.join().expect("the holder").finished();
        reports.extend(heir.join().expect("the heir").finished());
        assert!(took > Duration::from_secs(30), "no release outlasted its lease");
        for terms in &all {
            let reports = of_lock(terms, &reports);
            let said: Vec<_> = reports.iter().filter(|line| !line.starts_with("tenure")).collect();
            assert_eq!(said, ["unlock Ok", "succeeded Ok"], "{terms}");
            let tenures = tenure::among(&reports, &lab.shared);
            assert_eq!(tenure::overlaps(&tenures), []);
            assert!(tenures[0].from.is_before(tenures[1].from), "{tenures:?}");
        }
    });
}

/// The leases of the holder run for as long as its claims are there, by the server's own clock.
fn claims_are_fresh(lab: &Lab) {
    const LEFT: &str = r#"now=$(date +%s); cd /srv/export
        for claim in grace-*'|c1|'*; do
            ends=$(stat -c %Y "$claim" 2>/dev/null) && echo "$((ends - now)) $claim"; done; true"#;
    let left = lab.exec("server", &["sh", "-c", LEFT]);
    let left = String::from_utf8_lossy(&left.stdout).into_owned();
    assert!(!left.lines().any(|line| line.starts_with('-')), "leases that are over:\n{left}");
}
