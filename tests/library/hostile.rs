//! Anything may stand under the lock file's name, made by anyone: it is never trusted.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::kit::{
    beside, claim_like_flufl, far_off, lock_like_flufl, long_ago, names, set_lease_end, snapshot,
};
use linklock::{Error, Lock, Obstacle, State};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::{TempDir, tempdir};

/// A directory for locks, beside files that no lock may touch.
struct Scene {
    dir: TempDir,
    lock: PathBuf,
    victim: PathBuf,
}

impl Scene {
    fn new() -> Scene {
        let dir = tempdir().unwrap();
        let shared = dir.path().join("shared");
        fs::create_dir(&shared).unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, "save me").unwrap();
        Scene { lock: shared.join("lock"), victim, dir }
    }

    /// Puts a file in the lock's place that, if it were a lock, would have expired long ago.
    fn plant(&self, content: impl AsRef<[u8]>) {
        fs::write(&self.lock, content).unwrap();
        set_lease_end(&self.lock, long_ago());
    }

    /// The planted file is respected, as a file that is not a lock, by every contender.
    #[track_caller]
    fn is_no_lock(&self) {
        let before = snapshot(self.dir.path());
        let lock = Lock::new(&self.lock).unwrap();
        let errors = [
            lock.try_lock().map(|_| ()),
            lock.try_lock_for(Duration::from_millis(5)).map(|_| ()),
            lock.break_if(|_| true).map(|_| ()),
            lock.holder().map(|_| ()),
        ];
        for error in errors.map(Result::unwrap_err) {
            let (Error::Held { obstacle, .. } | Error::TimedOut { obstacle, .. }) = &error else {
                panic!("{error:?}")
            };
            assert!(matches!(**obstacle, Obstacle::NotALock), "{error:?}");
            assert!(error.to_string().contains(&*self.lock.to_string_lossy()), "{error}");
        }
        assert_eq!(lock.state().unwrap(), State::Unknown);
        assert!(lock.sweep().unwrap().is_empty());
        assert_eq!(snapshot(self.dir.path()), before);
    }

    /// The planted file counts as an expired lock: it is taken over, and nothing else is touched.
    #[track_caller]
    fn is_taken_over(&self) {
        let mut before = snapshot(self.dir.path());
        before.remove(&self.lock);
        let lock = Lock::new(&self.lock).unwrap();
        assert_eq!(lock.state().unwrap(), State::TheirsExpired);
        lock.try_lock().unwrap().unlock().unwrap();
        assert_eq!(snapshot(self.dir.path()), before);
    }

    /// The name that a claim has beside the lock file.
    fn claim(&self) -> PathBuf {
        self.lock.with_file_name("lock|mars|1|2")
    }
}

// ---- content that names a path elsewhere ----

#[test]
fn content_that_names_another_file_is_no_lock() {
    let scene = Scene::new();
    let shared = scene.lock.parent().unwrap();
    for path in [
        scene.victim.clone(),
        shared.join("../victim"),
        shared.join("lock|mars|1|../../victim"),
        shared.join("lock|mars|1|2/../../victim"),
        PathBuf::from("victim"),
        PathBuf::from("../victim"),
        scene.lock.clone(),
    ] {
        scene.plant(path.as_os_str().as_encoded_bytes());
        scene.is_no_lock();
    }
}

/// The lock is expired, so it is taken over; but the claim that it names is looked for beside it.
#[test]
fn content_that_names_a_claim_in_another_directory_removes_nothing_there() {
    let scene = Scene::new();
    let elsewhere = scene.dir.path().join("lock|mars|1|2");
    fs::write(&elsewhere, "save me").unwrap();
    set_lease_end(&elsewhere, long_ago());
    scene.plant(elsewhere.as_os_str().as_encoded_bytes());
    scene.is_taken_over();
    scene.plant("../lock|mars|1|2");
    scene.is_taken_over();
    assert!(elsewhere.exists());
}

#[test]
fn content_that_names_a_file_which_is_not_the_lock_files_inode_does_not_remove_it() {
    let scene = Scene::new();
    claim_like_flufl(&scene.lock, "mars|1|2", far_off()); // a waiter's, which is alive
    scene.plant(scene.claim().as_os_str().as_encoded_bytes());
    scene.is_taken_over();
    assert_eq!(beside(&scene.lock), [scene.claim()]);
}

