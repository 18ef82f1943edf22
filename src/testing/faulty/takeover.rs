//! Taking over another process's lock: failures that need a test of their own.

use std::fs;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::fault::{Fault, Op, When};
use super::scene::{LIFETIME, NEIGHBOUR, PEER, POLL, SLOP, Scene, US, truth};
use crate::error::{Error, Operation};
use crate::holder::Obstacle;
use crate::protocol::claim::Claim;
use crate::protocol::takeover::{Caught, catch};
use crate::sys::errno;
use crate::sys::fs::Mount;

const SECOND: Duration = Duration::from_secs(1);

/// An attempt to break a lock may be forbidden, or may just fail.
#[test]
fn only_a_forbidden_break_is_reported_as_forbidden() {
    for (errno, is_forbidden) in [
        (errno::EPERM, true),
        (errno::EACCES, true),
        (errno::EROFS, true),
        (errno::EIO, false),
        (errno::ENOSPC, false),
    ] {
        let scene = Scene::new(Mount::Nfs);
        scene.die(PEER, scene.lock_of(PEER).lock().unwrap());
        scene.pass(LIFETIME + SLOP + SECOND);
        let lock = scene.lock_of(US);
        scene.fs.arm(Some(Fault::once(Op::Rename, errno)));
        match lock.try_lock().unwrap_err() {
            Error::Held { obstacle, .. } => {
                assert!(is_forbidden && matches!(*obstacle, Obstacle::CannotBreak(..)));
            }
            Error::Io { operation: Operation::Rename, .. } => assert!(!is_forbidden, "{errno}"),
            other => panic!("{errno}: {other:?}"),
        }
    }
}

#[test]
fn a_lock_file_that_was_caught_by_mistake_is_put_back() {
    let scene = Scene::new(Mount::Nfs);
    let holder = scene.lock_of(PEER).lock().unwrap();
    let before = scene.files();
    let lock = scene.lock_of(US);
    let aside = scene.path().with_file_name("lock|aside|x0000000000000001|1");
    let caught = catch(&lock.context, &scene.path(), aside, |_| false).unwrap();
    assert_eq!(caught, Caught::Another);
    assert_eq!(scene.files(), before);
    holder.verify().unwrap();
}

#[test]
fn a_lock_file_that_was_caught_by_mistake_does_not_replace_a_third_holders() {
    let scene = Scene::new(Mount::Nfs);
    let caught = scene.lock_of(PEER).lock().unwrap();
    let lock = scene.lock_of(US);
    let aside = scene.path().with_file_name("lock|aside|x0000000000000001|1");
    let mut third = None;
    let end = catch(&lock.context, &scene.path(), aside.clone(), |_| {
        third = Some(scene.lock_of(PEER + 100).lock().unwrap());
        false
    });
    assert_eq!(end.unwrap(), Caught::Another);
    assert!(!aside.exists());
    third.unwrap().unlock().unwrap();
    assert!(caught.unlock().unwrap_err().is_lost());
}

/// It belongs to another process, which may be holding the lock: it must not be lost as well.
#[test]
fn a_lock_file_that_cannot_be_put_back_is_kept() {
    let scene = Scene::new(Mount::Nfs);
    let holder = scene.lock_of(PEER).lock().unwrap();
    let lock = scene.lock_of(US);
    let aside = scene.path().with_file_name("lock|aside|x0000000000000001|1");
    scene.fs.arm(Some(Fault::once(Op::Link, errno::EIO)));
    let error = catch(&lock.context, &scene.path(), aside.clone(), |_| false).unwrap_err();
    assert!(matches!(error, Error::Io { operation: Operation::Link, .. }), "{error:?}");
    assert_eq!(truth(&aside), truth(holder.claim_path()));
    fs::rename(&aside, scene.path()).unwrap();
    holder.unlock().unwrap();
}

