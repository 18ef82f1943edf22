//! What only the client for tokio can do: wait in a hundred tasks at once, and be cancelled.
#![cfg(feature = "tokio")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use common::face::run;
use common::scripted::{Reply, Scripted, lock, losing_the_first_answer, refusal};
use common::{LIMIT, client_options, serve, wait_until};
use linklock_relukko::Server;
use linklock_relukko::tokio::Client;
use serde_json::Value;
use tempfile::tempdir;
use tokio::time::timeout;

fn client(server: &Server) -> Client {
    client_options(server.address()).build_tokio().unwrap()
}

#[test]
fn a_hundred_tasks_never_hold_one_lock_at_once() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let client = client(&server);
    let inside = Arc::new(tokio::sync::Mutex::new(()));
    run(async {
        let turn = || {
            let (client, inside) = (client.clone(), inside.clone());
            tokio::spawn(async move {
                let guard = client.try_lock_for("x", None, LIMIT).await.unwrap();
                let alone = inside.try_lock().expect("no other task holds the lock");
                tokio::task::yield_now().await;
                drop(alone);
                guard.unlock().await.unwrap();
            })
        };
        let turns: Vec<_> = (0..100).map(|_| turn()).collect();
        for turn in turns {
            turn.await.unwrap();
        }
        assert_eq!(client.list().await.unwrap(), []);
    });
}

#[test]
fn a_guard_that_is_dropped_deletes_its_lock() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let client = client(&server);
    run(async {
        let guard = client.try_lock("x", None).await.unwrap();
        guard.keep_alive(Duration::from_secs(60), |why| panic!("{why}")).await.unwrap();
        drop(guard);
        client.try_lock_for("x", None, LIMIT).await.unwrap().unlock().await.unwrap();
        // So does a guard whose unlocking is cancelled before it has begun.
        let guard = client.try_lock("x", None).await.unwrap();
        drop(guard.unlock());
        client.try_lock_for("x", None, LIMIT).await.unwrap().unlock().await.unwrap();
    });
}

/// At any point: the clock decides which, so there are many.
#[test]
fn an_acquire_that_is_dropped_leaves_no_lock_behind() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let client = client(&server);
    run(async {
        let mut dropped = 0;
        for round in 0..100 {
            let acquire = client.lock("x", None);
            match timeout(Duration::from_micros(50 * round), acquire).await {
                Ok(guard) => guard.unwrap().unlock().await.unwrap(),
                Err(_) => dropped += 1,
            }
        }
        assert!(dropped > 0);
        client.try_lock_for("x", None, LIMIT).await.unwrap().unlock().await.unwrap();
        let begun = Instant::now();
        while !client.list().await.unwrap().is_empty() {
            assert!(begun.elapsed() < LIMIT);
        }
    });
}

/// The same for `/v2/`, where a request may stand in line.
#[test]
fn a_wait_in_line_that_is_dropped_leaves_no_lock_behind() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let client = client(&server).v2();
    run(async {
        let request = client.request("x");
        for round in 0..50 {
            let guard = request.try_lock_for(LIMIT).await.unwrap();
            let waiting = tokio::spawn({
                let request = request.clone();
                async move { timeout(Duration::from_micros(100 * round), request.lock()).await }
            });
            tokio::time::sleep(Duration::from_micros(50 * round)).await;
            guard.unlock().await.unwrap();
            if let Ok(guard) = waiting.await.unwrap() {
                guard.unwrap().unlock().await.unwrap();
            }
        }
        request.try_lock_for(LIMIT).await.unwrap().unlock().await.unwrap();
        let begun = Instant::now();
        while !client.list().await.unwrap().is_empty() {
            assert!(begun.elapsed() < LIMIT);
        }
    });
}

/// The server creates the lock on request, after the client has gone.
#[test]
fn a_create_that_is_answered_after_the_future_is_gone_is_deleted() {
    let deleted = Arc::new(AtomicBool::new(false));
    let (let_go, may_go) = mpsc::channel::<()>();
    let may_go = Mutex::new(may_go);
    let server = Scripted::start({
        let deleted = deleted.clone();
        move |request| match request.method.as_str() {
            "POST" => {
                may_go.lock().unwrap().recv().unwrap();
                Reply::Json(201, lock("x", &request.body["creator"]))
            }
            "DELETE" => {
                deleted.store(true, Ordering::SeqCst);
                Reply::Json(200, lock("x", &Value::Null))
            }
            _ => refusal(404),
        }
    });
    let client = client_options(server.address()).build_tokio().unwrap();
    run(async {
        let acquire = tokio::spawn(async move { client.lock("x", None).await.map(drop) });
        wait_until("it was asked for", || server.count("POST", "/v1/locks/") == 1);
        acquire.abort();
        assert!(acquire.await.unwrap_err().is_cancelled());
        let_go.send(()).unwrap();
        wait_until("it is deleted", || deleted.load(Ordering::SeqCst));
    });
}

/// The same, if its answer is lost: the client searches for the lock.
#[test]
fn a_create_whose_answer_is_lost_is_known_again_or_given_back() {
    for is_dropped in [false, true] {
        let (server, created) = losing_the_first_answer();
        // The future is dropped in the pause before another try.
        let pause = if is_dropped { LIMIT } else { Duration::from_millis(10) };
        let options = client_options(server.address()).retries(4, pause, 1.0).max_delay(pause);
        let client = options.build_tokio().unwrap();
        run(async {
            if is_dropped {
                let task = tokio::spawn(async move { client.lock("x", None).await.map(drop) });
                wait_until("it was asked for", || created.lock().unwrap().is_some());
                task.abort();
                let _ = task.await;
            } else {
                client.try_lock("x", Some("me")).await.unwrap().unlock().await.unwrap();
            }
            wait_until("it is deleted", || created.lock().unwrap().is_none());
        });
    }
}
