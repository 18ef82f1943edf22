//! Processes that die, and what becomes of their locks and claims.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime};

use crate::kit::this_test;
use crate::kit::worker::{self, Job, Worker};
use crate::kit::{
    HOUR, beside, elsewhere, far_off, fresh, lock_like_flufl, long_ago, names, set_lease_end, skip,
    wait_until,
};
use linklock::{Error, Life, Lock, StalePolicy};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::tempdir;

/// Where a death can't be proven, the lock of the dead process ends like a live one's: by its
/// lease.
#[track_caller]
fn ends_only_by_its_lease(lock: &Lock, slop: Duration) {
    let error = lock.try_lock().unwrap_err();
    assert!(matches!(error, Error::Held { .. }), "{error:?}");
    set_lease_end(lock.path(), SystemTime::now() - slop / 2);
    let error = lock.try_lock().unwrap_err();
    assert!(matches!(error, Error::Held { .. }), "the slop is not over: {error:?}");
    set_lease_end(lock.path(), SystemTime::now() - slop * 2);
    let guard = lock.try_lock().unwrap();
    assert_eq!(beside(lock.path()), [guard.claim_path()]);
}

// ---- holders ----

#[test]
fn the_lock_of_a_killed_holder_is_taken_over_at_once() {
    let (dir, lock) = fresh();
    Worker::holding(lock.path()).kill_and_reap();
    assert!(lock.expires_at().unwrap().unwrap() > SystemTime::now() + HOUR / 2);
    let guard = lock.try_lock().unwrap();
    assert_eq!(beside(lock.path()), [guard.claim_path()], "its claim is gone, and so is the seat");
    guard.unlock().unwrap();
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_waiter_takes_over_from_a_holder_that_is_killed() {
    let (_dir, lock) = fresh();
    let mut holder = Worker::holding(lock.path());
    thread::scope(|scope| {
        let waiter = scope.spawn(|| lock.lock().map(drop));
        wait_until("the waiter has a claim", || beside(lock.path()).len() == 2);
        assert!(!waiter.is_finished());
        holder.kill_and_reap();
        waiter.join().unwrap().unwrap();
    });
}

#[test]
fn a_zombie_is_dead() {
    let (_dir, lock) = fresh();
    let mut holder = Worker::holding(lock.path());
    holder.kill();
    drop(lock.try_lock().unwrap());
}

#[test]
fn a_stopped_holder_is_not_dead() {
    let (_dir, lock) = fresh();
    let holder = Worker::holding(lock.path());
    let pid = Pid::from_raw(i32::try_from(holder.pid()).unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    let error = lock.try_lock().unwrap_err();
    assert_eq!(error.holder().unwrap().life(), Life::Alive);
    kill(pid, Signal::SIGCONT).unwrap();
    holder.finish();
    drop(lock.try_lock().unwrap());
}

#[test]
fn under_the_expired_policy_even_dead_holders_keep_their_lease() {
    let slop = Duration::from_secs(60);
    let (dir, lock) = fresh();
    Worker::holding(lock.path()).kill_and_reap();
    let options = Lock::options(dir.path().join("lock")).stale(StalePolicy::Expired);
    ends_only_by_its_lease(&options.clock_slop(slop).build().unwrap(), slop);
}

#[test]
fn under_the_never_policy_even_dead_holders_keep_their_lock() {
    let (_dir, lock) = fresh();
    Worker::holding(lock.path()).kill_and_reap();
    set_lease_end(lock.path(), long_ago());
    let strict = Lock::options(lock.path()).stale(StalePolicy::Never).build().unwrap();
    assert!(matches!(strict.try_lock(), Err(Error::Held { .. })));
}

// ---- holders elsewhere ----

#[test]
fn a_dead_holder_on_another_host_keeps_its_lease() {
    let slop = Duration::from_secs(60);
    let dir = tempdir().unwrap();
    let lock = Lock::options(dir.path().join("lock")).clock_slop(slop).build().unwrap();
    let mut command = worker::command(Job::Hold, lock.path());
    let mut holder = Worker::start(worker::on_host(&mut command, "mars"));
    assert_eq!(holder.report().as_deref(), Some("held"));
    holder.kill_and_reap();
    let seen = lock.holder().unwrap().unwrap();
    assert_eq!((seen.host(), seen.life()), ("mars".as_ref(), Life::Unknown));
    ends_only_by_its_lease(&lock, slop);
}

/// With a /proc of its own, and with that of another namespace, which does not have its pid.
#[test]
fn a_dead_holder_in_another_pid_namespace_keeps_its_lease() {
    let slop = Duration::from_secs(60);
    for own_proc in [&["--mount-proc"][..], &[]] {
        let dir = tempdir().unwrap();
        let lock = Lock::options(dir.path().join("lock")).clock_slop(slop).build().unwrap();
        let mut prefix = elsewhere::unshare();
        prefix.extend(["--pid", "--fork", "--kill-child"]);
        prefix.extend(own_proc);
        let mut holder = Worker::start(&mut worker::prefixed(&prefix, Job::Hold, lock.path()));
        if holder.report().is_none() {
            return skip(this_test!(), "unshare(1) can't make a pid namespace");
        }
        let seen = lock.holder().unwrap().unwrap();
        assert_eq!((seen.pid(), seen.life()), (1, Life::Unknown));
        holder.kill_and_reap();
        assert_eq!(lock.holder().unwrap().unwrap().life(), Life::Unknown);
        ends_only_by_its_lease(&lock, slop);
    }
}

/// The other way round: pid 1 of our namespace lives, which shows nothing about pid 1 of theirs.
#[test]
fn a_holder_outside_of_our_pid_namespace_is_not_taken_for_dead() {
    let Some(dir) = elsewhere::arrived() else {
        let (dir, lock) = fresh();
        let holder = Worker::holding(lock.path());
        let mut unshare = Command::new("unshare");
        unshare.args(&elsewhere::unshare()[1..]).args(["--pid", "--fork", "--kill-child"]);
        unshare.arg("--mount-proc").arg(std::env::current_exe().unwrap());
        elsewhere::go(this_test!(), &mut unshare, dir.path());
        return holder.finish();
    };
    let lock = Lock::new(dir.join("lock")).unwrap();
    let error = lock.try_lock().unwrap_err();
    assert_eq!(error.holder().unwrap().life(), Life::Unknown, "{error}");
}

/// On a file system that only this machine uses, no other machine can have made a claim with its
/// name: not even a lease of hours that was written before a power cut delays the next holder.
#[test]
fn the_lock_of_an_earlier_boot_is_taken_over_at_once() {
    if std::fs::read_to_string("/var/lib/nfs/etab").is_ok_and(|exports| !exports.is_empty()) {
        return skip(this_test!(), "this machine exports files");
    }
    let (_dir, lock) = fresh();
    let guard = lock.lock().unwrap();
    let nonce = guard.claim_path().to_str().unwrap().rsplit('|').next().unwrap().to_owned();
    guard.unlock().unwrap();
    let (process, boot) = nonce.split_once('k').expect("it contains its boot");
    // The namespaces differ too, as they do after every boot: nothing else is known of it.
    let (random, started) = (&process[..17], process.split_once('s').unwrap().1);
    let earlier = u32::from_str_radix(boot, 16).unwrap() ^ 1;
    for (host, boot, is_dead) in [
        (lock.host_name().to_str().unwrap(), Some(earlier), true),
        (lock.host_name().to_str().unwrap(), None, false),
        ("another-host", Some(earlier), false),
    ] {
        let boot = boot.map(|boot| format!("k{boot:08x}")).unwrap_or_default();
        let name = format!("{host}|4711|{random}w000000000001s{started}{boot}");
        let claim = format!("{}|{name}", lock.path().display());
        std::fs::write(&claim, &claim).unwrap();
        set_lease_end(Path::new(&claim), far_off());
        std::fs::hard_link(&claim, lock.path()).unwrap();
        let taken = lock.try_lock();
        assert_eq!(taken.is_ok(), is_dead, "{name}: {taken:?}");
        drop(taken);
        let _ = (std::fs::remove_file(lock.path()), std::fs::remove_file(claim));
    }
}

// ---- waiters ----

/// A waiter that was killed while another process held the lock. Returns its claim.
fn killed_waiter(lock: &Lock, host: Option<&str>) -> std::path::PathBuf {
    let holder = lock_like_flufl(lock.path(), far_off());
    let mut command = worker::command(Job::Wait, lock.path());
    if let Some(host) = host {
        worker::on_host(&mut command, host);
    }
    let mut waiter = Worker::start(&mut command);
    assert_eq!(waiter.report().as_deref(), Some("waiting"));
    let its_claim =
        || beside(lock.path()).into_iter().find(|claim| *claim != holder && has_lease(claim));
    wait_until("the waiter has a claim", || its_claim().is_some());
    waiter.kill_and_reap();
    let claim = its_claim().expect("the dead remove nothing");
    for file in [lock.path(), &holder] {
        std::fs::remove_file(file).unwrap();
    }
    claim
}

/// Making a claim takes two steps, of which this is the second.
fn has_lease(claim: &Path) -> bool {
    let mtime = std::fs::metadata(claim).and_then(|meta| meta.modified());
    mtime.is_ok_and(|lease_end| lease_end > SystemTime::now() + HOUR / 2)
}

#[test]
fn a_killed_waiters_claim_is_swept_by_the_next_handle() {
    let (_dir, lock) = fresh();
    killed_waiter(&lock, None);
    let guard = lock.try_lock().unwrap();
    assert_eq!(beside(lock.path()), [guard.claim_path()]);
}

#[test]
fn a_waiters_claim_of_another_host_is_swept_once_it_has_expired() {
    let (_dir, lock) = fresh();
    let claim = killed_waiter(&lock, Some("mars"));
    drop(lock.try_lock().unwrap());
    assert_eq!(beside(lock.path()), [claim.as_path()], "as far as we know, it may be alive");
    set_lease_end(&claim, long_ago());
    drop(Lock::new(lock.path()).unwrap().try_lock().unwrap());
    assert!(beside(lock.path()).is_empty());
}

#[test]
fn a_live_waiters_claim_is_not_swept() {
    let (_dir, lock) = fresh();
    let guard = lock.lock().unwrap();
    let mut waiter = Worker::start(&mut worker::command(Job::Wait, lock.path()));
    wait_until("the waiter has a claim", || {
        let claims = beside(lock.path());
        claims.len() == 2 && claims.iter().any(|claim| has_lease(claim))
    });
    assert!(lock.sweep().unwrap().is_empty());
    guard.unlock().unwrap();
    assert_eq!(waiter.report().as_deref(), Some("waiting"));
    assert_eq!(waiter.report().as_deref(), Some("held"));
    waiter.finish();
    assert!(beside(lock.path()).is_empty());
}
