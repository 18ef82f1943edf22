//! Locks that outlive the process that took them: detach and adopt.

use std::process::Command;
use std::time::SystemTime;

use linklock::{Error, Life, Lock, Owner, State, Successor};
use tempfile::tempdir;

use crate::kit::worker::{self, Job, Worker};
use crate::kit::{
    HOUR, beside, far_off, lock_like_flufl, long_ago, names, set_lease_end, snapshot,
};

#[test]
fn a_lock_detached_to_its_lease_has_no_owner() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let lock = Lock::new(&path).unwrap();
    let claim = lock.lock().unwrap().detach(Owner::Lease).unwrap();

    assert_eq!(beside(&path), [claim.as_path()], "the old claim is gone");
    let holder = lock.holder().unwrap().unwrap();
    assert_eq!((holder.claim_path(), holder.life()), (claim.as_path(), Life::Unknown));
    assert_ne!(holder.pid(), std::process::id());
    assert_eq!(lock.state().unwrap(), State::Unknown);
    assert!(!lock.is_locked().unwrap() && lock.claim_path().is_none());
    assert!(matches!(lock.try_lock(), Err(Error::Held { .. })), "nor its old handle's");
    set_lease_end(&path, long_ago());
    drop(lock.try_lock().unwrap());
}

#[test]
fn detaching_begins_a_whole_lease_of_the_guards_lifetime() {
    let dir = tempdir().unwrap();
    let lock = Lock::new(dir.path().join("lock")).unwrap();
    let guard = lock.lock().unwrap();
    guard.refresh_for(HOUR).unwrap();
    guard.detach(Owner::Lease).unwrap();
    let left = lock.expires_at().unwrap().unwrap().duration_since(SystemTime::now());
    assert!(left.unwrap() > HOUR / 2);
}

#[test]
fn a_lock_detached_to_a_process_ends_with_it() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let other = dir.path().join("other");
    let mut owner = Worker::start(&mut worker::command(Job::Hold, &other));
    owner.report().unwrap();
    let lock = Lock::options(&path).lifetime(HOUR).build().unwrap();
    let claim = lock.lock().unwrap().detach(Owner::Process(owner.pid())).unwrap();

    let holder = lock.holder().unwrap().unwrap();
    assert_eq!((holder.pid(), holder.life()), (owner.pid(), Life::Alive));
    assert_eq!(holder.claim_path(), claim);
    assert!(lock.try_lock().is_err());
    owner.kill_and_reap();
    let guard = lock.try_lock().unwrap();
    assert_eq!(beside(&path), [guard.claim_path()]);
}

#[test]
fn a_lock_is_not_detached_to_a_process_that_does_not_run_but_released() {
    let dir = tempdir().unwrap();
    let lock = Lock::new(dir.path().join("lock")).unwrap();
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    for pid in [child.id(), 0, u32::MAX] {
        let error = lock.lock().unwrap().detach(Owner::Process(pid)).unwrap_err();
        assert!(matches!(error, Error::NoSuchOwner { pid: no, .. } if no == pid), "{error:?}");
        assert!(names(dir.path()).is_empty());
    }
}

#[test]
fn a_lost_lock_is_not_detached() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let guard = Lock::new(&path).unwrap().lock().unwrap();
    std::fs::remove_file(&path).unwrap();
    let error = guard.detach(Owner::Lease).unwrap_err();
    assert!(matches!(error, Error::Lost { now: Successor::Nobody, .. }), "{error:?}");
    assert!(names(dir.path()).is_empty());
}

#[test]
fn an_adopted_lock_is_held_like_any_other() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let claim = Lock::new(&path).unwrap().lock().unwrap().detach(Owner::Lease).unwrap();

    let lock = Lock::options(&path).lifetime(HOUR).build().unwrap();
    let guard = lock.adopt(&claim).unwrap();
    assert_eq!(lock.claim_path().as_deref(), Some(guard.claim_path()));
    assert_ne!(guard.claim_path(), claim, "from now on it belongs to the adopter");
    let again = Lock::new(&path).unwrap().adopt(&claim);
    assert!(matches!(again, Err(Error::Lost { now: Successor::Holder(_), .. })), "{again:?}");
    assert!(lock.is_locked().unwrap());
    guard.verify().unwrap();
    guard.refresh().unwrap();
    assert!(guard.remaining() > HOUR / 2, "by the adopting handle's lifetime");
    assert!(matches!(lock.try_lock(), Err(Error::AlreadyLocked { .. })));
    guard.unlock().unwrap();
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_lock_can_be_handed_on_and_on() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let lock = Lock::new(&path).unwrap();
    let mut claim = lock.lock().unwrap().detach(Owner::Lease).unwrap();
    for owner in [Owner::Process(std::process::id()), Owner::Lease] {
        let next = lock.adopt(&claim).unwrap().detach(owner).unwrap();
        assert_ne!(next, claim);
        assert_eq!(beside(&path), [next.as_path()]);
        claim = next;
    }
    lock.adopt(&claim).unwrap().unlock().unwrap();
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_lock_that_has_ended_is_not_adopted() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let lock = Lock::new(&path).unwrap();
    let claim = lock.lock().unwrap().detach(Owner::Lease).unwrap();
    lock.adopt(&claim).unwrap().unlock().unwrap();

    let error = lock.adopt(&claim).unwrap_err();
    assert!(matches!(error, Error::Lost { now: Successor::Nobody, .. }), "{error:?}");
    assert!(names(dir.path()).is_empty());
    lock_like_flufl(&path, far_off());
    let before = snapshot(dir.path());
    let error = lock.adopt(&claim).unwrap_err();
    assert_eq!(error.holder().unwrap().pid(), 4711);
    assert_eq!(snapshot(dir.path()), before);
}

