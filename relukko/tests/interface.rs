//! Relukko's interface, request by request.

mod common;

use std::time::{Duration, SystemTime};

use common::{ask, client, options, raw, serve, wait_until};
use linklock_relukko::{ClientError, LockId, LockInfo};
use serde_json::{Value, json};
use tempfile::tempdir;

fn create(lock_name: &str) -> String {
    json!({ "lock_name": lock_name, "creator": "me" }).to_string()
}

#[test]
fn a_lock_lives() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let address = server.address();

    let created = ask(address, "POST", "/v1/locks/", &create("report"));
    assert_eq!(created.status, 201);
    let lock: LockInfo = serde_json::from_str(&created.text).unwrap();
    assert_eq!((lock.lock_name.as_str(), lock.creator.as_deref()), ("report", Some("me")));
    assert_eq!(lock.ip.as_deref(), Some("127.0.0.1"));
    assert_eq!(lock.expires_at, lock.created_at + Duration::from_secs(600));
    assert_eq!(lock.updated_at, lock.created_at);
    ask(address, "POST", "/v1/locks", &create("report")).assert_refusal(409);

    let path = format!("/v1/locks/{}", lock.id);
    for path in
        [path.clone(), format!("{path}/"), path.to_uppercase().replace("/V1/LOCKS", "/v1/locks")]
    {
        assert_eq!(ask(address, "GET", &path, "").json(), created.json());
    }
    for path in ["/v1/locks", "/v1/locks/"] {
        assert_eq!(ask(address, "GET", path, "").json(), json!([created.json()]));
    }

    let deleted = ask(address, "DELETE", &path, "");
    assert_eq!((deleted.status, deleted.json()), (200, created.json()), "unchanged");
    for method in ["GET", "DELETE"] {
        ask(address, method, &path, "").assert_refusal(404);
    }
    ask(address, "PUT", &path, "{}").assert_refusal(404);
    ask(address, "GET", &format!("{path}/keep_alive"), "").assert_refusal(404);
    assert_eq!(ask(address, "GET", "/v1/locks", "").json(), json!([]));
    assert_eq!(ask(address, "POST", "/v1/locks", &create("report")).status, 201);
}

fn expires_at(answer: &Value) -> SystemTime {
    serde_json::from_value::<LockInfo>(answer.clone()).unwrap().expires_at
}

