//! Sets of slots: how many hold one at once, which slots, and what errors say.

use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use linklock::{Error, Lock, SlotGuard, Slots, StalePolicy};
use tempfile::tempdir;

use crate::kit::worker::Worker;
use crate::kit::{lock_like_flufl, long_ago, names, wait, wait_until};

const SHORT: Duration = Duration::from_millis(20);

fn slot(set: &Path, number: u32) -> std::path::PathBuf {
    set.with_file_name(format!("set.{number}"))
}

#[test]
fn as_many_hold_a_slot_as_there_are() {
    let dir = tempdir().unwrap();
    let slots = Slots::new(dir.path().join("set"), 3).unwrap();
    let guards: Vec<_> = (0..3).map(|_| slots.clone().try_lock().unwrap()).collect();
    let mut numbers: Vec<_> = guards.iter().map(SlotGuard::slot).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2]);
    for guard in &guards {
        assert_eq!(guard.path(), slots.locks()[guard.slot()].path());
    }
    let error = slots.clone().try_lock().unwrap_err();
    assert!(matches!(&error, Error::Held { path, .. } if path == slots.path()), "{error:?}");
    assert!(error.holder().is_some());
    let error = slots.clone().try_lock_for(SHORT).unwrap_err();
    assert!(matches!(&error, Error::TimedOut { path, .. } if path == slots.path()), "{error:?}");
    drop(guards);
    assert_eq!(names(dir.path()), [""; 0], "nothing is left");
}

#[test]
fn threads_that_share_a_handle_get_a_slot_each() {
    const ROUNDS: usize = 20;
    let dir = tempdir().unwrap();
    let slots = Slots::new(dir.path().join("set"), 2).unwrap();
    let (inside, turns) = (Mutex::new([false; 2]), Mutex::new([0; 2]));
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let guard = slots.lock().unwrap();
                    let slot = guard.slot();
                    assert!(!std::mem::replace(&mut inside.lock().unwrap()[slot], true));
                    thread::yield_now();
                    turns.lock().unwrap()[slot] += 1;
                    inside.lock().unwrap()[slot] = false;
                    guard.into_guard().unlock().unwrap();
                }
            });
        }
    });
    let turns = turns.into_inner().unwrap();
    assert_eq!(turns.iter().sum::<usize>(), 6 * ROUNDS);
    assert!(turns.iter().all(|turns| *turns > 0), "{turns:?}");
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn a_thread_can_hold_all_slots_and_no_more() {
    let dir = tempdir().unwrap();
    let slots = Slots::new(dir.path().join("set"), 2).unwrap();
    let _both = [slots.lock().unwrap(), slots.lock().unwrap()];
    let error = slots.lock().unwrap_err();
    assert!(matches!(error, Error::AlreadyLocked { .. }), "{error:?}");
}

#[test]
fn a_slot_that_another_program_locks_is_occupied() {
    let dir = tempdir().unwrap();
    let set = dir.path().join("set");
    let slots = Slots::new(&set, 2).unwrap();
    let other = Lock::new(slot(&set, 0)).unwrap().lock().unwrap();
    let guard = slots.clone().lock().unwrap();
    assert_eq!(guard.slot(), 1);
    assert!(slots.clone().try_lock().is_err());
    drop(other);
    assert_eq!(slots.try_lock().unwrap().slot(), 0);
}

#[test]
fn a_waiter_gets_the_slot_that_is_released_first() {
    let dir = tempdir().unwrap();
    let slots = Slots::new(dir.path().join("set"), 3).unwrap();
    let guards: Vec<_> = (0..3).map(|_| slots.clone().lock().unwrap()).collect();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| slots.try_lock_for(wait::LIMIT).map(|guard| guard.slot()));
        // It has a claim in each slot once it waits for all.
        let waits = |lock: &Lock| !lock.waiters().unwrap().is_empty();
        wait_until("it waits for each", || slots.locks().iter().all(waits));
        let mut guards = guards.into_iter();
        let released = guards.next().unwrap();
        let number = released.slot();
        released.into_guard().unlock().unwrap();
        assert_eq!(waiter.join().unwrap().unwrap(), number);
        drop(guards);
    });
    assert_eq!(names(dir.path()), [""; 0], "no claim of the other slots is left");
}

#[test]
fn waiters_of_one_machine_are_served_in_turn() {
    let dir = tempdir().unwrap();
    let slots = Slots::new(dir.path().join("set"), 1).unwrap();
    let held = slots.clone().lock().unwrap();
    let order = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for number in 0..4 {
            let (slots, order) = (slots.clone(), &order);
            let waits_for_its_turn = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
            let asked = waits_for_its_turn.clone();
            scope.spawn(move || {
                let mut calls = 0;
                let guard = slots.lock_while(|_| {
                    calls += 1;
                    // The second time it is asked, it has its place in the queue.
                    asked.store(calls >= 2, std::sync::atomic::Ordering::SeqCst);
                    true
                });
                order.lock().unwrap().push(number);
                guard.unwrap().into_guard().unlock().unwrap();
            });
            wait_until("it waits", || waits_for_its_turn.load(std::sync::atomic::Ordering::SeqCst));
        }
        drop(held);
    });
    assert_eq!(order.into_inner().unwrap(), [0, 1, 2, 3]);
}