#[test]
fn only_a_claim_of_the_lock_is_adopted() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let lock = Lock::new(&path).unwrap();
    let others = Lock::new(dir.path().join("other")).unwrap();
    let others = others.lock().unwrap().detach(Owner::Lease).unwrap();
    let before = snapshot(dir.path());
    for no_claim in [path.as_path(), others.as_path(), "".as_ref(), "..".as_ref()] {
        let error = lock.adopt(no_claim).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
        assert!(error.to_string().contains(&*no_claim.to_string_lossy()), "{error}");
    }
    assert_eq!(snapshot(dir.path()), before);
}

#[test]
fn an_adopted_lock_outlives_its_previous_owner() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let mut owner = Command::new("sleep").arg("60").spawn().unwrap();
    let process = Owner::Process(owner.id());
    let claim = Lock::new(&path).unwrap().lock().unwrap().detach(process).unwrap();
    let guard = Lock::new(&path).unwrap().adopt(&claim).unwrap();
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(matches!(Lock::new(&path).unwrap().try_lock(), Err(Error::Held { .. })));
    guard.verify().unwrap();
    guard.unlock().unwrap();
    assert!(names(dir.path()).is_empty());
}

#[test]
fn one_of_many_simultaneous_adopters_gets_the_lock() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    for _ in 0..20 {
        let claim = Lock::new(&path).unwrap().lock().unwrap().detach(Owner::Lease).unwrap();
        let adopted: Vec<_> = std::thread::scope(|scope| {
            let adopters: Vec<_> =
                (0..6).map(|_| scope.spawn(|| Lock::new(&path).unwrap().adopt(&claim))).collect();
            adopters.into_iter().map(|adopter| adopter.join().unwrap()).collect()
        });
        let (holders, refused): (Vec<_>, Vec<_>) = adopted.into_iter().partition(Result::is_ok);
        assert_eq!(holders.len(), 1, "{refused:?}");
        for error in refused.into_iter().map(Result::unwrap_err) {
            assert!(error.is_lost(), "{error:?}");
        }
        for holder in holders {
            holder.unwrap().unlock().unwrap();
        }
        assert!(names(dir.path()).is_empty());
    }
}

/// A script's commands act on its lock one after the other, or at once: it stays the script's.
#[test]
fn any_number_of_processes_may_act_on_a_detached_lock() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let claim = Lock::new(&path).unwrap().lock().unwrap().detach(Owner::Lease).unwrap();
    let [one, two] = [(); 2].map(|()| Lock::new(&path).unwrap().attach(&claim).unwrap());
    for guard in [&one, &two] {
        guard.refresh().unwrap();
        guard.verify().unwrap();
        assert_eq!(guard.claim_path(), claim);
    }
    one.unlock().unwrap();
    assert!(matches!(two.unlock(), Err(Error::Lost { .. })));
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_lock_that_was_attached_to_is_not_handed_over() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let claim = Lock::new(&path).unwrap().lock().unwrap().detach(Owner::Lease).unwrap();
    let error = Lock::new(&path).unwrap().attach(&claim).unwrap().detach(Owner::Lease).unwrap_err();
    assert!(error.to_string().contains("this process may not hand it over"), "{error}");
    assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
}

/// Each takes the seat with a claim of its own: of the processes that refresh a lock and those that
/// adopt it at the same time, none leaves another's seat.
#[test]
fn processes_that_act_for_an_owner_respect_the_seats() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    for _ in 0..10 {
        let claim = Lock::new(&path).unwrap().lock().unwrap().detach(Owner::Lease).unwrap();
        let refresh = || {
            let guard = Lock::new(&path).unwrap().attach(&claim)?;
            let refreshed = guard.refresh();
            std::mem::forget(guard);
            refreshed
        };
        let adopted = std::thread::scope(|scope| {
            let others = [(); 3].map(|()| scope.spawn(refresh));
            let adopters =
                [(); 2].map(|()| scope.spawn(|| Lock::new(&path).unwrap().adopt(&claim)));
            for other in others {
                let refreshed = other.join().unwrap();
                // To the processes that come after the adopter, it is lost.
                assert!(refreshed.as_ref().map_or_else(Error::is_lost, |()| true), "{refreshed:?}");
            }
            adopters.map(|adopter| adopter.join().unwrap())
        });
        let held: Vec<_> = adopted.into_iter().filter_map(Result::ok).collect();
        assert_eq!(held.len(), 1);
        for guard in held {
            guard.verify().unwrap();
            guard.unlock().unwrap();
        }
        assert!(names(dir.path()).is_empty(), "{:?}", names(dir.path()));
    }
}
