//! Real NFS: Linux clients and a Linux server, each with a kernel of its own. README.md beside this
//! file tells how.
//!
//!     LINKLOCK_NFS=1 cargo test --test nfs
#![cfg(unix)]

mod lab;
mod tenure;

use std::{
    env, fs,
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Once,
    thread,
    time::{Duration, Instant},
};

use lab::{GUEST_DIED, Lab, Options};
use tenure::Tenure;

// ---- scenarios: they run here -------------------------------------------------------------------

#[test]
fn one_holder_at_a_time_v3() {
    contention("quiet3", "3", |_| ());
}

#[test]
fn one_holder_at_a_time_v42() {
    contention("quiet42", "4.2", |_| ());
}

#[test]
fn one_holder_at_a_time_with_clocks_apart_and_a_frozen_client() {
    contention("disturbed42", "4.2", |lab| {
        lab.skew("c1", 3600);
        lab.skew("c2", -3600);
        lab.freeze("c1");
        pause(3);
        lab.thaw("c1");
    });
}

#[test]
fn clients_ride_out_what_happens_to_the_server_v3() {
    server_trouble("trouble3", "3");
}

#[test]
fn clients_ride_out_what_happens_to_the_server_v42() {
    server_trouble("trouble42", "4.2");
}

#[test]
fn link_says_eexist_though_it_was_executed_v3() {
    lost_reply("lost3", "3");
}

#[test]
fn link_says_eexist_though_it_was_executed_v42() {
    lost_reply("lost42", "4.2");
}

#[test]
fn a_killed_client_leaves_its_lock() {
    let Some(lab) = lab_for("killed42", "4.2", &Options::default()) else { return };
    thread::scope(|scope| {
        let holder = scope.spawn(|| lab.worker("c1", "hold lock"));
        while !lab.exec("server", &["test", "-e", "/srv/export/lock"]).status.success() {
            pause(1);
        }
        lab.crash("c1");
        let holder = holder.join().unwrap();
        assert_eq!((holder.status, &holder.reports[..]), (GUEST_DIED, &["Ok(())".to_owned()][..]));
    });
    assert_eq!(lab.worker("c2", "link lock").finished(), ["Err(AlreadyExists)"]);
    lab.start("c1");
    assert_eq!(lab.worker("c1", "link lock").finished(), ["Err(AlreadyExists)"]);
}

/// All clients contend for one lock while `disturb` does its worst.
fn contention(name: &str, version: &str, disturb: impl Fn(&Lab)) {
    let Some(lab) = lab_for(name, version, &Options::default()) else { return };
    let tenures = while_working(&lab, |_| "contend lock 10".to_owned(), disturb);
    assert_eq!(tenure::overlaps(&tenures), []);
    println!("v{version}: {} tenures, c1's part in them: {:?}", tenures.len(), lab.stats("c1"));
}

/// Each client has a lock of its own: the server may forget what it answered, and a bare hard link
/// is no lock then.
fn server_trouble(name: &str, version: &str) {
    let Some(lab) = lab_for(name, version, &Options::default()) else { return };
    let all_the_while = |client: &str| format!("contend lock.{client} 30");
    let tenures = while_working(&lab, all_the_while, |lab| {
        lab.restart("server");
        lab.forget_replies();
        lab.mute("c1");
        pause(3);
        lab.unmute("c1");
    });
    assert_ne!(tenure::overlaps(&tenures), [], "nothing keeps them apart: the checker must see it");
}

/// Starts a job on every client, disturbs them, and returns all tenures, of each client some.
fn while_working(
    lab: &Lab,
    job: impl Fn(&str) -> String + Sync,
    disturb: impl Fn(&Lab),
) -> Vec<Tenure> {
    let reports = thread::scope(|scope| {
        let work = scope.spawn(|| lab.par(|client| lab.worker(client, &job(client)).finished()));
        pause(3);
        disturb(lab);
        work.join().unwrap()
    });
    assert!(reports.iter().all(|reports| !reports.is_empty()), "{reports:?}");
    reports.iter().flatten().map(|line| line.parse().unwrap()).collect()
}

/// The server executes LINK, its reply is lost, and the server has forgotten it when the client
/// asks again.
fn lost_reply(name: &str, version: &str) {
    let Some(lab) = lab_for(name, version, &Options { faults: true, ..Options::default() }) else {
        return;
    };
    lab.fault("LINK", "lostreply+flush", "c1");
    assert_eq!(lab.worker("c1", "link lock").finished(), ["Err(AlreadyExists)"]);
    assert_eq!(lab.faults_left(), 0);
    let links = lab.exec("server", &["stat", "-c", "%h", "/srv/export/lock"]);
    assert_eq!(links.stdout, b"2\n", "yet the link is there");
}

/// The lab, if it was asked for and this machine can host it. Else the scenario is skipped aloud,
/// or fails in CI.
fn lab_for(name: &str, version: &str, options: &Options) -> Option<Lab> {
    static NOT_ASKED: Once = Once::new();
    if env::var("LINKLOCK_NFS").as_deref() != Ok("1") {
        NOT_ASKED.call_once(|| skipped("LINKLOCK_NFS=1 is not set"));
        return None;
    }
    match Lab::up(name, version, options) {
        Ok(lab) => Some(lab),
        Err(why) if env::var("CI").as_deref() == Ok("true") => panic!("nfs lab: {why}"),
        Err(why) => {
            skipped(&why);
            None
        }
    }
}

fn skipped(why: &str) {
    // Not by eprintln: the harness would hide it, because the test passes.
    io::stderr().write_all(format!("SKIPPED: nfs lab: {why}\n").as_bytes()).expect("stderr");
}

fn pause(seconds: u64) {
    thread::sleep(Duration::from_secs(seconds));
}

// ---- the worker: it runs in a guest -------------------------------------------------------------

#[test]
#[ignore = "runs in a guest, where the scenarios start it"]
fn worker() {
    let Some(job) = lab::job() else { return };
    let job: Vec<&str> = job.iter().map(String::as_str).collect();
    match job[..] {
        ["contend", lock, seconds] => contend(lock, seconds.parse().unwrap()),
        ["link", lock] => link(lock),
        ["hold", lock] => {
            link(lock);
            pause(600);
        }
        _ => panic!("unknown job {job:?}"),
    }
}

/// Takes and gives back a lock that is nothing but a hard link, again and again, and reports each
/// tenure.
fn contend(name: &str, seconds: u64) {
    let end = Instant::now() + Duration::from_secs(seconds);
    let a_moment = Duration::from_millis(5);
    let lock = lab::mount().join(name);
    let claim = claim_of(name);
    while Instant::now() < end {
        if fs::hard_link(&claim, &lock).is_ok() || same_file(&claim, &lock) {
            let tenure = Tenure::begin();
            thread::sleep(a_moment);
            lab::report(tenure.end());
            remove(&lock);
        }
        thread::sleep(a_moment);
    }
    remove(&claim);
}

fn link(name: &str) {
    let result = fs::hard_link(claim_of(name), lab::mount().join(name));
    lab::report(format!("{:?}", result.map_err(|error| error.kind())));
}

fn claim_of(name: &str) -> PathBuf {
    let claim = lab::mount().join(format!("{name}.{}", lab::vm()));
    fs::write(&claim, lab::vm()).unwrap();
    claim
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((fs::metadata(a), fs::metadata(b)), (Ok(a), Ok(b)) if a.ino() == b.ino())
}

/// A server that has forgotten its reply executes a repeated removal too, and then there is nothing
/// to remove.
fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            panic!("{}: {error}", path.display())
        }
        _ => (),
    }
}
