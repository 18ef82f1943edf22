//! Wrong clocks.
//!
//! We measure everything by the file server's clock, so that our own does not matter. flufl.lock
//! writes the ends of its leases by its own clock, and we must take them as they are. A contender
//! with flufl.lock and a fast clock breaks live locks, which nothing can prevent.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::scene::{SLOP, Scene};
use crate::kit::HOUR;
use crate::kit::clock::{OtherClock, Wrong};

/// A clock with a wrong date.
fn wrong(wrong: Wrong) -> Arc<OtherClock> {
    Arc::new(OtherClock { wrong, count: Duration::ZERO })
}

#[test]
fn our_own_date_does_not_matter_for_the_locks_of_flufl() {
    let Some(scene) = Scene::new() else { return };
    for date in [Wrong::Fast(HOUR), Wrong::Slow(HOUR)] {
        let ours = scene.ours().clock(wrong(date));
        let flufl = scene.flufl_holding(&["--lifetime=1"]);
        let refused = ours.clone().build().unwrap().try_lock();
        assert!(refused.unwrap_err().is_contention(), "{date:?}");
        let ends = scene.mtime();
        flufl.kill();
        let guard = ours.clock_slop(SLOP).build().unwrap().lock().unwrap(); // and not an hour late
        assert!(SystemTime::now() >= ends + SLOP, "{date:?}");
        guard.unlock().unwrap();
    }
}

#[test]
fn our_own_date_does_not_matter_for_our_locks_either() {
    let Some(scene) = Scene::new() else { return };
    for date in [Wrong::Fast(HOUR), Wrong::Slow(HOUR)] {
        let lock = scene.ours().clock(wrong(date)).build().unwrap();
        let guard = lock.lock().unwrap();
        let left = scene.mtime().duration_since(SystemTime::now()).unwrap();
        let tag = Duration::from_millis(2); // microseconds that distinguish one touch from another
        assert!(left <= lock.lifetime() + tag, "{left:?}");
        let mut flufl = scene.flufl(&[]);
        flufl.begin_to_wait();
        guard.unlock().unwrap();
        flufl.answer().unwrap();
        flufl.ask("unlock").unwrap();
    }
}

/// Its lease ends when the server's clock gets there: the takeover is late by as much as its clock
/// is fast.
#[test]
fn a_flufl_that_is_fast_keeps_its_lock_for_longer_than_its_lifetime() {
    let Some(scene) = Scene::new() else { return };
    let mut flufl = scene.flufl(&["--lifetime=1", "--skew=2"]);
    let before = SystemTime::now();
    flufl.ask("lock").unwrap();
    flufl.kill();
    let ends = scene.mtime();
    assert!(ends > before + Duration::from_secs(2));
    let guard = scene.ours().clock_slop(SLOP).build().unwrap().lock().unwrap();
    assert!(SystemTime::now() >= ends + SLOP);
    guard.unlock().unwrap();

    let flufl = scene.flufl_holding(&["--skew=3600"]);
    flufl.kill();
    let in_vain = scene.ours().build().unwrap().try_lock_for(Duration::from_millis(100));
    let left =
        in_vain.unwrap_err().holder().unwrap().expires_at().duration_since(SystemTime::now());
    assert!(left.unwrap() > HOUR);
}

/// That is what the slop is for.
#[test]
fn a_flufl_that_is_slow_by_less_than_the_slop_is_respected() {
    let Some(scene) = Scene::new() else { return };
    let mut flufl = scene.flufl_holding(&["--lifetime=1", "--skew=-2"]);
    assert!(scene.mtime() < SystemTime::now());
    assert!(scene.ours().build().unwrap().try_lock().unwrap_err().is_contention());
    flufl.ask("unlock").unwrap();
}

/// By its dates, its lease was over before it began: flufl.lock on another host would break such a
/// lock as well. The holder learns of the loss.
#[test]
fn a_flufl_that_is_slow_by_an_hour_loses_its_lock_at_once() {
    let Some(scene) = Scene::new() else { return };
    let mut flufl = scene.flufl_holding(&["--skew=-3600"]);
    let guard = scene.ours().build().unwrap().try_lock().unwrap();
    assert_eq!(flufl.ask("unlock"), Err("NotLockedError".into()));
    guard.verify().unwrap();
    // Our lock is live, and its slow clock can only make it wait.
    assert_eq!(flufl.ask("lock 1"), Err("TimeOutError".into()));
    guard.unlock().unwrap();
    scene.assert_nothing_is_left();
}
