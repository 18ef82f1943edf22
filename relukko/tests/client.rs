//! The client against the real server, and when a server vanishes, with both faces.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use common::face::{Face, in_both_faces};
use common::scripted::{Reply, Scripted, is_websocket, lock, refusal, silent_websocket};
use common::{LIMIT, client_options, options, serve, wait_until};
use linklock_relukko::{ClientError, LockId};
use tempfile::tempdir;

in_both_faces! {
    a_lock_lives,
    a_guard_keeps_its_lock_alive_and_learns_when_it_is_gone,
    a_deadline_is_kept_to,
    a_wait_goes_on_while_its_condition_holds,
    a_deadline_that_is_never_reached_is_none,
    a_waiter_retries_until_its_deadline,
    a_waiter_without_a_deadline_goes_on_once_it_was_answered,
    a_timeout_names_the_holder,
}

fn a_lock_lives(face: Face) {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let client = face.client(client_options(server.address()));
    client.check_health().unwrap();
    let guard = client.try_lock("x", Some("me")).unwrap();
    let info = guard.info();
    let id = info.id;
    assert!(guard.remaining() > Duration::from_secs(500));
    let error = client.try_lock("x", None).unwrap_err();
    assert!(matches!(error, ClientError::Held { .. }), "{error}");
    assert_eq!(client.list().unwrap(), std::slice::from_ref(&info));
    assert_eq!(client.get(id).unwrap(), info);
    assert_eq!(client.update(id, "you").unwrap().creator.as_deref(), Some("you"));
    let later = client.add_to_expires_at(id).unwrap().expires_at;
    assert_eq!(later, info.expires_at + Duration::from_secs(300));
    let ms = Duration::from_millis(1500);
    assert_eq!(client.add_to_expires_at_for(id, ms).unwrap().expires_at, later + ms);
    assert!(client.keep_alive(id).unwrap().expires_at < later);
    client.keep_alive_for(id, Duration::from_secs(5000)).unwrap();
    guard.refresh(Duration::from_secs(10)).unwrap();
    assert!(guard.remaining() > Duration::from_secs(4000), "never sooner");
    guard.expire_in(Duration::from_secs(100)).unwrap();
    assert!(guard.remaining() <= Duration::from_secs(100), "unless that is asked for");
    assert!(client.get(id).unwrap().expires_at < info.expires_at);
    guard.unlock().unwrap();
    assert!(matches!(client.get(id), Err(ClientError::NotFound(_))));
    let error = client.delete(LockId::NIL).unwrap_err();
    assert!(matches!(error, ClientError::NotFound(_)), "{error}");
}

fn a_guard_keeps_its_lock_alive_and_learns_when_it_is_gone(face: Face) {
    let dir = tempdir().unwrap();
    let options = options(dir.path()).lifetime(Duration::from_secs(2)).grace(Duration::ZERO);
    let server = options.sweep_interval(Duration::from_millis(100)).start().unwrap();
    let client = face.client(client_options(server.address()));
    let guard = client.try_lock("x", None).unwrap();
    let (tell, told) = mpsc::channel();
    guard.keep_alive(Duration::from_secs(2), move |why| tell.send(why).unwrap()).unwrap();
    let (id, created) = (guard.info().id, guard.info().created_at);
    wait_until("it was prolonged beyond what it had", || {
        client.get(id).unwrap().expires_at > created + Duration::from_secs(4)
    });
    client.delete(id).unwrap();
    let why = told.recv_timeout(LIMIT).unwrap();
    assert!(matches!(why, ClientError::Lost { .. }), "{why}");
    assert!(guard.unlock().unwrap_err().is_lost());
}

fn a_deadline_is_kept_to(face: Face) {
    let held = Scripted::start(|request| match () {
        () if is_websocket(request) => silent_websocket(request),
        () => refusal(409),
    });
    let silent = Scripted::start(|_| Reply::Silence);
    let gone = Scripted::start(|_| Reply::HangUp).address();
    for (number, address) in [held.address(), silent.address(), gone].into_iter().enumerate() {
        let client = face.client(client_options(address));
        let begun = Instant::now();
        let error = client.try_lock_for("x", None, Duration::from_millis(500)).unwrap_err();
        assert!(matches!(error, ClientError::TimedOut { .. }), "{number}: {error}");
        assert_eq!(error.is_contention(), number == 0, "{error}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{number}: {:?}", begun.elapsed());
    }
}

fn a_wait_goes_on_while_its_condition_holds(face: Face) {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let client = face.client(client_options(server.address()));
    let guard = client.try_lock("x", None).unwrap();
    let mut left = 5;
    let error = client.lock_while("x", None, move || {
        left -= 1;
        left > 0
    });
    let error = error.unwrap_err();
    assert!(error.is_contention(), "{error}");
    guard.unlock().unwrap();
    client.lock_while("x", None, || true).unwrap().unlock().unwrap();
}

fn a_deadline_that_is_never_reached_is_none(face: Face) {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let client = face.client(client_options(server.address()));
    let guard = client.try_lock_for("x", None, Duration::MAX).unwrap();
    assert!(guard.refresh(Duration::MAX).is_err(), "the server has no such date");
    guard.unlock().unwrap();
}

/// A server that first answers that the lock is held, then fails more often than the client tries,
/// and then has the lock free.
fn away_for_a_while(is_held_first: bool) -> Scripted {
    let (held, failures) = (AtomicBool::new(is_held_first), std::sync::Mutex::new(12));
    Scripted::start(move |request| match () {
        () if is_websocket(request) => Reply::HangUp,
        () if request.method != "POST" => refusal(404),
        () if held.swap(false, Ordering::SeqCst) => refusal(409),
        () => {
            let mut failures = failures.lock().unwrap();
            *failures -= 1;
            if *failures > 0 {
                refusal(503)
            } else {
                Reply::Json(201, lock("x", &request.body["creator"]))
            }
        }
    })
}

fn a_waiter_retries_until_its_deadline(face: Face) {
    for is_held_first in [true, false] {
        let server = away_for_a_while(is_held_first);
        let client =
            face.client(client_options(server.address()).max_delay(Duration::from_millis(50)));
        client.try_lock_for("x", None, LIMIT).unwrap();
    }
}

fn a_waiter_without_a_deadline_goes_on_once_it_was_answered(face: Face) {
    let options =
        |server: &Scripted| client_options(server.address()).max_delay(Duration::from_millis(50));
    let server = away_for_a_while(true);
    face.client(options(&server)).lock("x", None).unwrap();
    let server = away_for_a_while(true);
    face.client(options(&server)).lock_while("x", None, || true).unwrap();
    // A server that has never answered may not be one, and is named.
    let server = away_for_a_while(false);
    let error = face.client(options(&server)).lock("x", None).unwrap_err();
    assert!(matches!(error, ClientError::Unavailable { .. }), "{error}");
    assert_eq!(server.count("POST", "/v1/locks/"), 4);
    // Nor does the client wait if the caller does not want to.
    let server = away_for_a_while(false);
    face.client(options(&server)).try_lock("x", None).unwrap_err();
    assert_eq!(server.count("POST", "/v1/locks/"), 4);
}

fn a_timeout_names_the_holder(face: Face) {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let client = face.client(client_options(server.address()));
    let guard = client.try_lock("x", Some("the nightly report")).unwrap();
    let error = client.try_lock_for("x", None, Duration::from_millis(100)).unwrap_err();
    assert!(error.to_string().contains("the nightly report"), "{error}");
    guard.unlock().unwrap();
}
