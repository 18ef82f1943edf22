//! Inotify instances: closing one takes long, and a user has only so many of them.

use std::fs;
use std::thread;

use linklock::{Lock, LockGuard};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

use super::by_ear;
use super::trouble::{Scene, scene};
use crate::kit::again::alone;
use crate::kit::line::in_line;
use crate::kit::wait_until;

/// How many may be idle.
const MOST_IDLE: usize = 4;

/// How many instances this process has.
fn instances() -> usize {
    let open = fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok);
    let targets = open.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.filter(|target| target.to_string_lossy().contains("inotify")).count()
}

/// The lock, by a thread that had to wait for it and was woken.
fn waited_for(scene: Scene, lock: &Lock) -> (Scene, LockGuard) {
    let Scene { dir, path, held } = scene;
    let before = instances();
    let won = thread::scope(|scope| {
        let waits = scope.spawn(|| lock.lock().unwrap());
        wait_until("it watches the lock file", || instances() == before.max(1));
        wait_until("it waits", || in_line(&path) == 1);
        held.unlock().unwrap();
        waits.join().unwrap()
    });
    let held = Lock::new(dir.path().join("other")).unwrap().lock().unwrap();
    (Scene { dir, path, held }, won)
}

#[test]
fn a_waiter_that_has_won_leaves_its_instance_to_the_next() {
    alone!();
    let scene = scene();
    let lock = by_ear(&scene.path).build().unwrap();
    let (scene, won) = waited_for(scene, &lock);
    assert_eq!(instances(), 1, "it closes it while it holds the lock");
    won.unlock().unwrap();
    let held = Lock::new(&scene.path).unwrap().lock().unwrap();
    let (_scene, won) = waited_for(Scene { held, ..scene }, &lock);
    assert_eq!(instances(), 1, "it takes another one");
    won.unlock().unwrap();
}

#[test]
fn a_process_that_does_not_wait_any_more_keeps_no_instance() {
    alone!();
    let scene = scene();
    let lock = by_ear(&scene.path).build().unwrap();
    let (scene, won) = waited_for(scene, &lock);
    won.unlock().unwrap();
    let other = Lock::new(scene.dir.path().join("another")).unwrap();
    wait_until("it is closed", || {
        other.lock().unwrap().unlock().unwrap();
        instances() == 0
    });
}

#[test]
fn a_process_that_has_waited_for_many_locks_at_once_keeps_a_few_instances() {
    const LOCKS: usize = 12;
    alone!();
    let scenes = [(); LOCKS].map(|()| scene());
    let waiters = scenes.map(|scene| {
        let lock = by_ear(&scene.path).build().unwrap();
        (scene, thread::spawn(move || lock.lock().unwrap()))
    });
    wait_until("all of them watch", || instances() == LOCKS);
    let won = waiters.map(|(scene, waiter)| {
        scene.held.unlock().unwrap();
        (scene.dir, waiter.join().unwrap())
    });
    for (_dir, won) in won {
        won.unlock().unwrap();
    }
    assert!(instances() <= MOST_IDLE, "{} are left", instances());
}

#[test]
fn a_forked_child_has_none_of_its_parents_instances() {
    alone!();
    let scene = scene();
    let lock = by_ear(&scene.path).build().unwrap();
    let (scene, won) = waited_for(scene, &lock); // one is idle
    let path = scene.dir.path().join("third");
    let held = Lock::new(&path).unwrap().lock().unwrap();
    let waited = by_ear(&path).build().unwrap();
    thread::scope(|scope| {
        let waits = scope.spawn(|| waited.lock().unwrap());
        wait_until("it watches", || in_line(&path) == 1);
        // SAFETY: the child only looks at its descriptors, and ends.
        #[allow(unsafe_code)]
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                let left = instances();
                // SAFETY: it ends the process, without running what the parent has set up to run.
                unsafe { libc::_exit(i32::try_from(left).unwrap()) }
            }
            ForkResult::Parent { child } => {
                assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
            }
        }
        held.unlock().unwrap();
        waits.join().unwrap().unlock().unwrap();
    });
    won.unlock().unwrap();
}
