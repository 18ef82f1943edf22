//! Other programs' dotlocks: each kind, and the rule by which it may be taken over.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use linklock::mailbox::DotlockKind;
use linklock::{Clock, Error, Life, Obstacle, StalePolicy};

use super::scene::{REST, Scene};
use crate::kit::{HOUR, far_off, lock_like_flufl, long_ago, set_lease_end};

const SECOND: Duration = Duration::from_secs(1);
/// One second less than it takes.
const NEARLY: Duration = Duration::from_secs(REST.as_secs() - 1);

/// What mail programs write, and the kind that it is.
fn kinds() -> Vec<(&'static str, u32, DotlockKind)> {
    vec![
        ("0\n", 0o644, DotlockKind::Liblockfile),
        ("1999999999\n", 0o644, DotlockKind::LiblockfilePid(1_999_999_999)),
        ("0", 0o444, DotlockKind::Procmail),
        ("4711:elsewhere", 0o600, DotlockKind::Dovecot(4711, "elsewhere".into())),
        ("", 0o000, DotlockKind::Sealed),
        ("", 0o600, DotlockKind::Empty),
        ("", 0o644, DotlockKind::Empty),
    ]
}

/// The dotlock that is in the way.
#[track_caller]
fn obstacle(error: Error) -> Obstacle {
    match error {
        Error::Held { obstacle, .. } | Error::TimedOut { obstacle, .. } => *obstacle,
        other => panic!("{other}"),
    }
}

#[test]
fn each_kind_is_known_and_respected_until_it_was_seen_unchanged_for_300_s() {
    for (content, mode, kind) in kinds() {
        let scene = Scene::new();
        scene.dotlock_of(content, mode);
        // However old its date is.
        set_lease_end(&scene.dotlock, long_ago());
        let lock = scene.lock();
        let error = lock.try_lock_for(NEARLY).unwrap_err();
        match obstacle(error) {
            Obstacle::Dotlock(dotlock) => {
                assert_eq!(*dotlock.kind(), kind);
                assert_eq!(dotlock.life(), Life::Unknown);
            }
            other => panic!("{kind}: {other:?}"),
        }
        assert!(scene.dotlock.exists(), "{kind}");
        let guard = lock.try_lock_for(2 * SECOND).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(fs::read(&scene.dotlock).unwrap(), b"0\n", "{kind}: it is ours now");
        guard.unlock().unwrap();
        assert!(scene.beside().is_empty(), "{kind}: {:?}", scene.beside());
    }
}

#[test]
fn other_files_are_never_touched() {
    let scene = Scene::new();
    let dotlock = &scene.dotlock;
    let make: &[(&str, &dyn Fn())] = &[
        ("a text", &|| fs::write(dotlock, "save me").unwrap()),
        ("a long file", &|| fs::write(dotlock, "0".repeat(100_000)).unwrap()),
        ("a directory", &|| fs::create_dir(dotlock).unwrap()),
        ("a symbolic link", &|| symlink("elsewhere", dotlock).unwrap()),
        ("a FIFO", &|| nix::unistd::mkfifo(dotlock, nix::sys::stat::Mode::S_IRWXU).unwrap()),
    ];
    for (what, make) in make {
        make();
        let before = fs::symlink_metadata(dotlock).unwrap().file_type();
        let error = scene.lock().try_lock_for(HOUR).unwrap_err();
        assert!(matches!(obstacle(error), Obstacle::NotALock), "{what}");
        assert_eq!(fs::symlink_metadata(dotlock).unwrap().file_type(), before, "{what}");
        if before.is_dir() { fs::remove_dir(dotlock) } else { fs::remove_file(dotlock) }.unwrap();
    }
}

#[test]
fn a_handle_remembers_its_observation_and_another_does_not_share_it() {
    let scene = Scene::new();
    scene.dotlock_of("0\n", 0o644);
    let lock = scene.lock();
    lock.try_lock().unwrap_err();
    scene.clock.advance(REST / 2);
    lock.clone().try_lock().unwrap_err();
    scene.clock.advance(REST / 2);
    scene.lock().try_lock().unwrap_err();
    lock.try_lock().unwrap().unlock().unwrap();
}

#[test]
fn a_program_that_touches_the_dotlock_or_the_mailbox_is_at_work() {
    let touch = |scene: &Scene| set_lease_end(&scene.dotlock, SystemTime::now());
    let write = |scene: &Scene| {
        File::options().append(true).open(&scene.mbox).unwrap().write_all(b"x").unwrap();
    };
    for (what, change) in [
        ("it touches the dotlock", &touch as &dyn Fn(&Scene)),
        ("it writes to the mailbox", &write),
    ] {
        let scene = Scene::new();
        scene.dotlock_of("0\n", 0o644);
        let lock = scene.lock();
        for _ in 0..5 {
            lock.try_lock().unwrap_err();
            scene.clock.advance(NEARLY);
            change(&scene);
        }
        lock.try_lock().unwrap_err();
        scene.clock.advance(NEARLY);
        assert!(lock.try_lock().is_err(), "{what}");
        scene.clock.advance(SECOND);
        assert!(lock.try_lock().is_ok(), "{what}");
    }
}