/// Each attempt reports that the seat is taken, yet no process is in it.
#[test]
fn a_process_that_never_finds_its_seat_gives_up() {
    let scene = Scene::new(Mount::Nfs);
    scene.die(PEER, scene.lock_of(PEER).lock().unwrap());
    scene.pass(LIFETIME + SLOP + SECOND);
    let lock = scene.lock_of(US);
    lock.context.memory.has_swept.store(true, Ordering::Relaxed);
    scene.fs.arm(Some(Fault::always(Op::Link, errno::EEXIST)));
    let error = lock.try_lock().unwrap_err();
    assert!(!scene.fs.gave_up());
    assert!(matches!(&error, Error::Io { error, .. } if error.kind() == io::ErrorKind::NotFound));
    // A single such report only means that a process has just left the seat. (The first link is the
    // attempt to lock.)
    scene.fs.arm(Some(Fault { when: When::At(1), ..Fault::once(Op::Link, errno::EEXIST) }));
    lock.try_lock().unwrap().unlock().unwrap();
}

#[test]
fn a_forfeited_seat_is_passed_over_for_its_own_incarnation() {
    let scene = Scene::new(Mount::Nfs);
    let context = &scene.lock_of(US).context;
    let mut claim = Claim::make(context, LIFETIME).unwrap();
    let other = Claim::make(context, LIFETIME).unwrap().name.nonce.clone();
    let nonce = claim.name.nonce.clone();
    assert_eq!(claim.first_seat(&nonce), 0);
    claim.forfeited = Some((nonce.clone(), 3));
    assert_eq!(claim.first_seat(&nonce), 4);
    assert_eq!(claim.first_seat(&other), 0);
}

/// The pause for a dead holder's last request does not count for the next holder's.
#[test]
fn each_dead_holder_gets_a_pause_of_its_own() {
    let scene = Scene::new(Mount::Nfs);
    scene.die(NEIGHBOUR, scene.lock_of(NEIGHBOUR).lock().unwrap());
    let begun = scene.server_time();
    let waited = || scene.server_time().duration_since(begun).unwrap();
    let mut second = None;
    let guard = scene.lock_of(US).lock_while(|_| {
        if second.is_none() && waited() > SLOP / 2 {
            let next = scene.lock_of(NEIGHBOUR + 1);
            assert!(next.break_if(|_| true).unwrap().is_some());
            scene.die(NEIGHBOUR + 1, next.lock().unwrap());
            second = Some(waited());
        }
        true
    });
    let rested = waited().saturating_sub(second.unwrap());
    assert!(rested >= SLOP && rested < SLOP + 2 * POLL, "{rested:?}");
    drop(guard);
}

/// Where no request can still be under way, its seat is as good as empty.
#[test]
fn a_breaker_that_died_in_its_seat_is_passed_over_at_once() {
    for (mount, is_passed) in [(Mount::Local, true), (Mount::Nfs, false)] {
        let scene = Scene::new(mount);
        let guard = scene.lock_of(PEER).lock().unwrap();
        let seat = guard.claim_path().to_string_lossy().rsplit_once('|').unwrap().1.to_owned();
        let seat = scene.path().with_file_name(format!("lock|break|{seat}|0"));
        scene.die(PEER, guard);
        scene.pass(LIFETIME + SLOP + SECOND);
        let claim = Claim::make(&scene.lock_of(NEIGHBOUR).context, LIFETIME).unwrap();
        fs::hard_link(&claim.path, seat).unwrap();
        scene.kill(NEIGHBOUR);
        drop(claim); // as in a dead process, no claim is removed
        assert_eq!(scene.lock_of(US).try_lock().is_ok(), is_passed, "{mount:?}");
    }
}

/// A request that is executed late, or twice, must not hit the file of another process.
#[test]
fn a_lock_file_is_put_aside_under_a_new_name_each_time() {
    let scene = Scene::new(Mount::Nfs);
    let context = &scene.lock_of(US).context;
    let numbers = [(); 8].map(|()| context.machine.random_number());
    assert!(numbers.iter().enumerate().all(|(at, number)| !numbers[..at].contains(number)));
}
