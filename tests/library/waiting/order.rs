//! The first waiter is served first, as soon as the lock is released.

use std::sync::mpsc;
use std::thread;

use linklock::{Error, Lock, Obstacle};
use tempfile::tempdir;

use super::{HOUR, by_ear, claims};
use crate::kit::line::in_line;
use crate::kit::worker::{Job, Worker, command};
use crate::kit::{names, wait_until};

#[test]
fn no_wake_up_is_lost() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let (holder, waiter) = (Lock::new(&path).unwrap(), by_ear(&path).build().unwrap());
    for round in 0..300 {
        let held = holder.lock().unwrap();
        let (says, hears) = mpsc::channel();
        thread::scope(|scope| {
            let waiter = &waiter;
            scope.spawn(move || says.send(waiter.lock().unwrap().unlock()));
            if round % 2 == 0 {
                wait_until("there are two claims", || claims(&path, 2));
            } // otherwise just when the waiter arrives, or before
            held.unlock().unwrap();
            let served = hears.recv_timeout(crate::kit::wait::LIMIT);
            served.expect("the waiter sleeps on").unwrap();
        });
    }
    assert!(names(dir.path()).is_empty());
}

#[test]
fn waiters_are_served_in_the_order_in_which_they_came() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let held = Lock::new(&path).unwrap().lock().unwrap();
    let (says, hears) = mpsc::channel();
    thread::scope(|scope| {
        for number in 0..20 {
            let (lock, says) = (by_ear(&path).build().unwrap(), says.clone());
            scope.spawn(move || {
                let guard = lock.lock().unwrap();
                says.send(number).unwrap();
                guard.unlock().unwrap();
            });
            wait_until("it has come", || claims(&path, 2 + number));
            // Its claim is there a moment before its place in line is.
            wait_until("it stands in line", || in_line(&path) > number);
        }
        held.unlock().unwrap();
        let served: Vec<_> = hears.iter().take(20).collect();
        assert_eq!(served, (0..20).collect::<Vec<_>>());
    });
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_waiter_of_another_process_is_woken_too() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let held = Lock::new(&path).unwrap().lock().unwrap();
    let mut waiters: Vec<_> = (2..6)
        .map(|claims_then| {
            let mut waiter = Worker::start(&mut command(Job::Listen, &path));
            assert_eq!(waiter.report().as_deref(), Some("waiting"));
            wait_until("it has come", || claims(&path, claims_then));
            waiter
        })
        .collect();
    held.unlock().unwrap();
    // Each is asked in turn: processes that arrive together may be served in any order.
    while !waiters.is_empty() {
        let holder = Lock::new(&path).unwrap();
        let mut served = None;
        wait_until("one of them has been served", || {
            let pid = holder.holder().unwrap().map(|holder| holder.pid());
            served = waiters.iter().position(|waiter| Some(waiter.pid()) == pid);
            served.is_some()
        });
        let mut waiter = waiters.remove(served.unwrap());
        assert_eq!(waiter.report().as_deref(), Some("held"));
        waiter.finish();
    }
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_waiter_does_not_push_in_the_next_time() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let turns = |_: usize| {
        let lock = by_ear(&path).build().unwrap();
        move || {
            let mut turns = Vec::new();
            for _ in 0..50 {
                let guard = lock.lock().unwrap();
                turns.push(std::time::Instant::now());
                thread::yield_now();
                guard.unlock().unwrap();
            }
            turns
        }
    };
    let held = Lock::new(&path).unwrap().lock().unwrap();
    let (one, other) = thread::scope(|scope| {
        let (one, other) = (scope.spawn(turns(0)), scope.spawn(turns(1)));
        wait_until("both have come", || claims(&path, 3));
        held.unlock().unwrap();
        (one.join().unwrap(), other.join().unwrap())
    });
    // Neither has had half of its turns before the other has had one.
    assert!(one[25] > other[0] && other[25] > one[0], "{one:?}\n{other:?}");
}

#[test]
fn a_place_that_was_not_needed_is_given_up_at_once() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let (held, lock) = (Lock::new(&path).unwrap().lock().unwrap(), by_ear(&path).build().unwrap());
    let won = thread::scope(|scope| {
        let waits = scope.spawn(|| lock.lock().unwrap());
        wait_until("it waits", || in_line(&path) == 1);
        held.unlock().unwrap();
        waits.join().unwrap()
    });
    assert_eq!(in_line(&path), 1, "it has passed its place on before the release");
    won.unlock().unwrap();
    // It queues up before it tries, since it had to wait the last time.
    let held = lock.lock().unwrap();
    assert_eq!(in_line(&path), 0, "the next waiter would stand behind it");
    held.unlock().unwrap();
}

/// A waiter with a place in line that does nothing else until the test lets it go on.
fn at_the_head(path: &std::path::Path, run: impl FnOnce()) {
    let (in_line, stands) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let head = scope.spawn(move || {
            let pause = std::time::Duration::from_millis(1);
            let lock = Lock::options(path).lifetime(HOUR).polling(pause, pause).build().unwrap();
            let mut asked = 0;
            lock.lock_while(|_| {
                asked += 1; // the first time before it is in line
                if asked == 2 {
                    in_line.send(()).unwrap();
                    let _ = may_go_on.recv(); // or the test has failed
                }
                true
            })
        });
        let go_on = go_on; // dropped by a panic, before the scope waits for the head
        stands.recv().unwrap();
        run();
        go_on.send(()).unwrap();
        head.join().unwrap().unwrap().unlock().unwrap();
    });
}

/// A handle that had to wait, and so lets others go first.
fn handle_that_has_waited(path: &std::path::Path) -> Lock {
    let pause = std::time::Duration::from_millis(1);
    let lock = Lock::options(path).lifetime(HOUR).polling(pause, pause).build().unwrap();
    let mut held = Some(Lock::new(path).unwrap().lock().unwrap());
    lock.lock_while(|_| held.take().is_some()).unwrap().unlock().unwrap();
    lock
}

/// It has to ask, since the head does not react.
#[test]
fn a_handle_that_had_to_wait_queues_before_it_tries() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let lock = handle_that_has_waited(&path);
    let held = Lock::new(&path).unwrap().lock().unwrap();
    at_the_head(&path, || {
        held.unlock().unwrap();
        let mut obstacles = Vec::new();
        let refused = lock.lock_while(|obstacle| {
            obstacles.push(obstacle.to_string());
            false
        });
        assert!(matches!(refused.unwrap_err(), Error::TimedOut { .. }));
        assert_eq!(obstacles, [Obstacle::Queue.to_string()]);
        // A process that does not wait has no reason to queue.
        lock.try_lock().unwrap().unlock().unwrap();
    });
}

#[test]
fn a_waiter_in_line_learns_who_holds_the_lock() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let lock = handle_that_has_waited(&path);
    let held = Lock::new(&path).unwrap().lock().unwrap();
    at_the_head(&path, || {
        let mut told = None;
        let refused = lock.lock_while(|obstacle| {
            told = obstacle.holder().map(|holder| holder.claim_path().to_owned());
            false
        });
        assert!(refused.is_err());
        assert_eq!(told.as_deref(), Some(held.claim_path()));
        // So does a waiter that never looked, since others do that for it.
        let error = lock.try_lock_for(std::time::Duration::from_nanos(1)).unwrap_err();
        assert_eq!(error.holder().unwrap().claim_path(), held.claim_path());
        held.unlock().unwrap();
    });
}
