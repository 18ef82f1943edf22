//! Each takes over the other's expired lock, and not before it may.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use linklock::{Error, StalePolicy, Successor};

use super::scene::{FLUFL_SLOP, SLOP, Scene, until};

#[test]
fn we_take_over_from_a_dead_flufl_once_its_lease_is_over() {
    let Some(scene) = Scene::new() else { return };
    let flufl = scene.flufl_holding(&["--lifetime=1"]);
    let ends = scene.mtime();
    flufl.kill();
    let guard = scene.ours().clock_slop(SLOP).build().unwrap().lock().unwrap();
    assert!(SystemTime::now() >= ends + SLOP);
    guard.unlock().unwrap();
    scene.assert_nothing_is_left();
}

#[test]
fn flufl_takes_over_from_us_once_our_lease_is_over() {
    let Some(scene) = Scene::new() else { return };
    let lifetime = Duration::from_millis(300);
    let guard = scene.ours().lifetime(lifetime).build().unwrap().lock().unwrap();
    let ends = scene.mtime();
    let mut flufl = scene.flufl_holding(&[FLUFL_SLOP]);
    assert!(SystemTime::now() >= ends + SLOP);

    // Each of our calls reports it, and takes nothing away.
    assert_lost_to(flufl.pid(), guard.verify());
    assert_lost_to(flufl.pid(), guard.refresh());
    assert_lost_to(flufl.pid(), guard.unlock());
    assert_eq!(flufl.ask("is_locked"), Ok("True".into()));
    scene.unlock_last(flufl);
}

fn assert_lost_to(pid: u32, result: Result<(), Error>) {
    match result {
        Err(Error::Lost { now: Successor::Holder(holder), .. }) => assert_eq!(holder.pid(), pid),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_late_flufl_notices_and_takes_nothing_away() {
    let Some(scene) = Scene::new() else { return };
    let mut flufl = scene.flufl_holding(&[]);
    scene.age();
    let guard = scene.ours().build().unwrap().lock().unwrap();
    assert_eq!(flufl.ask("refresh"), Err("NotLockedError".into()));
    assert_eq!(flufl.ask("unlock"), Err("NotLockedError".into()));
    guard.verify().unwrap();
    guard.unlock().unwrap();
    scene.assert_nothing_is_left();
}

#[test]
fn a_lock_from_long_ago_is_taken_at_once_with_the_defaults_of_both() {
    let Some(scene) = Scene::new() else { return };
    let mut flufl = scene.flufl(&[]);

    let abandoned = scene.ours().build().unwrap().lock().unwrap();
    scene.age();
    flufl.ask("lock").unwrap();
    scene.age();
    scene.ours().build().unwrap().try_lock().unwrap().unlock().unwrap();

    assert!(matches!(abandoned.unlock(), Err(Error::Lost { now: Successor::Nobody, .. })));
    scene.assert_nothing_is_left();
}

#[test]
fn the_never_policy_leaves_an_expired_flufl_alone() {
    let Some(scene) = Scene::new() else { return };
    let flufl = scene.flufl_holding(&[]);
    scene.age();
    let refused = scene.ours().stale(StalePolicy::Never).build().unwrap().try_lock();
    assert!(refused.unwrap_err().is_contention());
    scene.unlock_last(flufl);
}

#[test]
fn a_late_refresh_of_ours_holds_against_a_flufl_that_waits() {
    let Some(scene) = Scene::new() else { return };
    let lifetime = Duration::from_millis(100);
    let guard = scene.ours().lifetime(lifetime).build().unwrap().lock().unwrap();
    until("our lease is over", || guard.remaining().is_zero());
    let mut flufl = scene.flufl(&[]); // its slop of 10 s has not passed
    flufl.begin_to_wait();
    assert!(matches!(guard.verify(), Err(Error::Expired { .. })));
    guard.refresh_for(Duration::from_secs(15)).unwrap();
    guard.verify().unwrap();
    guard.unlock().unwrap();
    flufl.answer().unwrap();
    scene.unlock_last(flufl);
}

/// flufl.lock removes a lock and its claim without asking whose they are, and ext4 gives the next claim the
/// same inode number: by that alone the next holder's lock looks like ours.
#[test]
fn a_lock_on_an_inode_used_again_is_not_taken_for_our_own() {
    let Some(scene) = Scene::new() else { return };
    let robbed = scene.ours().build().unwrap().lock().unwrap();
    let number = fs::metadata(robbed.claim_path()).unwrap().ino();
    let mut flufl = scene.flufl(&[]);
    flufl.begin_to_wait();
    scene.age();
    flufl.answer().unwrap();
    flufl.ask("unlock").unwrap();

    let lock = scene.ours().build().unwrap();
    let mut next = lock.lock().unwrap();
    for _ in 0..100 {
        if fs::metadata(next.claim_path()).unwrap().ino() == number {
            break; // not every file system reuses it
        }
        next.unlock().unwrap();
        next = lock.lock().unwrap();
    }
    let is_it_ours = (robbed.verify(), robbed.unlock());
    next.verify().expect("its lock was not taken away");
    assert_lost_to(std::process::id(), is_it_ours.0);
    assert_lost_to(std::process::id(), is_it_ours.1);
}
