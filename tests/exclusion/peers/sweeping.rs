//! Our sweeping leaves flufl.lock's live claims alone.

use std::path::Path;
use std::time::SystemTime;

use super::scene::{SLOP, Scene, until};

/// A waiting flufl.lock never touches its claim, which therefore expires during the wait. Nor does
/// it make a new claim if its own is gone: it would wait for ever.
#[test]
fn the_claim_of_a_flufl_that_waits_is_spared_although_it_has_expired() {
    let Some(scene) = Scene::new() else { return };
    let lock = scene.ours().clock_slop(SLOP).build().unwrap();
    let guard = lock.lock().unwrap();
    let mut flufl = scene.flufl(&["--lifetime=1"]);
    let claim = flufl.ask("claimfile").unwrap();
    flufl.begin_to_wait();
    until("its claim has expired", || {
        let ends = Path::new(&claim).metadata().unwrap().modified().unwrap();
        SystemTime::now() > ends + 2 * SLOP
    });

    let swept = lock.sweep().unwrap();
    assert!(Path::new(&claim).exists(), "swept: {swept:?}");
    guard.unlock().unwrap();
    flufl.answer().unwrap();
    scene.unlock_last(flufl);
}
