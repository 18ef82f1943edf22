//! The faults that were measured in PyRelukko 0.12.0, one scenario each, against a server that
//! misbehaves by a script.

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use common::face::{Face, in_both_faces};
use common::scripted::{
    Reply, Request, Scripted, is_websocket, lock, losing_the_first_answer, refusal, shake_hands,
    silent_websocket,
};
use common::{LIMIT, client_options};
use linklock_relukko::ClientError;
use serde_json::{Value, json};

/// How long a test's client is willing to wait for an event that should come much sooner.
const LONG: Duration = Duration::from_secs(30);

in_both_faces! {
    errors_of_create_end_the_wait,
    what_is_no_lock_is_not_taken_for_one,
    a_free_lock_is_had_without_a_websocket,
    a_release_during_the_handshake_is_noticed,
    a_silent_websocket_does_not_delay_for_long,
    a_broken_websocket_is_connected_again_and_not_in_a_rush,
    no_time_at_all_is_time_for_one_attempt,
    retries_and_slow_answers_keep_to_the_deadline,
    slashes_at_the_end_of_the_url_do_not_matter,
    a_create_whose_answer_is_lost_is_known_again,
    anothers_lock_is_not_taken_for_ones_own,
    giving_up_leaves_no_lock_behind,
    a_guard_deletes_its_own_lock_only,
    a_delete_may_be_repeated,
    what_may_have_been_added_is_not_added_again,
}

fn is_create(request: &Request) -> bool {
    request.method == "POST"
}

