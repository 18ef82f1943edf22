//! The first waiter is woken and served first, be it a task, a thread or a process.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::tempdir;

use crate::kit::line::in_line;
use crate::kit::worker::{Job, Worker, command};
use crate::kit::{beside, names, wait_until};
use crate::{alone, by_ear, in_company, in_time, lock, many_threads, runtimes, until};

/// Tasks wait only to be woken: whatever they notice, they were woken for. Reports how long that
/// takes, and how long threads take here.
#[test]
fn no_wake_up_is_lost() {
    let _alone = alone();
    let median = |mut took: Vec<Duration>| {
        took.sort();
        took[took.len() / 2]
    };
    let threads = median((0..150).map(|_| hand_over_to_a_thread()).collect());
    for (name, runtime) in ["one thread", "many threads"].into_iter().zip(runtimes()) {
        let dir = tempdir().unwrap();
        let path = dir.path().join("lock");
        let took = runtime.block_on(async {
            let mut took = Vec::new();
            let (holder, waiter) = (lock(&path), Arc::new(by_ear(&path)));
            for round in 0..300 {
                let held = holder.lock().await.unwrap();
                let waiter = waiter.clone();
                let waiter = tokio::spawn(async move {
                    let guard = waiter.lock().await.unwrap();
                    let had = Instant::now();
                    guard.unlock().await.unwrap();
                    had
                });
                let comes_first = round % 2 == 0;
                if comes_first {
                    until("there are two claims", || beside(&path).len() == 2).await;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                } // otherwise just when the waiter arrives, or before
                let begun = Instant::now();
                held.unlock().await.unwrap();
                let had = in_time("the waiter is served", waiter).await.unwrap();
                if comes_first {
                    took.push(had.saturating_duration_since(begun));
                }
            }
            took
        });
        let tasks = median(took);
        eprintln!("handed over, p50: to a task {tasks:?} ({name}), to a thread {threads:?}");
        assert!(names(dir.path()).is_empty());
    }
}

fn hand_over_to_a_thread() -> Duration {
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let held = linklock::Lock::new(&path).unwrap().lock().unwrap();
    let waits = by_ear(&path);
    let waiter = std::thread::spawn(move || {
        let guard = waits.as_blocking().lock().unwrap();
        let had = Instant::now();
        guard.unlock().unwrap();
        had
    });
    wait_until("there are two claims", || beside(&path).len() == 2);
    std::thread::sleep(Duration::from_millis(1));
    let begun = Instant::now();
    held.unlock().unwrap();
    waiter.join().unwrap().saturating_duration_since(begun)
}

/// Threads and tasks by turns.
#[test]
fn waiters_are_served_in_the_order_in_which_they_came() {
    let _company = in_company();
    for runtime in runtimes() {
        let dir = tempdir().unwrap();
        let path = dir.path().join("lock");
        let served = Arc::new(Mutex::new(Vec::new()));
        runtime.block_on(async {
            let held = lock(&path).lock().await.unwrap();
            let (mut threads, mut tasks) = (Vec::new(), Vec::new());
            for number in 0..20 {
                let (lock, served) = (by_ear(&path), served.clone());
                if number % 2 == 0 {
                    tasks.push(tokio::spawn(async move {
                        let guard = lock.lock().await.unwrap();
                        served.lock().unwrap().push(number);
                        guard.unlock().await.unwrap();
                    }));
                } else {
                    threads.push(std::thread::spawn(move || {
                        let guard = lock.as_blocking().lock().unwrap();
                        served.lock().unwrap().push(number);
                        guard.unlock().unwrap();
                    }));
                }
                until("it has come", || beside(&path).len() >= 2 + number).await;
                // Its claim is there a moment before its place in line is.
                until("it stands in line", || in_line(&path) > number).await;
            }
            held.unlock().await.unwrap();
            in_time("all tasks are served", async {
                for task in tasks {
                    task.await.unwrap();
                }
            })
            .await;
            until("all threads are served", || threads.iter().all(JoinHandle::is_finished)).await;
        });
        assert_eq!(*served.lock().unwrap(), (0..20).collect::<Vec<_>>());
        assert!(names(dir.path()).is_empty());
    }
}

#[test]
fn tasks_and_other_processes_wake_each_other() {
    let _company = in_company();
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    many_threads().block_on(async {
        let held = lock(&path).lock().await.unwrap();
        let mut process = Worker::start(&mut command(Job::Listen, &path));
        assert_eq!(process.report().as_deref(), Some("waiting"));
        until("the process has come", || in_line(&path) >= 1).await;
        let waits = by_ear(&path);
        let task = tokio::spawn(async move { waits.lock().await.unwrap() });
        until("the task has come", || in_line(&path) >= 2).await;
        held.unlock().await.unwrap();
        let process = tokio::task::spawn_blocking(move || {
            assert_eq!(process.report().as_deref(), Some("held"));
            process
        });
        let process = in_time("the process is served", process).await.unwrap();
        assert!(!task.is_finished());
        tokio::task::spawn_blocking(|| process.finish()).await.unwrap();
        in_time("the task is served", task).await.unwrap().unlock().await.unwrap();
    });
    assert!(names(dir.path()).is_empty());
}
