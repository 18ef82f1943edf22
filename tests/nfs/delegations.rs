//! Machines that wait or read, and then vanish, with the kernel's default lease on the server.
//!
//! A client that opens a file for reading may be given a delegation of it. A client that changes the file
//! or one of its names then has to wait until that client has given it back, or the server has
//! revoked it: 90 s, and up to 15 s more until the request is repeated.

use std::{
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant},
};

use crate::{
    jobs::ready,
    lab::{DEFAULT_LEASE, Fate, Lab, Options, Work},
    scene::{all_are_asked_for, await_claims, job, lab_for, say},
    shared::wait_until,
    successors::{each_had_it, watching_names},
    terms::Terms,
};

/// What happens to the waiters' machines.
const FATES: [(&str, Fate); 3] = [("c2", Lab::crash), ("c3", Lab::mute), ("c4", Lab::freeze)];

/// The client that has NFSv3 where the others have NFSv4.
const BESIDE: &str = "c5";

/// Time for the server to close a file that it has written for a client on NFSv3.
const UNTIL_CLOSED: Duration = Duration::from_secs(4);

/// Time for a waiter to observe its locks, before holders have refreshed any.
const SOME_LOOKS: Duration = Duration::from_secs(6);

/// Longer than the longest lifetime here, and the pause before the next refresh.
const TO_LOSE_A_LEASE: Duration = Duration::from_secs(45);

/// The lifetime for the processes that lock after a release: a waiter that has vanished may have
/// got the lock, for 30 s.
const BOUNDED: Duration = Duration::from_secs(60);

#[test]
fn a_holder_outlives_waiters_that_are_gone_v40_v42() {
    thread::scope(|scope| {
        scope.spawn(|| a_holder_outlives_waiters("gone40", "4.0", false));
        scope.spawn(|| a_holder_outlives_waiters("gone42", "4.2,4.2,4.2,4.2,3", true));
    });
}

#[test]
fn a_holder_outlives_waiters_that_are_gone_v41() {
    if all_are_asked_for() {
        a_holder_outlives_waiters("gone41", "4.1,4.1,4.1,4.1,3", true);
    }
}

/// Locks of one process that keeps them alive on one client.
struct Held {
    client: &'static str,
    locks: Vec<String>,
}

impl Held {
    /// Locks that others wait for, and some without waiters.
    fn all(v3_beside: bool) -> Vec<Held> {
        let mut all = Vec::new();
        if v3_beside {
            let locks = FATES.map(|(client, _)| format!("v3-{client}")).into();
            all.push(Held { client: BESIDE, locks });
        }
        let ten = (0..10).map(|i| format!("ten-{i}")).collect();
        all.push(Held { client: "c1", locks: ten });
        all.extend(FATES.map(|(client, _)| Held { client: "c1", locks: vec![one(client)] }));
        all
    }
}

fn one(waiter: &str) -> String {
    format!("one-{waiter}")
}

/// The locks that the waiters on a client wait for: one of each holder.
fn wanted(waiter: &str, v3_beside: bool) -> Vec<String> {
    let mut wanted = vec![one(waiter), format!("ten-{}", waiter.trim_start_matches('c'))];
    if v3_beside {
        wanted.push(format!("v3-{waiter}"));
    }
    wanted
}

fn a_holder_outlives_waiters(name: &str, versions: &str, v3_beside: bool) {
    let all = Held::all(v3_beside);
    let clients = 1 + FATES.len() + usize::from(v3_beside);
    let options = Options { clients, lease: DEFAULT_LEASE, ..Options::default() };
    let Some(lab) = lab_for(name, versions, &options) else { return };
    let lab = &lab;
    for (client, _) in FATES {
        await_delegations(lab, client);
    }
    thread::scope(|scope| {
        // They must have read the lock files before the first refresh, which recalls their
        // delegations: for half a minute the server gives no more of them.
        for (client, _) in FATES {
            let job = job("wait-each", &terms_of(&wanted(client, v3_beside)));
            scope.spawn(move || lab.worker(client, &job));
            lab.shared.await_cue(&ready(client));
        }
        let holders: Vec<_> = all.iter().map(|held| start_keeping(lab, scope, held)).collect();
        lab.shared.cue("go");
        let given = FATES.map(|(client, fate)| {
            scope.spawn(move || {
                let given = await_looks(lab, client, &wanted(client, v3_beside));
                fate(lab, client);
                given
            })
        });
        let given = given.map(|given| given.join().expect("a machine that has vanished"));
        say(&format!("{name}: delegations given to the machines that vanished: {given:?}"));
        thread::sleep(TO_LOSE_A_LEASE);
        let released = Instant::now();
        release(lab, all.iter().flat_map(|held| &held.locks));
        let holders = holders.into_iter().map(|holder| holder.join().expect("a holder"));
        let reports: Vec<_> = holders.map(Work::finished).collect();
        for (client, _) in FATES {
            for lock in wanted(client, v3_beside) {
                lab.worker("c1", &format!("take {}", terms(&lock))).finished();
            }
        }
        let took = released.elapsed();
        // The waiters wait without end: their jobs end with their machines.
        for (client, _) in FATES {
            lab.crash(client);
        }
        say(&format!("{name}: all locks were released and acquired by others within {took:.1?}"));
        for (held, reports) in all.iter().zip(reports) {
            lost_none(held, &reports);
        }
        assert!(took < BOUNDED);
    });
}

