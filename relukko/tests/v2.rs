//! What `/v2/` adds to Relukko's interface.

mod common;

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, SystemTime};

use common::v2::{Waiting, create, create_as, is_same, lock, path, token};
use common::{KEY, LIMIT, SECRET, ask, ask_as, client, options, serve, skip, wait_until};
use linklock::Lock;
use linklock_relukko::LockInfo;
use serde_json::{Value, json};
use tempfile::tempdir;

/// A lock that expires at this date.
fn expiring(at: &Value) -> LockInfo {
    let lock = json!({
        "id": "950daa20-a814-451e-9407-ec496cf9c136", "lock_name": "x", "creator": null, "ip": null,
        "expires_at": at, "created_at": at, "updated_at": at,
    });
    serde_json::from_value(lock).unwrap()
}

fn date(value: &Value) -> SystemTime {
    expiring(value).expires_at
}

/// How long a lock lasts from its last change.
fn lasts(lock: &Value) -> Duration {
    date(&lock["expires_at"]).duration_since(date(&lock["updated_at"])).unwrap()
}

#[test]
fn a_lock_is_held_on_the_terms_of_its_holder() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let address = server.address();
    let terms = json!({ "name": "report", "lifetime": 15.5, "who": "nightly", "note": "a try" });
    let created = create(address, &terms);
    assert_eq!(created.status, 201);
    let report = lock(&created);
    assert_eq!(lasts(&report), Duration::from_millis(15_500));
    let told = ["name", "who", "note", "ip", "lifetime"].map(|field| report[field].clone());
    assert_eq!(json!(told), json!(["report", "nightly", "a try", "127.0.0.1", 15.5]));

    // It is a lock like any other: to Relukko's clients, and to other programs.
    let shown = ask(address, "GET", &format!("/v1/locks/{}", report["id"].as_str().unwrap()), "");
    assert_eq!(
        (&shown.json()["creator"], shown.json().as_object().unwrap().len()),
        (&json!("nightly"), 7)
    );
    assert!(Lock::new(dir.path().join("report")).unwrap().try_lock().is_err());
    assert_eq!(ask(address, "GET", &path(&report), "").json(), report);

    let renewed = lock(&ask(address, "PUT", &path(&report), "{}"));
    assert_eq!(
        (lasts(&renewed), &renewed["note"]),
        (Duration::from_millis(15_500), &json!("a try"))
    );
    let renewed = lock(&ask(address, "PUT", &path(&report), r#"{"lifetime": 60, "note": "b"}"#));
    assert_eq!((lasts(&renewed), &renewed["note"]), (Duration::from_secs(60), &json!("b")));
    assert_eq!(token(&renewed), token(&report));

    let released = ask(address, "DELETE", &path(&report), "");
    assert_eq!((released.status, released.json()), (200, renewed));
    for (method, body) in [("GET", ""), ("PUT", "{}"), ("DELETE", "")] {
        ask(address, method, &path(&report), body).assert_refusal(404);
    }
    assert!(Lock::new(dir.path().join("report")).unwrap().try_lock().is_ok());
}

#[test]
fn a_holder_is_known_by_its_secret() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let address = server.address();
    let report = lock(&create(address, &json!({ "name": "report" })));
    let other = "a secret of another";
    for (method, body) in [("PUT", "{}"), ("DELETE", "")] {
        ask_as(other, address, method, &path(&report), body).assert_refusal(403);
    }
    // Relukko's locks have none.
    let old = ask(address, "POST", "/v1/locks", r#"{"lock_name": "old"}"#).json();
    ask(address, "PUT", &path(&old), "{}").assert_refusal(403);
    ask(address, "DELETE", &path(&old), "").assert_refusal(403);
    assert_eq!(
        (&old["token"], &ask(address, "GET", &path(&old), "").json()["token"]),
        (&Value::Null, &Value::Null)
    );

    for short in ["", "too short", &"x".repeat(201)] {
        let body = r#"{"name": "x"}"#;
        ask_as(short, address, "POST", "/v2/locks", body).assert_refusal(422);
    }
    // No file shows it.
    for entry in fs::read_dir(dir.path().join(".relukko")).unwrap() {
        let file = entry.unwrap().path();
        let content = fs::read_to_string(&file).unwrap_or_default();
        assert!(!content.contains(SECRET), "{}", file.display());
    }
    // An administrator can end it all the same.
    let id = report["id"].as_str().unwrap();
    assert_eq!(ask(address, "DELETE", &format!("/v1/locks/{id}"), "").status, 200);
}

#[test]
fn a_repeated_request_gets_the_same_lock() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let address = server.address();
    let first = lock(&create(address, &json!({ "name": "x" })));
    for again in [json!({ "name": "x" }), json!({ "name": "x", "wait": 5 })] {
        let answer = create(address, &again);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(is_same(&answer.json(), &first), "{answer:?}, and not {first}");
    }
    ask_as("a secret of another", address, "POST", "/v2/locks", r#"{"name": "x"}"#)
        .assert_refusal(409);
}

#[test]
fn a_lock_whose_lease_is_over_is_not_had_again() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let short = json!({ "name": "x", "lifetime": 1 });
    let first = lock(&create(server.address(), &short));
    wait_until("a lock of its own", || {
        let begun = SystemTime::now();
        let answer = create(server.address(), &short);
        if answer.status == 200 {
            let noise = Duration::from_millis(500); // of two clocks
            assert!(date(&answer.json()["expires_at"]) + noise > begun, "{answer:?} at {begun:?}");
        }
        answer.status == 201
    });
    ask(server.address(), "GET", &path(&first), "").assert_refusal(404);
}