/// PyRelukko: blocks for ever while its WebSocket is healthy.
fn errors_of_create_end_the_wait(face: Face) {
    for status in [400, 403, 404, 418, 422, 500] {
        let server = Scripted::start(move |request| match () {
            () if is_websocket(request) => silent_websocket(request),
            () => refusal(status),
        });
        let client = face.client(client_options(server.address()));
        let error = client.lock("x", None).unwrap_err();
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

/// PyRelukko: 404 and 422 are returned as if they were locks; so is anything else with 201.
fn what_is_no_lock_is_not_taken_for_one(face: Face) {
    for body in [json!({}), json!([]), json!({ "status": 404, "message": "no" }), json!("yes")] {
        let server = Scripted::start(move |_| Reply::Json(201, body.clone()));
        let client = face.client(client_options(server.address()));
        let error = client.try_lock("x", None).unwrap_err();
        assert!(matches!(error, ClientError::NotRelukko { .. }), "{error}");
    }
}

/// PyRelukko: 2.5 s with the WebSocket on, which causes all of that.
fn a_free_lock_is_had_without_a_websocket(face: Face) {
    let server = Scripted::start(|request| Reply::Json(201, lock("x", &request.body["creator"])));
    let client = face.client(client_options(server.address()));
    let guard = client.lock("x", Some("me")).unwrap();
    assert!(guard.info().creator.unwrap().starts_with("me #"));
    assert_eq!(server.count("GET", "/ws/broadcast"), 0);
    assert_eq!(server.count("POST", "/v1/locks/"), 1);
}

/// PyRelukko: never noticed. Here only the handshake can show it: it lasts until the client polls
/// every 4 s, and the release comes at its end, so that the next poll is seconds away.
fn a_release_during_the_handshake_is_noticed(face: Face) {
    const POLLS: usize = 5; // the first request, and 0.25, 0.5, 1 and 2 s after the one before
    let released: Arc<Mutex<Option<Instant>>> = Arc::default();
    let (polled, polls) = mpsc::channel();
    let polls = Mutex::new(polls);
    let server = Scripted::start({
        let released = released.clone();
        move |request| match () {
            () if is_websocket(request) => {
                polls.lock().unwrap().iter().take(POLLS).for_each(drop);
                *released.lock().unwrap() = Some(Instant::now());
                silent_websocket(request)
            }
            () if released.lock().unwrap().is_some() => {
                Reply::Json(201, lock("x", &request.body["creator"]))
            }
            () if is_create(request) => {
                polled.send(()).unwrap();
                refusal(409)
            }
            () => refusal(404),
        }
    });
    let client = face.client(client_options(server.address()).polling(3 * LIMIT));
    let guard = client.try_lock_for("x", None, LONG).unwrap();
    let noticed = released.lock().unwrap().unwrap().elapsed();
    assert!(noticed < Duration::from_secs(3), "no sooner than a poll: {noticed:?}");
    assert_eq!(server.count("POST", "/v1/locks/"), POLLS + 1);
    drop(guard);
}

/// PyRelukko: taken 207 s after its release.
fn a_silent_websocket_does_not_delay_for_long(face: Face) {
    let begun = Instant::now();
    let server = Scripted::start(move |request| match () {
        () if is_websocket(request) => silent_websocket(request),
        () if begun.elapsed() > Duration::from_secs(1) => {
            Reply::Json(201, lock("x", &request.body["creator"]))
        }
        () => refusal(409),
    });
    let poll = Duration::from_secs(2);
    let client = face.client(client_options(server.address()).polling(poll));
    let guard = client.try_lock_for("x", None, LONG).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    drop(guard);
}

/// PyRelukko: spins, and never connects again.
fn a_broken_websocket_is_connected_again_and_not_in_a_rush(face: Face) {
    let handshakes = Arc::new(AtomicUsize::new(0));
    let news: Arc<Mutex<Option<String>>> = Arc::default();
    let server = Scripted::start({
        let (handshakes, news) = (handshakes.clone(), news.clone());
        move |request| match () {
            () if is_websocket(request) => {
                let (key, news) = (request.websocket_key.clone().unwrap(), news.clone());
                let number = handshakes.fetch_add(1, Ordering::SeqCst);
                Reply::Custom(Box::new(move |mut stream| {
                    shake_hands(&mut stream, &key);
                    if number < 3 {
                        let _ = stream.shutdown(std::net::Shutdown::Both);
                        return;
                    }
                    let text = json!({ "deleted": [lock("x", &Value::Null)] }).to_string();
                    let frame = [
                        &[0x81, 126][..],
                        &u16::try_from(text.len()).unwrap().to_be_bytes(),
                        text.as_bytes(),
                    ];
                    *news.lock().unwrap() = Some(text.clone());
                    let _ = std::io::Write::write_all(&mut stream, &frame.concat());
                    let _ = std::io::Read::read_to_end(&mut stream, &mut Vec::new());
                }))
            }
            () if news.lock().unwrap().is_some() => {
                Reply::Json(201, lock("x", &request.body["creator"]))
            }
            () => refusal(409),
        }
    });
    let cpu = cpu_time();
    let client = face.client(client_options(server.address()).polling(3 * LIMIT));
    let guard = client.try_lock_for("x", None, LONG).unwrap();
    assert_eq!(handshakes.load(Ordering::SeqCst), 4);
    assert!(cpu_time() < cpu + Duration::from_secs(1), "it spins");
    drop(guard);
}

/// PyRelukko: sends nothing.
fn no_time_at_all_is_time_for_one_attempt(face: Face) {
    let server = Scripted::start(|request| Reply::Json(201, lock("x", &request.body["creator"])));
    let client = face.client(client_options(server.address()));
    assert!(client.try_lock_for("x", None, Duration::ZERO).is_ok());
    let held = Scripted::start(|_| refusal(409));
    let client = face.client(client_options(held.address()));
    let error = client.try_lock_for("x", None, Duration::ZERO).unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { .. }) && error.is_contention(), "{error}");
    assert_eq!(held.count("POST", "/v1/locks/"), 1);
    assert!(matches!(client.try_lock("x", None), Err(ClientError::Held { .. })));
}

/// PyRelukko: goes on retrying after the deadline.
fn retries_and_slow_answers_keep_to_the_deadline(face: Face) {
    let unavailable = Scripted::start(|_| refusal(503));
    let silent = Scripted::start(|_| Reply::Silence);
    for server in [unavailable, silent] {
        let options =
            client_options(server.address()).retries(1000, Duration::from_millis(200), 1.0);
        let client = face.client(options);
        let begun = Instant::now();
        let error = client.try_lock_for("x", None, Duration::from_secs(2)).unwrap_err();
        assert!(matches!(&error, ClientError::TimedOut { .. }), "{error}");
        assert!(!error.is_contention(), "the server never answered that it is held");
        // The deadline, a last attempt, and the search for a lock that an unanswered one may have
        // left.
        assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    }
}

/// PyRelukko: fails with a trailing slash.
fn slashes_at_the_end_of_the_url_do_not_matter(face: Face) {
    let server = Scripted::start(|request| match request.path.as_str() {
        "/locks/v1/locks/" => Reply::Json(201, lock("x", &request.body["creator"])),
        _ => refusal(404),
    });
    for end in ["", "/", "//"] {
        let url = format!("http://{}/locks{end}", server.address());
        let client = face.client(client_options(server.address()).base_url(url));
        assert!(client.try_lock("x", None).is_ok(), "{end:?}");
    }
}