#[test]
fn a_claim_that_is_a_symlink_is_not_followed() {
    let scene = Scene::new();
    symlink(&scene.victim, scene.claim()).unwrap();
    scene.plant(scene.claim().as_os_str().as_encoded_bytes());
    let victim = fs::read(&scene.victim).unwrap();
    drop(Lock::new(&scene.lock).unwrap().try_lock().unwrap());
    assert_eq!(fs::read(&scene.victim).unwrap(), victim);
}

#[test]
fn a_hard_link_to_another_file_at_the_locks_name_does_not_harm_the_file() {
    let scene = Scene::new();
    fs::write(&scene.victim, scene.claim().as_os_str().as_encoded_bytes()).unwrap();
    set_lease_end(&scene.victim, long_ago());
    fs::hard_link(&scene.victim, &scene.lock).unwrap();
    drop(Lock::new(&scene.lock).unwrap().try_lock().unwrap());
    assert_eq!(fs::read(&scene.victim).unwrap(), scene.claim().as_os_str().as_encoded_bytes());
}

/// No path is longer than PATH_MAX (limits.h), and no name longer than NAME_MAX: a longer content
/// names no claim, however it begins or ends.
#[test]
fn a_content_that_is_longer_than_any_path_is_no_lock() {
    const LONGEST: usize = 4096 + 255;
    let scene = Scene::new();
    let claim = "lock|elsewhere|1|12345";
    let content = |length: usize| format!("{}{claim}", "/".repeat(length - claim.len()));
    scene.plant(content(LONGEST));
    assert!(Lock::new(&scene.lock).unwrap().holder().unwrap().is_some());
    scene.plant(content(LONGEST + 1));
    scene.is_no_lock();
}

/// A seat's name is made from the number in the content: one that is too long must not block the
/// lock for everyone.
#[test]
fn content_with_numbers_of_any_length_does_not_jam_the_lock() {
    let scene = Scene::new();
    let long = scene.lock.with_file_name("l".repeat(176));
    for digits in [1, 16, 40, 63, 64, 65, 200] {
        let content = format!("{}|h|1|{}", long.display(), "9".repeat(digits));
        fs::write(&long, content).unwrap();
        set_lease_end(&long, long_ago());
        let before = snapshot(scene.dir.path());
        match Lock::options(&long).host_name("h").build().unwrap().try_lock() {
            Ok(guard) => guard.unlock().unwrap(), // it counts as a lock, and is taken over
            Err(Error::Held { .. }) => assert_eq!(snapshot(scene.dir.path()), before),
            Err(error) => panic!("a number of {digits} digits: {error}"),
        }
        let _ = fs::remove_file(&long);
        assert!(names(scene.lock.parent().unwrap()).is_empty());
    }
}

#[test]
fn pids_that_no_process_can_have_prove_nobody_dead() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let lock = Lock::new(&path).unwrap();
    let host = lock.host_name().to_string_lossy();
    for pid in ["0", "1", "4294967295", "00000000000000000001"] {
        let claim = claim_like_flufl(&path, &format!("{host}|{pid}|7"), far_off());
        fs::hard_link(&claim, &path).unwrap();
        let error = lock.try_lock().unwrap_err();
        assert!(matches!(error, Error::Held { .. }), "pid {pid}: {error:?}");
        fs::remove_file(&claim).unwrap();
        fs::remove_file(&path).unwrap();
    }
}

// ---- content that names nothing ----

#[test]
fn an_empty_file_has_an_unknown_holder_and_try_lock_leaves_it() {
    let scene = Scene::new();
    scene.plant("");
    let before = snapshot(scene.dir.path());
    let lock = Lock::new(&scene.lock).unwrap();
    let errors = [lock.try_lock(), lock.try_lock_for(Duration::from_millis(5))];
    for error in errors.map(Result::unwrap_err) {
        assert!(error.is_contention(), "{error:?}");
        assert!(error.to_string().contains("lost its content"), "{error}");
    }
    assert!(lock.sweep().unwrap().is_empty());
    assert_eq!(snapshot(scene.dir.path()), before);
}

#[test]
fn a_file_of_something_else_is_no_lock() {
    let scene = Scene::new();
    let claim = scene.claim().display().to_string();
    for content in [
        "save me",
        "\n",
        "|||",
        "lock|||",
        "lock|mars|1",
        "lock|mars|one|2",
        "lock|mars|1|2|3",
        "lock|mars|99999999999|2",
        "other|mars|1|2",
        "lock|break|x1|0",
        "lock|aside|x1|0",
        &format!("{claim}\0"),
        &format!("{claim}\nsave me"),
    ] {
        scene.plant(content);
        scene.is_no_lock();
    }
}

