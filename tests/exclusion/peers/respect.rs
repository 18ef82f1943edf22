//! Each respects the other's live lock, however often that is refreshed, and unlocking leaves
//! nothing behind.

use std::thread;
use std::time::{Duration, Instant};

use linklock::Error;

use super::scene::{FLUFL_SLOP, SLOP, Scene, until};

#[test]
fn flufl_waits_for_us() {
    let Some(scene) = Scene::new() else { return };
    let guard = scene.ours().build().unwrap().lock().unwrap();
    let mut flufl = scene.flufl(&[]);
    flufl.begin_to_wait();
    guard.verify().unwrap();
    guard.unlock().unwrap();
    assert_eq!(flufl.answer(), Ok("None".into()));
    assert_eq!(flufl.ask("is_locked"), Ok("True".into()));
    scene.unlock_last(flufl);
}

#[test]
fn we_wait_for_flufl() {
    let Some(scene) = Scene::new() else { return };
    let mut flufl = scene.flufl_holding(&[]);
    let lock = scene.ours().build().unwrap();
    let refused = lock.try_lock().unwrap_err();
    assert!(matches!(refused, Error::Held { .. }), "{refused}");
    assert_eq!(refused.holder().unwrap().pid(), flufl.pid());
    thread::scope(|scope| {
        let waiting = scope.spawn(|| lock.lock().unwrap());
        until("a claim of ours appears", || scene.left().len() == 3);
        flufl.ask("unlock").unwrap();
        let guard = waiting.join().unwrap();
        guard.verify().unwrap();
        guard.unlock().unwrap();
    });
    scene.assert_nothing_is_left();
}

#[test]
fn a_waiter_that_gives_up_leaves_only_the_holders_files() {
    let Some(scene) = Scene::new() else { return };
    let mut flufl = scene.flufl(&[]);

    let guard = scene.ours().build().unwrap().lock().unwrap();
    assert_eq!(flufl.ask("lock 1"), Err("TimeOutError".into()));
    assert_eq!(scene.left().len(), 2);
    guard.unlock().unwrap();

    flufl.ask("lock").unwrap();
    let in_vain = scene.ours().build().unwrap().try_lock_for(Duration::from_millis(100));
    assert!(matches!(in_vain.unwrap_err(), Error::TimedOut { .. }));
    assert_eq!(scene.left().len(), 2);
    scene.unlock_last(flufl);
}

#[test]
fn we_go_on_waiting_while_flufl_refreshes() {
    let Some(scene) = Scene::new() else { return };
    let mut flufl = scene.flufl_holding(&["--lifetime=2"]);
    let first_end = scene.mtime();
    let slop = 2 * SLOP; // for a refresh that is late
    let lock = scene.ours().clock_slop(slop).build().unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| lock.lock().unwrap());
        until("its first lease is long over", || {
            flufl.ask("refresh").unwrap();
            assert!(!waiting.is_finished(), "a lock that is refreshed was taken over");
            first_end.elapsed().is_ok_and(|over| over > slop + SLOP)
        });
        flufl.ask("unlock").unwrap();
        waiting.join().unwrap().unlock().unwrap();
    });
    scene.assert_nothing_is_left();
}

#[test]
fn flufl_goes_on_waiting_while_we_refresh() {
    let Some(scene) = Scene::new() else { return };
    let lifetime = Duration::from_secs(1);
    let guard = scene.ours().lifetime(lifetime).build().unwrap().lock().unwrap();
    guard.keep_alive(|lost| eprintln!("{lost}")).unwrap();
    let begun = Instant::now();
    let mut flufl = scene.flufl(&[FLUFL_SLOP]);
    flufl.begin_to_wait();
    until("our first lease is long over", || begun.elapsed() > lifetime + 2 * SLOP);
    guard.verify().unwrap();
    guard.unlock().unwrap();
    flufl.answer().unwrap();
    scene.unlock_last(flufl);
}

#[test]
fn each_changes_its_lifetime_while_the_other_looks_on() {
    let Some(scene) = Scene::new() else { return };
    let hour = Duration::from_secs(3600);
    let mut flufl = scene.flufl(&[]);
    let lock = scene.ours().build().unwrap();

    flufl.ask("lock").unwrap();
    flufl.ask("refresh 3600").unwrap();
    let holder = lock.holder().unwrap().unwrap();
    assert!(holder.expires_at() > holder.refreshed_at() + hour - Duration::from_secs(2));
    flufl.ask("unlock").unwrap();

    let guard = lock.lock().unwrap();
    guard.refresh_for(hour).unwrap();
    let seen: f64 = flufl.ask("expiration").unwrap().parse().unwrap();
    let ours = guard.expires_at().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!((seen - ours.as_secs_f64()).abs() < 0.1, "{seen} {ours:?}");
}
