//! The client that does not block, against the real server and one that is told to misbehave.
#![cfg(feature = "async")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use common::scripted::{
    Reply, Scripted, is_websocket, lock, refusal, shake_hands, silent_websocket,
};
use common::{PATIENCE, client_options, options, serve, wait_until};
use linklock_relukko::{AsyncClient, ClientError, LockId, Server};
use serde_json::{Value, json};
use tempfile::tempdir;
use tokio::time::timeout;

fn client(server: &Server) -> AsyncClient {
    client_options(server.address()).build_async().unwrap()
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(work)
}

#[test]
fn a_lock_lives() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let client = client(&server);
    run(async {
        client.check_health().await.unwrap();
        let guard = client.try_acquire("x", Some("me")).await.unwrap();
        let (id, info) = (guard.id(), guard.info());
        assert!(guard.remaining() > Duration::from_secs(500));
        let error = client.try_acquire("x", None).await.unwrap_err();
        assert!(matches!(error, ClientError::Held { .. }), "{error}");
        assert_eq!(client.list().await.unwrap(), std::slice::from_ref(&info));
        assert_eq!(client.get(id).await.unwrap(), info);
        let changed = client.update(id, Some("you"), None).await.unwrap();
        assert_eq!(changed.creator.as_deref(), Some("you"));
        let later = client.add_to_expires_at(id).await.unwrap().expires_at;
        assert_eq!(later, info.expires_at + Duration::from_secs(300));
        let ms = Duration::from_millis(1500);
        assert_eq!(client.add_to_expires_at_for(id, ms).await.unwrap().expires_at, later + ms);
        assert!(client.keep_alive(id).await.unwrap().expires_at < later);
        client.keep_alive_for(id, Duration::from_secs(5000)).await.unwrap();
        guard.refresh(Duration::from_secs(10)).await.unwrap();
        assert!(guard.remaining() > Duration::from_secs(4000), "never sooner");
        guard.unlock().await.unwrap();
        assert!(matches!(client.get(id).await, Err(ClientError::NotFound(_))));
        let error = client.delete(LockId::NIL).await.unwrap_err();
        assert!(matches!(error, ClientError::NotFound(_)), "{error}");
    });
}

