//! Each reads the other's details and state.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use linklock::{Life, State};

use super::ours::start_holder;
use super::scene::Scene;

#[test]
fn flufl_reads_our_details_and_expiration() {
    let Some(scene) = Scene::new() else { return };
    let mut flufl = scene.flufl(&[]);
    assert_eq!(flufl.ask("details"), Err("NotLockedError".into()));
    let lock = scene.ours().build().unwrap();
    let guard = lock.lock().unwrap();

    let host = lock.host_name().to_str().unwrap();
    let details = format!("{host}\t{}\t{}", std::process::id(), scene.lock.display());
    assert_eq!(flufl.ask("details"), Ok(details));
    let expiration: f64 = flufl.ask("expiration").unwrap().parse().unwrap();
    let ends = guard.expires_at().duration_since(UNIX_EPOCH).unwrap();
    assert!((expiration - ends.as_secs_f64()).abs() < 0.1, "{expiration} {ends:?}");
}

#[test]
fn we_read_the_details_and_expiration_of_flufl() {
    let Some(scene) = Scene::new() else { return };
    let mut flufl = scene.flufl(&[]);
    let lock = scene.ours().build().unwrap();
    assert_eq!(lock.holder().unwrap(), None);
    flufl.ask("lock").unwrap();

    let holder = lock.holder().unwrap().unwrap();
    assert_eq!(holder.host().to_str().unwrap(), flufl.ask("hostname").unwrap());
    assert_eq!(holder.pid(), flufl.pid());
    assert_eq!(holder.claim_path().to_str().unwrap(), flufl.ask("claimfile").unwrap());
    assert_eq!(holder.life(), Life::Unknown);
    let expiration = flufl.ask("expiration").unwrap().parse().unwrap();
    assert_eq!(holder.expires_at(), UNIX_EPOCH + Duration::from_secs_f64(expiration));
    assert_eq!(lock.expires_at().unwrap(), Some(holder.expires_at()));
    assert!(holder.refreshed_at() <= SystemTime::now());
}

#[test]
fn flufl_infers_our_state() {
    let Some(scene) = Scene::new() else { return };
    let mut flufl = scene.flufl(&[]);
    assert_eq!(flufl.ask("state"), Ok("unlocked".into()));
    // It looks for processes only if the host name is the one that it uses for its own host: the
    // full name, where we write that of gethostname(2).
    let host = flufl.ask("hostname").unwrap();

    let mut holder = start_holder(&scene.lock, &host);
    assert_eq!(flufl.ask("state"), Ok("unknown".into()));
    scene.age();
    assert_eq!(flufl.ask("state"), Ok("theirs_expired".into()));
    holder.kill();
    assert_eq!(flufl.ask("state"), Ok("stale".into()));

    // The dead holder's lock may be taken over at once.
    let other_host = scene.ours().host_name("elsewhere").build().unwrap().try_lock().unwrap();
    assert_eq!(flufl.ask("state"), Ok("unknown".into()));
    other_host.unlock().unwrap();
    assert_eq!(flufl.ask("state"), Ok("unlocked".into()));
    scene.assert_nothing_is_left();
}

#[test]
fn we_infer_the_state_of_flufl() {
    let Some(scene) = Scene::new() else { return };
    let mut flufl = scene.flufl(&[]);
    let host = flufl.ask("hostname").unwrap();
    for options in [scene.ours(), scene.ours().host_name(host)] {
        let lock = options.build().unwrap();
        assert_eq!(lock.state().unwrap(), State::Unlocked);
        flufl.ask("lock").unwrap();
        assert_eq!(lock.state().unwrap(), State::Unknown);
        scene.age();
        assert_eq!(lock.state().unwrap(), State::TheirsExpired);
        flufl.ask("unlock").unwrap();
    }
}

/// Its pid may belong to another process by now, or to another container: flufl.lock calls such a
/// lock stale, and we do not.
#[test]
fn a_dead_flufl_is_not_provably_dead() {
    let Some(scene) = Scene::new() else { return };
    let mut flufl = scene.flufl(&[]);
    let host = flufl.ask("hostname").unwrap();
    flufl.ask("lock").unwrap();
    flufl.kill();
    let lock = scene.ours().host_name(host).build().unwrap();
    assert_eq!(lock.holder().unwrap().unwrap().life(), Life::Unknown);
    assert_eq!(lock.state().unwrap(), State::Unknown);
    assert!(lock.try_lock().unwrap_err().is_contention());
    assert_eq!(scene.flufl(&[]).ask("state"), Ok("stale".into()));
}