fn start_keeping<'scope>(
    lab: &'scope Lab,
    scope: &'scope thread::Scope<'scope, '_>,
    held: &Held,
) -> ScopedJoinHandle<'scope, Work> {
    let keeper = start(lab, scope, held.client, "keep", &held.locks);
    if held.client == BESIDE {
        thread::sleep(UNTIL_CLOSED);
    }
    keeper
}

/// Starts a worker, and returns when it holds its locks.
fn start<'scope>(
    lab: &'scope Lab,
    scope: &'scope thread::Scope<'scope, '_>,
    client: &'static str,
    what: &str,
    locks: &[String],
) -> ScopedJoinHandle<'scope, Work> {
    let job = job(what, &terms_of(locks));
    let worker = scope.spawn(move || lab.worker(client, &job));
    for lock in locks {
        let held = terms(lock).held_by(client);
        wait_until(&held, || lab.shared.is_cued(&held) || worker.is_finished());
    }
    worker
}

fn release<'a>(lab: &Lab, locks: impl Iterator<Item = &'a String>) {
    for lock in locks {
        lab.shared.cue(&terms(lock).cue("release"));
    }
}

/// Asserts that the holder got no report of a loss, and released its locks.
fn lost_none(held: &Held, reports: &[String]) {
    let mut said: Vec<_> = reports.iter().filter(|line| !line.contains(" tenure ")).collect();
    let mut released: Vec<_> = held.locks.iter().map(|lock| format!("{lock} unlock Ok")).collect();
    said.sort();
    released.sort();
    assert!(said.iter().copied().eq(&released), "{said:#?}");
}

/// The server gives no delegations in its first seconds, and none on NFSv4.0 before its first
/// callback.
fn await_delegations(lab: &Lab, client: &str) {
    let made = lab.exec("server", &["sh", "-c", "echo x >/srv/export/warm-up"]);
    assert!(made.status.success());
    wait_until("the server's first delegation", || {
        lab.exec(client, &["cat", "/nfs/warm-up"]);
        lab.delegations(client, &["warm-up".to_owned()]) > 0
    });
    lab.exec("server", &["rm", "/srv/export/warm-up"]);
}

/// Returns when the waiters on a client have observed the holders: by then they have been given
/// delegations, if any. Returns how many.
fn await_looks(lab: &Lab, client: &str, wanted: &[String]) -> usize {
    await_claims(lab, client, &terms_of(wanted));
    let begun = Instant::now();
    loop {
        let given = lab.delegations(client, wanted);
        if given == wanted.len() || begun.elapsed() > SOME_LOOKS {
            return given;
        }
    }
}

/// When a delegation ends, all that has waited for it is executed at once, and each request waits for the
/// disk: on a busy machine for more than a slop of 2 s.
fn terms(lock: &str) -> Terms<'_> {
    Terms { lifetime: Duration::from_secs(30), ..Terms::by_default(lock) }
}

fn terms_of(locks: &[String]) -> Vec<Terms<'_>> {
    locks.iter().map(|lock| terms(lock)).collect()
}

const HEIRS: [&str; 2] = ["c3", "c4"];

/// Locks that are released while a client that has vanished has delegations of them: the releases
/// last until the server has revoked those, the leases end meanwhile, and others take over.
#[test]
fn a_late_release_takes_no_other_lock() {
    let options = Options { clients: 4, lease: DEFAULT_LEASE, ..Options::default() };
    let Some(lab) = lab_for("late", "3,4.2", &options) else { return };
    let lab = &lab;
    let [v3, detached] =
        ["v3", "detached"].map(|kind| (0..10).map(|i| format!("{kind}-{i}")).collect::<Vec<_>>());
    let all = [&v3[..], &detached[..]].concat();
    await_delegations(lab, "c2");
    let (reports, taken) = watching_names(lab, || late_releases(lab, [&v3, &detached], &all));
    for lock in &all {
        each_had_it(lab, &terms(lock), HEIRS.len(), &reports, &taken);
    }
}

/// The reports of the holders and their successors.
fn late_releases(lab: &Lab, [v3, detached]: [&[String]; 2], all: &[String]) -> Vec<String> {
    thread::scope(|scope| {
        let holders = [
            start(lab, scope, "c1", "release", v3),
            start(lab, scope, "c4", "release-detached", detached),
        ];
        let read = all.iter().map(|lock| format!("/nfs/{lock}")).collect::<Vec<_>>();
        let cat: Vec<_> = ["cat"].into_iter().chain(read.iter().map(String::as_str)).collect();
        wait_until("delegations", || {
            lab.exec("c2", &cat);
            lab.delegations("c2", all) == all.len()
        });
        lab.crash("c2");
        let begun = Instant::now();
        release(lab, all.iter());
        let successors = HEIRS.map(|client| {
            let job = job("take-over", &terms_of(all));
            scope.spawn(move || lab.worker(client, &job))
        });
        let mut reports = Vec::new();
        for holder in holders {
            reports.extend(holder.join().expect("a holder").finished());
        }
        let took = begun.elapsed();
        for successors in successors {
            reports.extend(successors.join().expect("the successors").finished());
        }
        say(&format!("late: the releases took {took:.1?}, all of it {:.1?}", begun.elapsed()));
        assert!(took > terms("").lifetime, "no release outlasted its lease");
        reports
    })
}
