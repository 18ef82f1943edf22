//! Taking over a stale dotlock: one breaker at a time, and never a live dotlock.

use std::fs;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use linklock::Lock;
use linklock::mailbox::MailboxLock;

use super::scene::{REST, Scene};
use crate::kit::clock::JumpingClock;
use crate::kit::{lock_like_flufl, long_ago};

const BREAKERS: usize = 6;

/// How many stale dotlocks are broken.
fn rounds() -> u32 {
    std::env::var("LINKLOCK_BREAKS").map_or(100, |rounds| rounds.parse().unwrap())
}

/// All of them have seen the same dotlock unchanged for long enough. One of them removes it; what
/// the others have observed is then out of date, and they must not remove the new holder's dotlock.
#[test]
fn of_many_simultaneous_breakers_one_gets_the_mailbox() {
    let scene = Scene::new();
    let turns = Mutex::new(0);
    for _ in 0..rounds() {
        scene.dotlock_of("0\n", 0o644);
        let start = Barrier::new(BREAKERS);
        thread::scope(|threads| {
            for _ in 0..BREAKERS {
                threads.spawn(|| {
                    let clock = Arc::new(JumpingClock::default());
                    let lock = MailboxLock::options(&scene.mbox)
                        .fcntl(false) // which would exclude the others by itself
                        .polling(Duration::from_micros(50), Duration::from_millis(2))
                        .clock(clock.clone())
                        .build()
                        .unwrap();
                    lock.try_lock().unwrap_err();
                    clock.jump(REST);
                    start.wait();
                    let guard = lock.lock().unwrap();
                    let mut turns = turns.try_lock().expect("nobody else holds the lock");
                    guard.verify().unwrap();
                    *turns += 1;
                    drop(turns);
                    guard.unlock().unwrap();
                });
            }
        });
        assert!(scene.beside().is_empty(), "{:?}", scene.beside());
    }
    assert_eq!(turns.into_inner().unwrap(), rounds() * u32::try_from(BREAKERS).unwrap());
}

#[test]
fn only_the_process_with_the_right_to_break_breaks() {
    let scene = Scene::new();
    scene.dotlock_of("0\n", 0o644);
    let breaker = Lock::new(scene.dir.path().join(".joe.break")).unwrap().lock().unwrap();
    let lock = scene.lock();
    lock.try_lock_for(REST * 2).unwrap_err();
    assert_eq!(fs::read(&scene.dotlock).unwrap(), b"0\n");
    breaker.unlock().unwrap();
    lock.try_lock().unwrap().unlock().unwrap();
}

#[test]
fn a_takeover_that_a_dead_breaker_left_is_finished() {
    let scene = Scene::new();
    scene.dotlock_of("0\n", 0o644);
    lock_like_flufl(&scene.dir.path().join(".joe.break"), long_ago());
    scene.lock().try_lock_for(REST * 2).unwrap().unlock().unwrap();
    assert!(scene.beside().is_empty(), "{:?}", scene.beside());
}

#[test]
fn what_a_process_that_died_left_beside_the_mailbox_is_swept_by_the_next_breaker() {
    let scene = Scene::new();
    let first_name = scene.dir.path().join(".joe.break|aside|x0123456789abcdef|7");
    super::scene::make_file(&first_name, "0\n", 0o644);
    fs::hard_link(&first_name, &scene.dotlock).unwrap();
    crate::kit::set_lease_end(&first_name, long_ago());
    // That changes the dotlock, which is the same file: it is watched for another 300 s.
    let guard = scene.lock().try_lock_for(REST * 3).unwrap();
    assert!(!first_name.exists());
    guard.unlock().unwrap();
}