#[test]
fn tokens_grow_over_all_servers_and_restarts() {
    let dir = tempdir().unwrap();
    let (one, two) = (serve(dir.path()), serve(dir.path()));
    let mut last = 0;
    let mut draw = |server: SocketAddr| {
        let lock = lock(&create(server, &json!({ "name": "x" })));
        assert!(token(&lock) > last, "{lock} after {last}");
        last = token(&lock);
        assert_eq!(ask(server, "DELETE", &path(&lock), "").status, 200);
    };
    for _ in 0..5 {
        draw(one.address());
        draw(two.address());
    }
    drop((one, two));
    draw(serve(dir.path()).address());
}

#[test]
fn a_lifetime_has_limits() {
    let dir = tempdir().unwrap();
    let longest = Duration::from_secs(100);
    let server = options(dir.path()).max_lifetime(longest).start().unwrap();
    let address = server.address();
    let wanted = [("none", Value::Null), ("short", json!(0)), ("long", json!(1e6))];
    for ((name, lifetime), actual) in wanted.into_iter().zip([100, 1, 100]) {
        let own = lock(&create(address, &json!({ "name": name, "lifetime": lifetime })));
        assert_eq!(lasts(&own), Duration::from_secs(actual), "{name}");
    }
    for bad in [json!(-1), json!(1e300), json!("1"), json!([])] {
        create(address, &json!({ "name": "x", "lifetime": bad })).assert_refusal(422);
        create(address, &json!({ "name": "x", "wait": bad })).assert_refusal(422);
    }
    let long = "x".repeat(4097);
    for field in ["who", "note"] {
        create(address, &json!({ "name": "x", field: long })).assert_refusal(422);
    }
}

#[test]
fn a_lock_that_is_not_refreshed_ends() {
    let dir = tempdir().unwrap();
    let server = options(dir.path()).sweep_interval(Duration::from_millis(50)).start().unwrap();
    let address = server.address();
    let short = lock(&create(address, &json!({ "name": "x", "lifetime": 1 })));
    wait_until("its end", || ask(address, "GET", &path(&short), "").status == 404);
    // The grace of Relukko's locks is three minutes.
    assert!(date(&short["expires_at"]) + Duration::from_secs(60) > SystemTime::now());
}

/// Clients come back in any order, and get the lock in that in which they came first.
fn serve_in_order(server: SocketAddr, line: &[Waiting], held: &Value) {
    let served = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for waiting in line.iter().rev() {
            let served = &served;
            scope.spawn(move || {
                let own = waiting.acquire(server);
                served.lock().unwrap().push((waiting.secret.clone(), token(&own)));
                // Who does not wait does not overtake.
                let body = r#"{"name": "x"}"#;
                ask_as("a secret of another", server, "POST", "/v2/locks", body)
                    .assert_refusal(409);
                waiting.release(server, &own);
            });
        }
        line.last().unwrap().wait_for_ahead(server, line.len() as u64 - 1);
        assert_eq!(ask(server, "DELETE", &path(held), "").status, 200);
    });
    let served = served.into_inner().unwrap();
    assert!(served.iter().map(|(secret, _)| secret).eq(line.iter().map(|waiting| &waiting.secret)));
    assert!(served.is_sorted_by_key(|(_, token)| *token), "{served:?}");
}