#[test]
fn a_new_dotlock_of_the_same_content_is_another() {
    let scene = Scene::new();
    scene.dotlock_of("0\n", 0o644);
    let lock = scene.lock();
    lock.try_lock().unwrap_err();
    scene.clock.advance(2 * REST);
    // Many file systems give it the same inode number.
    fs::remove_file(&scene.dotlock).unwrap();
    scene.dotlock_of("0\n", 0o644);
    lock.try_lock().unwrap_err();
    assert!(scene.dotlock.exists());
}

#[test]
fn the_time_to_stay_unchanged_can_be_set() {
    let scene = Scene::new();
    scene.dotlock_of("0\n", 0o644);
    let lock = scene.options().unchanged_for(REST * 4).build().unwrap();
    lock.try_lock_for(REST * 3 + NEARLY).unwrap_err();
    lock.try_lock_for(SECOND * 2).unwrap().unlock().unwrap();
    let error = scene.options().unchanged_for(SECOND * 59).build().unwrap_err();
    assert!(error.to_string().contains("at least 60 s"), "{error}");
}

#[test]
fn by_the_policy_never_nothing_is_ended() {
    for (content, mode, kind) in kinds() {
        let scene = Scene::new();
        scene.dotlock_of(content, mode);
        let lock = scene.options().stale(StalePolicy::Never).build().unwrap();
        assert!(lock.try_lock_for(HOUR).is_err(), "{kind}");
        assert!(scene.dotlock.exists(), "{kind}");
    }
}

#[cfg(all(target_os = "linux", not(linklock_unsupported)))] // processes are looked for in /proc
#[test]
fn a_process_that_runs_here_is_waited_for_however_long_it_takes() {
    let pid = std::process::id();
    for content in [format!("{pid}:here"), format!("{pid}\n")] {
        let scene = Scene::new();
        scene.dotlock_of(&content, 0o644);
        let error = scene.lock().try_lock_for(HOUR).unwrap_err();
        match obstacle(error) {
            Obstacle::Dotlock(dotlock) => {
                assert_eq!(dotlock.life(), Life::Alive);
                assert_eq!(dotlock.kind().pid(), Some(pid));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A machine's processes can be seen only from its initial pid namespace; in a container a pid
/// proves nothing, and the dotlock must stay unchanged for 300 s like any other.
#[cfg(all(target_os = "linux", not(linklock_unsupported)))] // processes are looked for in /proc
#[test]
fn the_dotlock_of_a_dead_process_on_this_host_is_taken_over_at_once_where_that_can_be_seen() {
    let sees_all = fs::read_link("/proc/self/ns/pid").unwrap().to_str() == Some("pid:[4026531836]");
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    for (policy, at_once) in [(StalePolicy::ExpiredOrDead, sees_all), (StalePolicy::Expired, false)]
    {
        let scene = Scene::new();
        scene.dotlock_of(&format!("{}:here", child.id()), 0o600);
        let lock = scene.options().stale(policy).build().unwrap();
        assert_eq!(lock.try_lock().is_ok(), at_once, "{policy:?}");
        lock.try_lock_for(REST + SECOND).unwrap().unlock().unwrap();
    }
}

#[test]
fn a_dead_pid_without_a_host_proves_nothing() {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    let scene = Scene::new();
    scene.dotlock_of(&format!("{}\n", child.id()), 0o644);
    let lock = scene.lock();
    lock.try_lock_for(NEARLY).unwrap_err();
    lock.try_lock_for(SECOND * 2).unwrap().unlock().unwrap();
}

#[test]
fn a_lock_of_the_other_kind_is_ended_by_its_own_rules() {
    let scene = Scene::new();
    let claim = lock_like_flufl(&scene.dotlock, far_off());
    let lock = scene.lock();
    let error = lock.try_lock_for(HOUR / 2).unwrap_err();
    match obstacle(error) {
        Obstacle::Holder(holder) => assert_eq!(holder.host(), "elsewhere"),
        other => panic!("{other:?}"),
    }
    assert!(claim.exists());
    set_lease_end(&claim, long_ago());
    lock.try_lock().unwrap_err();
    assert!(claim.exists(), "it must have stayed unchanged too");
    scene.clock.advance(REST);
    lock.try_lock().unwrap().unlock().unwrap();
    assert!(!claim.exists());
    assert!(scene.beside().is_empty(), "{:?}", scene.beside());
}

#[test]
fn an_obstacle_is_shown_without_taking_anything() {
    let scene = Scene::new();
    let lock = scene.lock();
    assert!(lock.obstacles().unwrap().is_empty());
    scene.dotlock_of("4711:elsewhere", 0o600);
    let begun = scene.clock.now();
    lock.obstacles().unwrap();
    scene.clock.advance(SECOND * 90);
    match lock.obstacles().unwrap().as_slice() {
        [Obstacle::Dotlock(dotlock)] => {
            assert_eq!(dotlock.unchanged_for(), scene.clock.now().saturating_sub(begun));
            let said = dotlock.to_string();
            let expected =
                "a dotlock of Dovecot, process 4711 on elsewhere, seen unchanged for 90 s";
            assert_eq!(said, expected);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(scene.beside(), ["joe.lock"]);
}
