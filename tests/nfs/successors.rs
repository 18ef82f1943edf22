//! The processes that acquire a lock when another's tenure is over, and whether the lock was taken
//! from them before they released it.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
};

use crate::{
    lab::Lab,
    scene::of_lock,
    tenure::{among, overlapping},
    terms::Terms,
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/nfs/lab/names.py");

/// Does some work, and returns which names were removed from the exported directory meanwhile, each
/// as often as it was.
pub(crate) fn watching_names<T>(lab: &Lab, act: impl FnOnce() -> T) -> (T, Vec<String>) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Relaxed);
    let [begun, over] = ["begun", "over"].map(|what| format!("names-{what}-{count}"));
    let [begun_path, over_path] = [&begun, &over].map(|cue| format!("/lab/shared/{cue}"));
    let command = ["/usr/bin/python3", SCRIPT, "/srv/export", &begun_path, &over_path];
    thread::scope(|scope| {
        let watch = scope.spawn(|| lab.work("server", &command));
        lab.shared.await_cue(&begun);
        let done = act();
        lab.shared.cue(&over);
        (done, watch.join().expect("the watch").finished())
    })
}

/// Asserts that after a holder so many had the lock, one at a time, that each released it, and that
/// nothing else removed it, not even to put it back.
pub(crate) fn each_had_it(
    lab: &Lab,
    terms: &Terms,
    successors: usize,
    reports: &[String],
    taken: &[String],
) {
    let reports = of_lock(terms, reports);
    assert_eq!(overlapping(&among(&reports, &lab.shared)), []);
    let taken_over = reports.iter().filter(|line| *line == "taken over Ok").count();
    assert_eq!(taken_over, successors, "{terms}: {reports:#?}");
    let taken = taken.iter().filter(|name| *name == terms.name).count();
    assert_eq!(taken, 1 + successors, "{terms}: a live lock was removed: {reports:#?}");
}