fn line(server: SocketAddr) -> Vec<Waiting> {
    let x = json!({ "name": "x" });
    let secrets = (0..5).map(|number| format!("a secret of client {number}"));
    let line: Vec<_> = secrets.map(|secret| Waiting::begin(server, &secret, &x)).collect();
    assert!(line.is_sorted_by_key(|waiting| date(&waiting.since)));
    line
}

#[test]
fn clients_wait_in_line() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let held = lock(&create(server.address(), &json!({ "name": "x" })));
    serve_in_order(server.address(), &line(server.address()), &held);
}

#[test]
fn the_order_of_the_line_outlives_a_restart() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let held = lock(&create(server.address(), &json!({ "name": "x" })));
    let line = line(server.address());
    drop(server);
    let server = serve(dir.path());
    serve_in_order(server.address(), &line, &held);
}

#[test]
fn a_place_does_not_depend_on_small_differences_of_clocks() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let address = server.address();
    create(address, &json!({ "name": "x" }));
    let first = Waiting::begin(address, "a secret of one that waits", &json!({ "name": "x" }));
    let place = |ahead: Duration| {
        let mut lock = expiring(&first.since);
        lock.expires_at += ahead;
        let sent = serde_json::to_value(lock).unwrap()["expires_at"].clone();
        let answer =
            create_as("a secret of another", address, &json!({ "name": "x", "since": sent }));
        (sent, answer.json()["since"].clone())
    };
    let (sent, kept) = place(Duration::from_secs(1));
    assert_eq!(sent, kept, "a server's clock may be ahead of the next one's");
    let (sent, kept) = place(Duration::from_secs(3600));
    assert!(date(&kept) < date(&sent), "newcomers would be served first for an hour");
}

#[test]
fn a_client_that_does_not_come_back_keeps_nobody_waiting() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let address = server.address();
    let held = lock(&create(address, &json!({ "name": "x" })));
    let x = json!({ "name": "x" });
    Waiting::begin(address, "a secret of one that goes", &x);
    let waiting = Waiting::begin(address, "a secret of one that stays", &x);
    assert_eq!(ask(address, "DELETE", &path(&held), "").status, 200);
    waiting.acquire(address);
}

#[test]
fn a_free_lock_is_not_waited_for() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    assert_eq!(create(server.address(), &json!({ "name": "x", "wait": 60 })).status, 201);
}

#[test]
fn another_programs_lock_is_waited_for() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let address = server.address();
    let file = Lock::new(dir.path().join("x")).unwrap();
    let guard = file.lock().unwrap();
    let waiting = Waiting::begin(address, SECRET, &json!({ "name": "x" }));
    let waiter = thread::spawn(move || waiting.acquire(address));
    wait_until("it waits", || {
        let body = r#"{"name": "x"}"#;
        let answer = ask_as("a secret of another", address, "POST", "/v2/locks", body);
        answer.text.contains("others wait")
    });
    guard.unlock().unwrap();
    waiter.join().unwrap();
}

#[test]
fn lists_have_pages() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let address = server.address();
    let names = ["a", "b", "c/d", "é", "e"];
    for name in names {
        lock(&create(address, &json!({ "name": name })));
    }
    let page = |query: &str| ask(address, "GET", &format!("/v2/locks{query}"), "").json();
    let all = page("");
    assert_eq!((all["locks"].as_array().unwrap().len(), &all["next"]), (5, &Value::Null));
    let (mut found, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let page = page(&query);
        let locks = page["locks"].as_array().unwrap();
        assert!((1..=2).contains(&locks.len()), "{page}");
        found.extend(locks.iter().cloned());
        match page["next"].as_str() {
            Some(next) => query = format!("?limit=2&after={}", next.replace('~', "%7E")),
            None => break,
        }
    }
    assert_eq!(json!(found), all["locks"]);
    let mut listed: Vec<_> = found.iter().map(|lock| lock["name"].as_str().unwrap()).collect();
    listed.sort_unstable();
    let mut names = names;
    names.sort_unstable();
    assert_eq!(listed, names);
    ask(address, "GET", "/v2/locks?limit=many", "").assert_refusal(400);
}