#[test]
fn a_binary_file_is_no_lock() {
    let scene = Scene::new();
    scene.plant((0..=255).collect::<Vec<u8>>());
    scene.is_no_lock();
}

/// It is not read to its end, whatever that is.
#[test]
fn a_huge_file_is_no_lock() {
    let scene = Scene::new();
    scene.plant([vec![b'/'; 8192], scene.claim().into_os_string().into_encoded_bytes()].concat());
    scene.is_no_lock();
    let sparse = fs::File::create(&scene.lock).unwrap();
    sparse.set_len(1 << 40).unwrap();
    set_lease_end(&scene.lock, long_ago());
    scene.is_no_lock();
}

/// Root can read it all the same; for others see `places`.
#[test]
fn a_lock_of_mode_0000_is_a_lock() {
    let scene = Scene::new();
    let claim = lock_like_flufl(&scene.lock, far_off());
    fs::set_permissions(&claim, fs::Permissions::from_mode(0o000)).unwrap();
    let before = snapshot(scene.dir.path());
    let error = Lock::new(&scene.lock).unwrap().try_lock().unwrap_err();
    assert!(matches!(error, Error::Held { .. }), "{error:?}");
    assert_eq!(snapshot(scene.dir.path()), before);
}

// ---- what is no file ----

#[test]
fn a_directory_is_no_lock() {
    let scene = Scene::new();
    fs::create_dir(&scene.lock).unwrap();
    fs::write(scene.lock.join("file"), "save me").unwrap();
    scene.is_no_lock();
}

/// Opening it would block until a process writes to it.
#[test]
fn a_fifo_is_no_lock() {
    let scene = Scene::new();
    mkfifo(&scene.lock, Mode::S_IRWXU).unwrap();
    scene.is_no_lock();
}

#[test]
fn a_symlink_is_no_lock_wherever_it_leads() {
    let scene = Scene::new();
    let real = scene.dir.path().join("real");
    lock_like_flufl(&real, long_ago());
    let lock_elsewhere = scene.dir.path().join("lock");
    lock_like_flufl(&lock_elsewhere, long_ago());
    for target in [
        Path::new("nowhere"),
        Path::new("lock"), // itself
        &scene.victim,
        &real,
        &lock_elsewhere,
        Path::new("/dev/zero"),
        scene.dir.path(),
    ] {
        symlink(target, &scene.lock).unwrap();
        scene.is_no_lock();
        fs::remove_file(&scene.lock).unwrap();
    }
}

/// Through a dangling symlink, nothing may be created.
#[test]
fn nothing_is_made_through_a_dangling_symlink() {
    let scene = Scene::new();
    let nowhere = scene.dir.path().join("nowhere");
    symlink(&nowhere, &scene.lock).unwrap();
    assert!(Lock::new(&scene.lock).unwrap().try_lock().is_err());
    assert!(!nowhere.exists());
}

// ---- what takes the lock file's place while the lock is held ----

#[test]
fn a_holder_removes_nothing_that_took_its_lock_files_place() {
    let scene = Scene::new();
    let guard = Lock::new(&scene.lock).unwrap().lock().unwrap();
    fs::remove_file(&scene.lock).unwrap();
    // A copy of the lock file, which is not a link to the claim.
    scene.plant(guard.claim_path().as_os_str().as_encoded_bytes());
    assert!(guard.verify().unwrap_err().is_lost());
    assert!(guard.refresh().unwrap_err().is_lost());
    assert!(guard.unlock().unwrap_err().is_lost());
    assert_eq!(names(scene.lock.parent().unwrap()), ["lock"]);
}

/// A user who may write the file can spoil its content, but not change whose inode it is.
#[test]
fn a_holder_whose_lock_files_content_is_spoilt_still_holds_and_releases() {
    let scene = Scene::new();
    let guard = Lock::new(&scene.lock).unwrap().lock().unwrap();
    fs::write(&scene.lock, "spoilt").unwrap();
    guard.refresh().unwrap();
    guard.verify().unwrap();
    guard.unlock().unwrap();
    assert!(names(scene.lock.parent().unwrap()).is_empty());
}