#[test]
fn a_hundred_tasks_never_hold_one_lock_at_once() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let client = client(&server);
    let is_held = Arc::new(AtomicBool::new(false));
    run(async {
        let turn = || {
            let (client, is_held) = (client.clone(), is_held.clone());
            tokio::spawn(async move {
                let guard = client.acquire_for("x", None, PATIENCE).await.unwrap();
                assert!(!is_held.swap(true, Ordering::SeqCst));
                tokio::task::yield_now().await;
                is_held.store(false, Ordering::SeqCst);
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
fn a_guard_keeps_its_lock_alive_and_is_told_when_it_is_gone() {
    let dir = tempdir().unwrap();
    let options = options(dir.path()).lifetime(Duration::from_secs(2)).grace(Duration::ZERO);
    let server = options.sweep_interval(Duration::from_millis(100)).start().unwrap();
    let client = client(&server);
    run(async {
        let guard = client.try_acquire("x", None).await.unwrap();
        let (tell, told) = tokio::sync::oneshot::channel();
        guard.keep_alive(Duration::from_secs(2), |why| tell.send(why).unwrap()).await.unwrap();
        let (id, created) = (guard.id(), guard.info().created_at);
        let begun = Instant::now();
        while client.get(id).await.unwrap().expires_at < created + Duration::from_secs(4) {
            assert!(begun.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        client.delete(id).await.unwrap();
        let why = timeout(PATIENCE, told).await.unwrap().unwrap();
        assert!(matches!(why, ClientError::Lost { .. }), "{why}");
        assert!(guard.unlock().await.unwrap_err().is_lost());
    });
}

#[test]
fn a_guard_that_is_dropped_deletes_its_lock() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let client = client(&server);
    run(async {
        let guard = client.try_acquire("x", None).await.unwrap();
        guard.keep_alive(Duration::from_secs(60), |why| panic!("{why}")).await.unwrap();
        drop(guard);
        client.acquire_for("x", None, PATIENCE).await.unwrap().unlock().await.unwrap();
        // So does one whose unlocking is called off before it has begun.
        let guard = client.try_acquire("x", None).await.unwrap();
        drop(guard.unlock());
        client.acquire_for("x", None, PATIENCE).await.unwrap().unlock().await.unwrap();
    });
}

/// However far it has come: that is for the clock to say, so there are many.
#[test]
fn an_acquire_that_is_dropped_leaves_no_lock_behind() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let client = client(&server);
    run(async {
        let mut dropped = 0;
        for round in 0..100 {
            let acquire = client.acquire("x", None);
            match timeout(Duration::from_micros(50 * round), acquire).await {
                Ok(guard) => guard.unwrap().unlock().await.unwrap(),
                Err(_) => dropped += 1,
            }
        }
        assert!(dropped > 0);
        client.acquire_for("x", None, PATIENCE).await.unwrap().unlock().await.unwrap();
        let begun = Instant::now();
        while !client.list().await.unwrap().is_empty() {
            assert!(begun.elapsed() < PATIENCE);
        }
    });
}

/// The server creates the lock when it is told to, after the client has gone.
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
    let client = client_options(server.address()).build_async().unwrap();
    run(async {
        let acquire = tokio::spawn(async move { client.acquire("x", None).await.map(drop) });
        wait_until("it was asked for", || server.count("POST", "/v1/locks/") == 1);
        acquire.abort();
        assert!(acquire.await.unwrap_err().is_cancelled());
        let_go.send(()).unwrap();
        wait_until("it is deleted", || deleted.load(Ordering::SeqCst));
    });
}

/// ... and one whose answer is lost is looked for.
#[test]
fn a_create_whose_answer_is_lost_is_known_again_or_given_back() {
    for is_dropped in [false, true] {
        let created: Arc<Mutex<Option<Value>>> = Arc::default();
        let server = Scripted::start({
            let created = created.clone();
            move |request| match (request.method.as_str(), &mut *created.lock().unwrap()) {
                ("POST", created @ None) => {
                    *created = Some(lock("x", &request.body["creator"]));
                    Reply::HangUp
                }
                ("POST", Some(_)) => refusal(409),
                ("GET", Some(own)) => Reply::Json(200, json!([lock("y", &Value::Null), own])),
                ("DELETE", created) => Reply::Json(200, created.take().unwrap()),
                _ => refusal(404),
            }
        });
        // Whoever is dropped is dropped in the pause before another try.
        let pause = if is_dropped { PATIENCE } else { Duration::from_millis(10) };
        let options = client_options(server.address()).retries(4, pause, 1.0).max_delay(pause);
        let client = options.build_async().unwrap();
        run(async {
            if is_dropped {
                let task = tokio::spawn(async move { client.acquire("x", None).await.map(drop) });
                wait_until("it was asked for", || created.lock().unwrap().is_some());
                task.abort();
                let _ = task.await;
            } else {
                client.try_acquire("x", Some("me")).await.unwrap().unlock().await.unwrap();
            }
            wait_until("it is deleted", || created.lock().unwrap().is_none());
        });
    }
}

#[test]
fn errors_of_create_end_the_wait() {
    for status in [400, 403, 404, 422, 500] {
        let server = Scripted::start(move |request| match () {
            () if is_websocket(request) => silent_websocket(request),
            () => refusal(status),
        });
        let client = client_options(server.address()).build_async().unwrap();
        let error = run(client.acquire("x", None)).unwrap_err();
        match (status, &error) {
            (403, ClientError::Denied { .. })
            | (500, ClientError::Unavailable { status: 500, .. }) => {}
            (400..=499, ClientError::Refused { status: said, .. }) => assert_eq!(*said, status),
            _ => panic!("{status}: {error}"),
        }
        let tries = if status == 500 { 4 } else { 1 };
        assert_eq!(server.count("POST", "/v1/locks/"), tries, "{status}");
    }
}

/// Nothing is said on its WebSocket before the third connection, and polling is off, in effect.
#[test]
fn a_websocket_is_connected_again_and_its_news_wake() {
    let handshakes = Arc::new(Mutex::new(0));
    let released = Arc::new(AtomicBool::new(false));
    let server = Scripted::start({
        let (handshakes, released) = (handshakes.clone(), released.clone());
        move |request| match () {
            () if is_websocket(request) => {
                let (key, released) = (request.websocket_key.clone().unwrap(), released.clone());
                *handshakes.lock().unwrap() += 1;
                let number = *handshakes.lock().unwrap();
                Reply::Custom(Box::new(move |mut stream| {
                    shake_hands(&mut stream, &key);
                    if number < 3 {
                        let _ = stream.shutdown(std::net::Shutdown::Both); // or it has left
                    } else {
                        released.store(true, Ordering::SeqCst);
                        let text = json!({ "deleted": [lock("x", &Value::Null)] }).to_string();
                        let mut frame = vec![0x81, 126];
                        frame.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
                        frame.extend(text.as_bytes());
                        let _ = std::io::Write::write_all(&mut stream, &frame);
                        let _ = std::io::Read::read_to_end(&mut stream, &mut Vec::new());
                    }
                }))
            }
            () if released.load(Ordering::SeqCst) => {
                Reply::Json(201, lock("x", &request.body["creator"]))
            }
            () => refusal(409),
        }
    });
    let client = client_options(server.address()).polling(3 * PATIENCE).build_async().unwrap();
    run(async { drop(client.acquire_for("x", None, PATIENCE).await.unwrap()) });
    assert_eq!(*handshakes.lock().unwrap(), 3);
}

#[test]
fn a_deadline_is_kept_to() {
    let held = Scripted::start(|request| match () {
        () if is_websocket(request) => silent_websocket(request),
        () => refusal(409),
    });
    let silent = Scripted::start(|_| Reply::Silence);
    let gone = client_options(Scripted::start(|_| Reply::HangUp).address());
    let clients = [client_options(held.address()), client_options(silent.address()), gone];
    for (number, options) in clients.into_iter().enumerate() {
        let client = options.retries(100, Duration::from_millis(50), 1.0).build_async().unwrap();
        let begun = Instant::now();
        let error = run(client.acquire_for("x", None, Duration::from_millis(500))).unwrap_err();
        assert!(matches!(error, ClientError::TimedOut { .. }), "{number}: {error}");
        assert_eq!(error.is_contention(), number == 0, "{error}");
        assert!(begun.elapsed() < Duration::from_secs(9), "{number}: {:?}", begun.elapsed());
    }
}