#[test]
fn a_lock_is_found_by_its_name() {
    let dir = tempdir().unwrap();
    // Nothing is swept: what has expired is there, and is free all the same.
    let server = options(dir.path()).sweep_interval(LIMIT).start().unwrap();
    let address = server.address();
    for (name, escaped) in [("report", "report"), ("a b/ü?&#%41", "a%20b%2F%C3%BC%3F%26%23%2541")]
    {
        let own = lock(&create(address, &json!({ "name": name, "lifetime": 1 })));
        lock(&create(address, &json!({ "name": format!("{name}2") })));
        let find = || ask(address, "GET", &format!("/v2/locks?name={escaped}"), "").json();
        assert_eq!(find(), json!({ "locks": [own], "next": null }));
        wait_until("its end", || find() == json!({ "locks": [], "next": null }));
    }
    let file = Lock::new(dir.path().join("file")).unwrap();
    let _guard = file.lock().unwrap();
    let found = ask(address, "GET", "/v2/locks?name=file", "").json();
    assert_eq!((&found["locks"][0]["name"], &found["locks"][1]), (&json!("file"), &Value::Null));
    ask(address, "GET", "/v2/locks?name=", "").assert_refusal(422);
}

/// What has happened after a place, and the place after that; waits until something has.
fn events_after(server: SocketAddr, place: &Value) -> (Vec<Value>, Value) {
    let query = format!("/v2/events?wait=60&after={}", place.as_str().unwrap());
    let answer = ask(server, "GET", &query, "").json();
    (answer["events"].as_array().unwrap().clone(), answer["next"].clone())
}

#[test]
fn events_are_numbered_and_can_be_resumed() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let address = server.address();
    let start = ask(address, "GET", "/v2/events", "").json();
    assert_eq!(start["events"], json!([]));
    let place = start["next"].clone();
    let listener = {
        let place = place.clone();
        thread::spawn(move || events_after(address, &place))
    };
    let own = lock(&create(address, &json!({ "name": "x" })));
    assert_eq!(listener.join().unwrap().0[0]["kind"], "created");
    lock(&ask(address, "PUT", &path(&own), "{}"));
    ask(address, "DELETE", &path(&own), "");
    let (mut told, next) = events_after(address, &place);
    assert_eq!(told.len(), 3, "{told:?}");
    let file = Lock::new(dir.path().join("y")).unwrap();
    let guard = file.lock().unwrap();
    told.extend(events_after(address, &next).0);
    let kinds = told.iter().map(|event| json!([event["kind"], event["lock"]["name"]]));
    let expected = json!([["created", "x"], ["prolonged", "x"], ["ended", "x"], ["created", "y"]]);
    assert_eq!(json!(kinds.collect::<Vec<_>>()), expected);
    let numbers: Vec<_> = told.iter().map(|event| event["number"].as_u64().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    drop(guard);
    // What another run has told means nothing here.
    for unknown in ["x", "0123.4", ""] {
        ask(address, "GET", &format!("/v2/events?after={unknown}"), "").assert_refusal(410);
    }
    let other = serve(dir.path());
    let query = format!("/v2/events?after={}", place.as_str().unwrap());
    ask(other.address(), "GET", &query, "").assert_refusal(410);
    ask(address, "GET", "/v2/events?wait=long", "").assert_refusal(400);
}

#[test]
fn relukkos_clients_and_these_exclude_each_other() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let guard = client(&server).lock("x", None).unwrap();
    create(server.address(), &json!({ "name": "x" })).assert_refusal(409);
    guard.unlock().unwrap();
    lock(&create(server.address(), &json!({ "name": "x" })));
    assert!(client(&server).try_lock("x", None).unwrap_err().is_contention());
}

#[test]
fn the_documentations_requests_get_locks() {
    if Command::new("curl").arg("--version").output().is_err() {
        return skip("the documentation's requests", "there is no curl");
    }
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let text = include_str!("../src/lib.rs").replace("//! ", "");
    let blocks: Vec<_> =
        text.split("```sh\n").skip(1).map(|it| it.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 3);
    for block in blocks {
        let script = block.replace("127.0.0.1:3000", &server.address().to_string());
        let shell = Command::new("sh")
            .args(["-c", &format!("exec {script}")])
            .envs([("KEY", KEY), ("SECRET", SECRET)])
            .output()
            .unwrap();
        let answer: Value = serde_json::from_slice(&shell.stdout).expect(block);
        assert!(answer["token"].is_u64(), "{block}: {answer}");
    }
}
