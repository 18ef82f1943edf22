//! What the scenarios have in common: a lab, work in it, and a check of what is left afterwards.

use std::{
    env,
    io::{self, Write},
    sync::Once,
    thread,
};

use crate::{
    lab::{Lab, Options, Work},
    shared::wait_until,
    tenure::{Tenure, WITNESSED, among, overlapping},
    terms::Terms,
};

/// In tickets, of which each tenure draws three.
const SOME_TIME: usize = 100;

/// The lab, if it is wanted and this machine can host it. Otherwise the scenario is skipped, or
/// fails in CI.
pub(crate) fn lab_for(name: &str, version: &str, options: &Options) -> Option<Lab> {
    static NOT_ASKED: Once = Once::new();
    if !["1", "all"].contains(&asked().as_str()) {
        NOT_ASKED.call_once(|| say("skipped: nfs lab: LINKLOCK_NFS=1 is not set"));
        return None;
    }
    match Lab::up(name, version, options) {
        Ok(lab) => Some(lab),
        Err(why) if env::var("CI").as_deref() == Ok("true") => panic!("nfs lab: {why}"),
        Err(why) => {
            say(&format!("skipped: nfs lab: {why}"));
            None
        }
    }
}

/// Whether to run the scenarios, too, that take long and are much like others.
pub(crate) fn all_are_asked_for() -> bool {
    asked() == "all"
}

fn asked() -> String {
    env::var("LINKLOCK_NFS").unwrap_or_default()
}

/// Prints a line even if the test passes, when the harness hides its output.
pub(crate) fn say(line: &str) {
    io::stderr().write_all(format!("{line}\n").as_bytes()).expect("stderr");
}

/// For how long to measure.
pub(crate) fn measuring_seconds() -> u64 {
    let asked = env::var("LINKLOCK_NFS_SECONDS").ok();
    asked.map_or(20, |seconds| seconds.parse().expect("LINKLOCK_NFS_SECONDS is a number"))
}

/// A worker on a client, for [`contend`]: so many processes of ours.
pub(crate) fn crowd(lab: &Lab, processes: usize) -> impl Fn(&str, &str) -> Work + Sync + '_ {
    move |client, job| lab.worker(client, &format!("crowd {processes} {job}"))
}

/// The result of a contention of all clients for a lock.
pub(crate) struct Contention {
    pub(crate) tenures: Vec<Tenure>,
    /// How often a holder of the lock found the witness of another.
    pub(crate) witnessed: usize,
}

/// Has all clients contend for a lock while `disturb` does its worst, and for some time before and
/// after. Returns all tenures, of which each client had some, and which did not overlap.
pub(crate) fn contend(
    lab: &Lab,
    name: &str,
    worker: impl Fn(&str, &str) -> Work + Sync,
    disturb: impl FnOnce(),
) -> Vec<Tenure> {
    one_at_a_time(contention(lab, "contend", &Terms::patient(name), worker, disturb))
}

/// The tenures of a contention, after asserting that one at a time held the lock.
pub(crate) fn one_at_a_time(contention: Contention) -> Vec<Tenure> {
    let overlaps = overlapping(&contention.tenures);
    assert!(overlaps.is_empty(), "{} overlaps, like {:#?}", overlaps.len(), overlaps[0]);
    assert_eq!(contention.witnessed, 0, "tenures don't overlap, but there are witnesses");
    contention.tenures
}

/// The same, in this way and on these terms, without asserting anything.
pub(crate) fn contention(
    lab: &Lab,
    way: &str,
    terms: &Terms,
    worker: impl Fn(&str, &str) -> Work + Sync,
    disturb: impl FnOnce(),
) -> Contention {
    let job = format!("{way} {terms}");
    let reports = thread::scope(|scope| {
        let work = scope.spawn(|| lab.par(|client| worker(client, &job).finished()).concat());
        lab.shared.await_tickets(SOME_TIME);
        disturb();
        lab.shared.await_tickets(SOME_TIME);
        lab.clients().iter().for_each(|client| lab.shared.await_cue(&terms.held_by(client)));
        lab.shared.cue(&terms.cue("enough"));
        work.join().expect("the contenders")
    });
    Contention {
        tenures: among(&reports, &lab.shared),
        witnessed: reports.iter().filter(|line| line.starts_with(WITNESSED)).count(),
    }
}

/// Has a client hold the lock, as our worker or as flufl.lock, during `act`.
pub(crate) fn while_held(
    lab: &Lab,
    terms: &Terms,
    client: &str,
    hold: impl FnOnce() -> Work + Send,
    act: impl FnOnce(),
) -> Tenure {
    thread::scope(|scope| {
        let holder = scope.spawn(|| hold().finished());
        lab.shared.await_cue(&terms.held_by(client));
        act();
        lab.shared.cue(&terms.cue("release"));
        the_tenure(lab, &holder.join().expect("the holder"))
    })
}

/// The tenure of a worker that was killed with SIGKILL.
pub(crate) fn killed(lab: &Lab, holder: &Work) -> Tenure {
    assert_eq!(holder.status, 128 + 9, "{:?}", holder.reports);
    the_tenure(lab, &holder.reports)
}

/// The one tenure among the reports.
pub(crate) fn the_tenure(lab: &Lab, reports: &[String]) -> Tenure {
    let [tenure] = &among(reports, &lab.shared)[..] else {
        panic!("not one tenure: {reports:?}");
    };
    tenure.clone()
}

/// The files in the exported directory, as listed by the server itself.
pub(crate) fn left_behind(lab: &Lab) -> Vec<String> {
    let listing = lab.exec("server", &["ls", "/srv/export"]);
    assert!(listing.status.success());
    String::from_utf8_lossy(&listing.stdout).lines().map(str::to_owned).collect()
}

/// A job that is about many locks.
pub(crate) fn job(what: &str, all: &[Terms]) -> String {
    all.iter().fold(what.to_owned(), |job, terms| format!("{job} {terms}"))
}

/// The reports of a worker with many locks about one of them.
pub(crate) fn of_lock(terms: &Terms, reports: &[String]) -> Vec<String> {
    let of_lock = format!("{} ", terms.name);
    reports.iter().filter_map(|line| line.strip_prefix(&of_lock)).map(str::to_owned).collect()
}

/// Returns when a client's waiters have claims of all these locks.
pub(crate) fn await_claims(lab: &Lab, client: &str, all: &[Terms]) {
    wait_until("claims", || {
        let files = left_behind(lab);
        let has_claim = |terms: &Terms| {
            let claim = format!("{}|{client}|", terms.name);
            files.iter().any(|file| file.starts_with(&claim))
        };
        all.iter().all(has_claim)
    });
}