#[test]
fn a_lock_is_prolonged_to_the_microsecond() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let address = server.address();
    let created = ask(address, "POST", "/v1/locks/", &create("x")).json();
    let path = format!("/v1/locks/{}", created["id"].as_str().unwrap());
    let put = |what: &str, body: &str| {
        let answer = ask(address, "PUT", &format!("{path}{what}"), body);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };

    let mut expected = expires_at(&created);
    for (seconds, text) in [(3600.0, "3600"), (0.25, "0.25"), (463.0, "463.0"), (1e-6, "0.000001")]
    {
        expected += Duration::from_secs_f64(seconds);
        let added = put("/add_to_expire_at", &format!("{{\"seconds\": {text}}}"));
        assert_eq!(expires_at(&added), expected, "{text}");
    }
    expected += Duration::from_secs(300);
    let added = ask(address, "GET", &format!("{path}/add_to_expire_at"), "").json();
    assert_eq!(expires_at(&added), expected);

    let near = |answer: &Value, seconds: u64| {
        let left = expires_at(answer).duration_since(SystemTime::now()).unwrap();
        let (least, most) = (Duration::from_secs(seconds - 30), Duration::from_secs(seconds));
        assert!(left > least && left <= most, "{left:?}");
    };
    near(&put("/keep_alive", r#"{"seconds": 7200.5}"#), 7201);
    near(&ask(address, "GET", &format!("{path}/keep_alive"), "").json(), 300);

    let updated = put("", r#"{"creator": "you", "expires_at": "2099-12-31T13:34:56.789+01:00"}"#);
    assert_eq!(updated["expires_at"], "2099-12-31T12:34:56.789Z");
    let same = put("", r#"{"creator": null, "expires_at": null}"#);
    assert_eq!((&same["creator"], &same["expires_at"]), (&json!("you"), &updated["expires_at"]));
    assert_eq!((&same["id"], &same["created_at"]), (&created["id"], &created["created_at"]));
    assert!(same["updated_at"].as_str() > created["updated_at"].as_str());
}

#[test]
fn each_error_is_explained() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let address = server.address();
    let lock = ask(address, "POST", "/v1/locks/", &create("x")).json();
    let path = format!("/v1/locks/{}", lock["id"].as_str().unwrap());

    for (body, status) in [
        ("", 400),
        ("{", 400),
        ("lock", 400),
        ("{}", 422),
        ("[]", 422),
        (r#"{"lock_name": 3}"#, 422),
        (r#"{"lock_name": null}"#, 422),
        (r#"{"lock_name": ""}"#, 422),
        (r#"{"lock_name": "y", "creator": 3}"#, 422),
        (r#"["y", null]"#, 422),
        (r#"["y", "#, 422),
        (r#"{"lock_name": "y"} {}"#, 400),
    ] {
        ask(address, "POST", "/v1/locks/", body).assert_refusal(status);
    }
    ask(address, "POST", "/v1/locks/", &create(&"x".repeat(16 * 1024 + 1))).assert_refusal(422);
    let far = r#"{"seconds": 1e300}"#;
    for (what, body, status) in [
        ("", r#"{"expires_at": "tomorrow"}"#, 422),
        ("", r#"{"expires_at": 3}"#, 422),
        ("", "{", 400),
        ("/keep_alive", r#"{"seconds": "3"}"#, 422),
        ("/keep_alive", "{}", 422),
        ("/keep_alive", far, 422),
        ("/add_to_expire_at", far, 422),
        ("/add_to_expire_at", r#"{"seconds": 1e12}"#, 422),
        ("/add_to_expire_at", "", 400),
        ("/keep_alive", "[3]", 422),
        ("/add_to_expire_at", "[3]", 422),
        ("", "[null, null]", 422),
        ("", r#"{"expires_at": "9999-12-31T23:59:59-00:01"}"#, 422),
        ("", r#"{"expires_at": "0000-01-01T00:00:00+23:59"}"#, 422),
    ] {
        ask(address, "PUT", &format!("{path}{what}"), body).assert_refusal(status);
    }
    for id in ["x", "..", "%2e%2e%2fx", "00000000-0000-0000-0000-000000000000", "%00"] {
        ask(address, "GET", &format!("/v1/locks/{id}"), "").assert_refusal(404);
    }
    ask(address, "GET", "/v1/locks/%ff", "").assert_refusal(400);
    for path in ["/v1", "/v3/locks", "/v1/locks/x/y", "/index.html", "/../etc/passwd", "//"] {
        ask(address, "GET", path, "").assert_refusal(404);
    }
    for (method, path) in
        [("PATCH", "/v1/locks"), ("DELETE", "/v1/locks"), ("POST", "/healthchecker")]
    {
        ask(address, method, path, "").assert_refusal(405);
    }
    // A HEAD changes nothing.
    for what in ["keep_alive", "add_to_expire_at"] {
        let answer = ask(address, "HEAD", &format!("{path}/{what}"), "");
        assert_eq!(answer.status, 405);
        assert!(answer.head.contains("allow: get,put"), "{answer:?}");
    }
    ask(address, "GET", "/ws/broadcast", "").assert_refusal(400);
    // None of these requests has changed anything.
    assert_eq!(ask(address, "GET", "/v1/locks", "").json(), json!([lock]));
}

#[test]
fn nobody_gets_in_without_a_key() {
    let dir = tempdir().unwrap();
    let server = options(dir.path()).api_key("another").start().unwrap();
    let address = server.address();
    let get = |path: &str, header: &str| {
        raw(
            address,
            format!("GET {path} HTTP/1.1\r\nHost: x\r\n{header}Connection: close\r\n\r\n")
                .as_bytes(),
        )
    };
    for path in ["/v1/locks", "/v1/locks/x", "/v1/locks/x/keep_alive", "/ws/broadcast"] {
        for header in [
            "",
            "X-api-Key: \r\n",
            "X-api-Key: a key for test\r\n",
            "X-api-Key: a key for tests!\r\n",
        ] {
            get(path, header).assert_refusal(403);
        }
    }
    for key in ["a key for tests", "another"] {
        assert_eq!(get("/v1/locks", &format!("x-API-kEY: {key}\r\n")).status, 200);
    }
    for path in ["/", "/healthchecker", "/metrics", "/openapi.json"] {
        assert_eq!(get(path, "").status, 200, "{path}");
    }
}

#[test]
fn any_text_is_a_name_of_its_own() {
    let dir = tempdir().unwrap();
    let inner = dir.path().join("locks");
    std::fs::create_dir(&inner).unwrap();
    let server = serve(&inner);
    let client = client(&server);
    let long = "n".repeat(10_000);
    let names = [
        "/",
        "..",
        "../x",
        ".",
        "/etc/passwd",
        "a\0b",
        "a|b",
        "a~b",
        ".relukko",
        "é",
        "e\u{301}",
        "🔒",
        "\u{202e}",
        "a\nb",
        " ",
        &long,
        "x",
        "X",
        "x.lock",
        "con",
        "\\",
        "\"",
        "<script>",
    ];
    let guards: Vec<_> = names.iter().map(|name| client.try_lock(name, None).unwrap()).collect();
    for (name, guard) in names.iter().zip(&guards) {
        assert_eq!(guard.info().lock_name, *name);
        assert!(matches!(client.try_lock(name, None), Err(ClientError::Held { .. })), "{name:?}");
    }
    let mut listed: Vec<_> =
        client.list().unwrap().into_iter().map(|lock| lock.lock_name).collect();
    listed.sort();
    let mut expected = names.map(str::to_owned);
    expected.sort();
    assert_eq!(listed, expected);
    for guard in guards {
        guard.unlock().unwrap();
    }
    // Nothing is outside, and nothing is left inside.
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(std::fs::read_dir(&inner).unwrap().count(), 1, "the records' directory");
    assert_eq!(std::fs::read_dir(inner.join(".relukko")).unwrap().count(), 0);
}

#[test]
fn an_expired_lock_goes_after_its_grace_period_and_a_waiter_learns_of_it() {
    let dir = tempdir().unwrap();
    let grace = Duration::from_secs(3);
    let options = options(dir.path()).grace(grace).sweep_interval(Duration::from_millis(100));
    let server = options.start().unwrap();
    let client = client(&server);
    let first = client.try_lock("x", None).unwrap();
    let now = SystemTime::now();
    let updated = client.update(first.id(), None, Some(now)).unwrap();
    let waiting = client.to_options().polling(Duration::from_secs(600)).build().unwrap();
    let second = waiting.try_lock_for("x", None, common::LIMIT).unwrap();
    assert!(now.elapsed().unwrap() >= grace, "held for its grace period: {:?}", now.elapsed());
    assert!(updated.expires_at <= now);
    assert!(matches!(first.unlock(), Err(ClientError::Lost { .. })));
    second.unlock().unwrap();
}

#[test]
fn a_guard_keeps_its_lock_alive_and_never_shortens_it() {
    let dir = tempdir().unwrap();
    let options = options(dir.path()).lifetime(Duration::from_secs(2)).grace(Duration::ZERO);
    let server = options.sweep_interval(Duration::from_millis(100)).start().unwrap();
    let client = client(&server);
    let guard = client.try_lock("x", None).unwrap();
    guard.keep_alive(Duration::from_secs(2), |why| panic!("{why}")).unwrap();
    let id = guard.id();
    let created = guard.info().created_at;
    wait_until("it was prolonged beyond what it had", || {
        let lock = client.get(id).unwrap();
        lock.expires_at > created + Duration::from_secs(4)
    });
    let far = client.keep_alive_for(id, Duration::from_secs(1000)).unwrap();
    wait_until("the keep-alive has seen it", || guard.remaining() > Duration::from_secs(900));
    assert_eq!(client.get(id).unwrap().expires_at, far.expires_at);
    guard.unlock().unwrap();
}

#[test]
fn a_guard_learns_when_its_lock_is_gone() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let client = client(&server);
    let guard = client.try_lock("x", None).unwrap();
    let (told, why) = std::sync::mpsc::channel();
    guard.keep_alive(Duration::from_secs(1), move |why| told.send(why).unwrap()).unwrap();
    client.delete(guard.id()).unwrap();
    let why = why.recv_timeout(common::LIMIT).unwrap();
    assert!(matches!(why, ClientError::Lost { .. }), "{why}");
    assert!(why.is_lost());
    assert!(guard.unlock().unwrap_err().is_lost());
    assert!(matches!(client.get(LockId::NIL), Err(ClientError::NotFound(_))));
}