/// PyRelukko: 409, from its own lock.
fn a_create_whose_answer_is_lost_is_known_again(face: Face) {
    let (server, created) = losing_the_first_answer();
    let client = face.client(client_options(server.address()));
    let guard = client.try_lock("x", Some("me")).unwrap();
    guard.unlock().unwrap();
    assert!(created.lock().unwrap().is_none());
}

/// ... but another's lock of the same name and the same creator is not taken for it.
fn anothers_lock_is_not_taken_for_ones_own(face: Face) {
    let server = Scripted::start(|request| match () {
        () if is_create(request) && request.body["creator"].is_string() => refusal(409),
        () => Reply::Json(
            200,
            json!([lock("x", &json!("me")), lock("x", &json!("me #0123456789abcdef"))]),
        ),
    });
    let first = AtomicBool::new(true);
    let flaky = Scripted::start(move |request| match () {
        () if is_create(request) && first.swap(false, Ordering::SeqCst) => Reply::HangUp,
        () if is_create(request) => refusal(409),
        () => Reply::Json(
            200,
            json!([lock("x", &json!("me")), lock("x", &json!("me #0123456789abcdef"))]),
        ),
    });
    for server in [server, flaky] {
        let client = face.client(client_options(server.address()));
        let error = client.try_lock("x", Some("me")).unwrap_err();
        assert!(matches!(error, ClientError::Held { .. }), "{error}");
        assert_eq!(server.count("DELETE", "/"), 0);
    }
}

/// A lock that a lost answer may have left behind is not left for the next client.
fn giving_up_leaves_no_lock_behind(face: Face) {
    let created: Arc<Mutex<Option<Value>>> = Arc::default();
    let server = Scripted::start({
        let created = created.clone();
        move |request| match request.method.as_str() {
            "POST" => {
                *created.lock().unwrap() = Some(lock("x", &request.body["creator"]));
                Reply::Silence
            }
            "GET" => Reply::Json(200, json!(created.lock().unwrap().iter().collect::<Vec<_>>())),
            _ => Reply::Json(200, created.lock().unwrap().take().unwrap()),
        }
    });
    let client = face.client(client_options(server.address()));
    client.try_lock_for("x", None, Duration::from_millis(500)).unwrap_err();
    assert!(created.lock().unwrap().is_none());
}

/// PyRelukko: has no guard. This one deletes its own lock once, and reports if it was gone.
fn a_guard_deletes_its_own_lock_only(face: Face) {
    let server = Scripted::start(|request| match request.method.as_str() {
        "POST" => Reply::Json(201, lock("x", &request.body["creator"])),
        _ => refusal(404),
    });
    let client = face.client(client_options(server.address()));
    let error = client.try_lock("x", None).unwrap().unlock().unwrap_err();
    assert!(matches!(error, ClientError::Lost { .. }), "{error}");
    assert_eq!(server.count("DELETE", "/v1/locks/950daa20-a814-451e-9407-ec496cf9c136"), 1);
    assert_eq!(server.count("DELETE", "/"), 1);
}

/// A delete whose answer is lost is not a loss.
fn a_delete_may_be_repeated(face: Face) {
    let deleted = AtomicBool::new(false);
    let server = Scripted::start(move |request| match request.method.as_str() {
        "POST" => Reply::Json(201, lock("x", &request.body["creator"])),
        _ if deleted.swap(true, Ordering::SeqCst) => refusal(404),
        _ => Reply::HangUp,
    });
    let client = face.client(client_options(server.address()));
    client.try_lock("x", None).unwrap().unlock().unwrap();
    assert_eq!(server.count("DELETE", "/"), 2);
}

/// Adding twice would be too much.
fn what_may_have_been_added_is_not_added_again(face: Face) {
    let server = Scripted::start(|_| Reply::HangUp);
    let client = face.client(client_options(server.address()));
    let id = "950daa20-a814-451e-9407-ec496cf9c136".parse().unwrap();
    let error = client.add_to_expires_at(id).unwrap_err();
    assert!(matches!(error, ClientError::NoAnswer { .. }), "{error}");
    assert_eq!(server.count("GET", "/v1"), 1);
    assert!(client.keep_alive(id).is_err());
    assert_eq!(server.count("GET", "/v1"), 1 + 4);
}

/// The CPU time of the whole process.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10) // USER_HZ is 100, see proc(5)
}
