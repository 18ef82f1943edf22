//! Unusual paths and separators.

use super::flufl::Flufl;
use super::scene::Scene;

#[test]
fn flufl_may_have_a_relative_path() {
    let Some(scene) = Scene::new() else { return };
    let flufl = scene.flufl_inside(&[]);
    assert_they_get_on(&scene, flufl, '|');
}

#[test]
fn both_may_have_another_separator() {
    let Some(scene) = Scene::with_lock("with|the usual one.lock") else { return };
    let flufl = scene.flufl(&["--separator=+"]);
    assert_they_get_on(&scene, flufl, '+');
}

#[test]
fn both_may_have_a_separator_of_several_bytes() {
    let Some(scene) = Scene::new() else { return };
    let flufl = scene.flufl_inside(&["--separator=→"]);
    assert_they_get_on(&scene, flufl, '→');
}

/// Each reads, respects and takes over the other's lock, and nothing is left.
fn assert_they_get_on(scene: &Scene, mut flufl: Flufl, separator: char) {
    let lock = scene.ours().separator(separator).build().unwrap();

    flufl.ask("lock").unwrap();
    let holder = lock.holder().unwrap().unwrap();
    assert_eq!(holder.pid(), flufl.pid());
    assert_eq!(holder.claim_path().parent(), scene.lock.parent());
    assert!(holder.claim_path().exists());
    assert!(lock.try_lock().unwrap_err().is_contention());
    scene.age();
    let guard = lock.try_lock().unwrap();
    assert_eq!(scene.left().len(), 2, "its claim is gone");

    let details = flufl.ask("details").unwrap();
    assert!(details.contains(&format!("\t{}\t", std::process::id())), "{details}");
    flufl.begin_to_wait();
    scene.age();
    flufl.answer().unwrap();
    assert_eq!(scene.left().len(), 2, "our claim is gone");
    assert!(guard.unlock().is_err_and(|error| error.is_lost()));
    scene.unlock_last(flufl);
}