#[test]
fn a_dead_holders_slot_is_taken_over() {
    let dir = tempdir().unwrap();
    let set = dir.path().join("set");
    let slots = Slots::new(&set, 2).unwrap();
    let mut dead = Worker::holding(&slot(&set, 0));
    let _other = Worker::holding(&slot(&set, 1));
    assert!(slots.clone().try_lock().is_err());
    dead.kill_and_reap();
    assert_eq!(slots.lock().unwrap().slot(), 0);
}

#[test]
fn an_expired_slot_is_taken_over_without_waiting() {
    let dir = tempdir().unwrap();
    let set = dir.path().join("set");
    lock_like_flufl(&slot(&set, 0), crate::kit::far_off());
    lock_like_flufl(&slot(&set, 1), long_ago());
    let slots = Slots::new(&set, 2).unwrap();
    assert_eq!(slots.try_lock().unwrap().slot(), 1);
}

#[test]
fn a_policy_that_never_takes_over_holds_for_slots() {
    let dir = tempdir().unwrap();
    let set = dir.path().join("set");
    lock_like_flufl(&slot(&set, 0), long_ago());
    let never = Lock::options(&set).stale(StalePolicy::Never).slots(1).unwrap();
    assert!(never.try_lock().unwrap_err().is_contention());
}

#[test]
fn contenders_that_disagree_on_the_number_can_be_found() {
    let dir = tempdir().unwrap();
    let set = dir.path().join("set");
    let (six, four) = (Slots::new(&set, 6).unwrap(), Slots::new(&set, 4).unwrap());
    let guards: Vec<_> = (0..6).map(|_| six.clone().lock().unwrap()).collect();
    assert!(four.try_lock().is_err());
    let holders = four.holders().unwrap();
    assert_eq!(holders.iter().map(|(slot, _)| *slot).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    assert!(holders.iter().all(|(_, holder)| holder.slots() == Some(6)));
    // Holders beyond the four keep their slots, and no new one gets one of them.
    let (beyond, within): (Vec<_>, Vec<_>) = guards.into_iter().partition(|it| it.slot() >= 4);
    drop(within);
    let again: Vec<_> = (0..4).map(|_| four.clone().try_lock().unwrap()).collect();
    assert!(four.try_lock().is_err());
    for guard in &beyond {
        guard.refresh().unwrap();
    }
    drop((beyond, again));
    let plain = Lock::new(slot(&set, 2)).unwrap().lock().unwrap();
    assert_eq!(four.holders().unwrap()[0].1.slots(), None, "a lock by itself");
    drop(plain);
}

#[test]
fn invalid_sets_are_refused() {
    let dir = tempdir().unwrap();
    for (path, number) in [("set", 0), ("set", 257), ("..", 2), ("a|b", 2)] {
        let error = Slots::new(dir.path().join(path), number).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{path:?}, {number}: {error:?}");
    }
    let longest = "x".repeat(255);
    assert!(matches!(Slots::new(dir.path().join(longest), 2), Err(Error::Invalid { .. })));
}

#[test]
fn a_trailing_slash_makes_no_other_set() {
    let dir = tempdir().unwrap();
    let set = dir.path().join("set");
    let slots = Slots::new(dir.path().join("set/"), 1).unwrap();
    assert_eq!(slots.path(), set);
    let guard = slots.lock().unwrap();
    assert_eq!(guard.path(), slot(&set, 0));
    assert_eq!(guard.claim_path().parent(), set.parent());
}

#[test]
fn a_wait_that_is_cut_short_leaves_nothing() {
    let dir = tempdir().unwrap();
    let set = dir.path().join("set");
    let slots = Slots::new(&set, 3).unwrap();
    let guards: Vec<_> = (0..3).map(|_| slots.clone().lock().unwrap()).collect();
    let mut asked = 0;
    let refused = slots.lock_while(|obstacle| {
        assert!(obstacle.holder().is_some());
        asked += 1;
        asked < 4
    });
    assert!(matches!(refused, Err(Error::TimedOut { .. })));
    assert_eq!(asked, 4, "it is not asked again");
    let refused = slots.lock_while(|_| false);
    assert!(matches!(refused, Err(Error::TimedOut { .. })));
    let panics = || slots.lock_while(|_| panic!("in go_on"));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics));
    assert!(panicked.is_err());
    drop(guards);
    assert_eq!(names(dir.path()), [""; 0]);
}
