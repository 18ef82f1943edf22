//! Keys with names and rights, and the log of what they are used for.

mod common;

use std::fs;
use std::net::SocketAddr;
use std::thread;

use common::{Answer, KEY, options, raw, wait_until};
use serde_json::Value;
use tempfile::tempdir;

fn ask(server: SocketAddr, key: &str, request: &str, body: &str) -> Answer {
    let head = format!(
        "{request} HTTP/1.1\r\nHost: x\r\nX-api-Key: {key}\r\nX-Lock-Secret: a secret of a test\r\n\
         X-Forwarded-For: 192.0.2.9, 192.0.2.8\r\nConnection: close\r\n"
    );
    raw(server, format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
}

fn id(lock: &Answer) -> String {
    lock.json()["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_key_grants_what_its_line_says() {
    let dir = tempdir().unwrap();
    let (locks, keys) = (dir.path().join("locks"), dir.path().join("keys"));
    fs::create_dir(&locks).unwrap();
    let lines = ["read", "own", "all"]
        .map(|rights| format!("name=the-{rights} rights={rights} key={rights}-key"));
    fs::write(&keys, format!("{}\nname=another rights=own key=other-key\n", lines.join("\n")))
        .unwrap();
    let server = options(&locks).api_key_file(&keys).unwrap().start().unwrap();
    let address = server.address();
    let create = |key: &str, name: &str| {
        ask(address, key, "POST /v1/locks", &format!(r#"{{"lock_name": "{name}"}}"#))
    };
    create("read-key", "x").assert_refusal(403);
    ask(address, "read-key", "POST /v2/locks", r#"{"name": "x"}"#).assert_refusal(403);
    let own = create("own-key", "x");
    assert_eq!((own.status, create(KEY, "theirs").status), (201, 201));
    let path = format!("/v1/locks/{}", id(&own));

    // All may see it; to change it takes its own key, or all rights.
    for key in ["read-key", "other-key", "own-key", "all-key", KEY] {
        assert_eq!(ask(address, key, &format!("GET {path}"), "").status, 200, "{key}");
        assert_eq!(ask(address, key, "GET /v2/locks", "").status, 200, "{key}");
        let allowed = !["read-key", "other-key"].contains(&key);
        for (request, body) in [
            ("PUT", r#"{"creator": "me"}"#),
            ("GET/keep_alive", ""),
            ("PUT/keep_alive", r#"{"seconds": 60}"#),
            ("GET/add_to_expire_at", ""),
            ("PUT/add_to_expire_at", r#"{"seconds": 60}"#),
        ] {
            let (method, what) = request.split_at(3);
            let answer = ask(address, key, &format!("{method} {path}{what}"), body);
            assert_eq!(answer.status, if allowed { 200 } else { 403 }, "{key}: {request}");
        }
    }
    let delete = format!("DELETE {path}");
    for key in ["read-key", "other-key", "wrong-key"] {
        ask(address, key, &delete, "").assert_refusal(403);
    }
    assert_eq!(ask(address, "own-key", &delete, "").status, 200);
    let theirs =
        ask(address, KEY, "GET /v1/locks", "").json()[0]["id"].as_str().unwrap().to_owned();
    ask(address, "own-key", &format!("DELETE /v1/locks/{theirs}"), "").assert_refusal(403);
    assert_eq!(ask(address, "all-key", &format!("DELETE /v1/locks/{theirs}"), "").status, 200);

    // With the secret, any key that may create locks will do.
    let secret = ask(address, "own-key", "POST /v2/locks", r#"{"name": "y"}"#);
    let path = format!("/v2/locks/{}", id(&secret));
    ask(address, "read-key", &format!("PUT {path}"), "{}").assert_refusal(403);
    ask(address, "read-key", &format!("DELETE {path}"), "").assert_refusal(403);
    assert_eq!(ask(address, "other-key", &format!("DELETE {path}"), "").status, 200);
}

#[test]
fn a_key_has_no_more_locks_than_its_limit() {
    let dir = tempdir().unwrap();
    let (locks, keys) = (dir.path().join("locks"), dir.path().join("keys"));
    fs::create_dir(&locks).unwrap();
    fs::write(&keys, "name=ci rights=own locks=2 key=ci-key\nname=other rights=own key=other\n")
        .unwrap();
    let server = options(&locks).api_key_file(&keys).unwrap().start().unwrap();
    let address = server.address();
    let create = |key: &str, body: &str| ask(address, key, "POST /v2/locks", body);
    let created: Vec<_> = thread::scope(|scope| {
        let names = (0..8).map(|number| format!(r#"{{"name": "{number}"}}"#));
        let tries: Vec<_> =
            names.map(|body| scope.spawn(move || create("ci-key", &body))).collect();
        tries.into_iter().map(|it| it.join().unwrap()).filter(|it| it.status == 201).collect()
    });
    assert_eq!(created.len(), 2);
    let refused = create("ci-key", r#"{"name": "x"}"#);
    refused.assert_refusal(429);
    assert!(refused.text.contains("the key ci has 2 locks"), "{refused:?}");
    create("ci-key", r#"{"name": "x", "wait": 20}"#).assert_refusal(429);
    create("ci-key", r#"{"name": "x", "slots": 2}"#).assert_refusal(429);
    ask(address, "ci-key", "POST /v1/locks", r#"{"lock_name": "x"}"#).assert_refusal(429);
    assert_eq!(create("other", r#"{"name": "x"}"#).status, 201, "another key has no limit");

    let [one, two] = created.try_into().unwrap();
    let again = create("ci-key", &format!(r#"{{"name": {}}}"#, one.json()["name"]));
    assert_eq!((again.status, id(&again)), (200, id(&one)), "it has that lock");
    let path = format!("/v2/locks/{}", id(&two));
    assert_eq!(ask(address, "ci-key", &format!("DELETE {path}"), "").status, 200);
    assert_eq!(create("ci-key", r#"{"name": "y", "lifetime": 1}"#).status, 201);
    wait_until("a lock that has expired does not count", || {
        create("ci-key", r#"{"name": "z"}"#).status == 201
    });

    // A server finds those that it has not created itself.
    let other = options(&locks).api_key_file(&keys).unwrap().start().unwrap();
    let mut names = 0..;
    wait_until("it has found them", || {
        let body = format!(r#"{{"name": "other-{}"}}"#, names.next().unwrap());
        ask(other.address(), "ci-key", "POST /v2/locks", &body).status == 429
    });
}

#[test]
fn another_programs_lock_is_nobodys_own() {
    let dir = tempdir().unwrap();
    let (locks, keys) = (dir.path().join("locks"), dir.path().join("keys"));
    fs::create_dir(&locks).unwrap();
    fs::write(&keys, "name=ci rights=own key=own-key\n").unwrap();
    let server = options(&locks).api_key_file(&keys).unwrap().start().unwrap();
    let guard = linklock::Lock::new(locks.join("x")).unwrap().lock().unwrap();
    let listed = ask(server.address(), "own-key", "GET /v1/locks", "").json();
    let delete = format!("DELETE /v1/locks/{}", listed[0]["id"].as_str().unwrap());
    ask(server.address(), "own-key", &delete, "").assert_refusal(403);
    guard.verify().unwrap();
}

#[test]
fn a_client_behind_a_proxy_has_its_own_address() {
    let dir = tempdir().unwrap();
    for (trusted, address) in [(false, "127.0.0.1"), (true, "192.0.2.8")] {
        let mut options = options(dir.path());
        if trusted {
            options = options.trust_proxy("127.0.0.1".parse().unwrap());
        }
        let server = options.start().unwrap();
        let body = format!(r#"{{"lock_name": "{trusted}"}}"#);
        let lock = ask(server.address(), KEY, "POST /v1/locks", &body).json();
        assert_eq!(lock["ip"], Value::from(address));
    }
}
