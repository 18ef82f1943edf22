//! The client for `/v2/` against the real server, and against servers that fail, with both faces.

mod common;

use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use common::face::{Face, in_both_faces};
use common::scripted::{Reply, Request, Scripted, refusal};
use common::v2_face::AnyClient;
use common::{LIMIT, client_options, options, serve, wait_until};
use linklock::Lock;
use linklock_relukko::v2::{EventKind, Events, LockUrl, Secret};
use linklock_relukko::{Access, ClientError, LockId, Server};
use serde_json::{Value, json};
use tempfile::tempdir;

const MINUTE: Duration = Duration::from_secs(60);

in_both_faces! {
    a_lock_is_held_on_its_holders_terms,
    a_lifetime_beyond_the_servers_limit_is_cut,
    who_does_not_get_the_lock_learns_who_has_it,
    as_many_clients_as_a_set_has_slots_get_one,
    readers_share_a_lock_and_a_writer_waits_for_them,
    a_waiter_gets_the_lock,
    a_waiter_outlives_a_restart_of_the_server,
    a_guard_is_made_of_an_id_and_a_secret,
    a_holder_learns_that_its_lock_is_lost,
    locks_are_listed_in_pages,
    clients_hear_what_happens_in_order,
    a_request_whose_answer_is_lost_is_repeated_with_its_secret,
    a_lock_of_which_nobody_heard_is_released,
    a_server_without_this_interface_is_named,
    a_server_that_does_not_know_of_access_is_not_trusted,
    a_wrong_key_is_an_error,
}

fn v2(face: Face, server: &Server) -> AnyClient {
    face.v2(client_options(server.address()))
}

fn a_lock_is_held_on_its_holders_terms(face: Face) {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let client = v2(face, &server);
    let request = client.request("report").lifetime(MINUTE).who("nightly").note("for the books");
    let guard = request.try_lock().unwrap();
    let info = guard.info();
    assert_eq!((info.name.as_str(), info.who.as_deref()), ("report", Some("nightly")));
    assert_eq!((info.note.as_deref(), info.lifetime), (Some("for the books"), Some(MINUTE)));
    assert!((Duration::from_secs(1)..=MINUTE).contains(&guard.remaining()));
    assert!(Lock::new(dir.path().join("report")).unwrap().try_lock().is_err());

    guard.refresh_for(MINUTE * 2).unwrap();
    assert!(guard.remaining() > MINUTE);
    guard.refresh().unwrap();
    assert!(guard.remaining() > MINUTE, "its lifetime is that of the last refresh");
    assert_eq!(client.find("report").unwrap(), Some(guard.info()));
    assert_eq!(client.get(guard.id()).unwrap(), guard.info());

    let token = guard.token().unwrap();
    guard.unlock().unwrap();
    assert_eq!(client.find("report").unwrap(), None);
    assert!(request.lock().unwrap().token().unwrap() > token);
    let is_free = || client.find("report").unwrap().is_none();
    wait_until("a guard that is dropped releases its lock", is_free);
}

fn a_lifetime_beyond_the_servers_limit_is_cut(face: Face) {
    let dir = tempdir().unwrap();
    let server = options(dir.path()).max_lifetime(MINUTE).start().unwrap();
    let guard = v2(face, &server).request("report").lifetime(MINUTE * 60).lock().unwrap();
    assert!(guard.remaining() <= MINUTE);
    guard.refresh_for(MINUTE * 60).unwrap();
    assert!(guard.remaining() <= MINUTE);
}

fn who_does_not_get_the_lock_learns_who_has_it(face: Face) {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let client = v2(face, &server);
    let _guard = client.request("report").who("nightly").lock().unwrap();
    let other = client.request("report").who("another");
    let error = other.try_lock().unwrap_err();
    assert!(matches!(error, ClientError::Held { .. }), "{error}");
    assert!(error.to_string().contains("held by nightly"), "{error}");
    let mut left = 3;
    let until = move || {
        left -= 1;
        left > 0
    };
    for error in [other.try_lock_for(Duration::from_millis(100)), other.lock_while(until)] {
        let error = error.unwrap_err();
        assert!(matches!(error, ClientError::TimedOut { .. }) && error.is_contention(), "{error}");
        assert!(error.to_string().contains("held by nightly"), "{error}");
    }
}

fn as_many_clients_as_a_set_has_slots_get_one(face: Face) {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let client = v2(face, &server);
    let request = client.request("gpu").slots(2);
    let guards = [request.lock().unwrap(), request.lock().unwrap()];
    assert_eq!(guards.each_ref().map(|guard| guard.slot().unwrap() <= 1), [true; 2]);
    assert_ne!(guards[0].slot(), guards[1].slot());
    let info = guards[0].info();
    assert_eq!((info.set.as_deref(), info.slots), (Some("gpu"), Some(2)));
    assert!(matches!(request.try_lock(), Err(ClientError::Held { .. })));
    let slots = client.slots("gpu").unwrap();
    assert_eq!(slots.iter().map(|lock| &*lock.name).collect::<Vec<_>>(), ["gpu.0", "gpu.1"]);
    assert_eq!(client.slots("gp").unwrap(), []);
    let [one, another] = guards;
    let waiter = thread::spawn({
        let request = request.clone();
        move || request.try_lock_for(LIMIT).unwrap().slot()
    });
    let slot = another.slot();
    another.unlock().unwrap();
    assert_eq!(waiter.join().unwrap(), slot);
    one.unlock().unwrap();
    let whole = client.request("gpu").lock().unwrap();
    assert_eq!(whole.slot(), None, "the name by itself is another lock");
}

fn readers_share_a_lock_and_a_writer_waits_for_them(face: Face) {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let client = v2(face, &server);
    let reader = client.request("cache").access(Access::Read).who("a reader");
    let writer = client.request("cache").access(Access::Write).who("the writer");
    let guards = [reader.lock().unwrap(), reader.try_lock().unwrap()];
    assert_eq!(guards[1].info().access, Some(Access::Read));
    assert_eq!((client.readers("cache").unwrap().len(), client.find("cache").unwrap()), (2, None));
    let refused = [writer.try_lock(), writer.try_lock_for(Duration::from_millis(100))];
    for error in refused.map(Result::unwrap_err) {
        assert!(error.is_contention() && error.to_string().contains("held by a reader"), "{error}");
    }
    let waiter = thread::spawn(move || {
        let guard = writer.try_lock_for(LIMIT).unwrap();
        (guard.info().access, client.readers("cache").unwrap())
    });
    for guard in guards {
        guard.refresh().unwrap();
        guard.unlock().unwrap();
    }
    assert_eq!(waiter.join().unwrap(), (Some(Access::Write), Vec::new()));
}

/// Starts a waiter, and waits until it stands in line.
fn wait_in_line(client: &AnyClient) -> thread::JoinHandle<u64> {
    let waiter = client.request("report").lifetime(MINUTE);
    let waiter = thread::spawn(move || {
        let guard = waiter.try_lock_for(LIMIT).unwrap();
        assert!(guard.remaining() > MINUTE / 2, "however long the request stood in line");
        let token = guard.token().unwrap();
        guard.unlock().unwrap();
        token
    });
    wait_until("it waits", || {
        let error = client.request("report").try_lock().unwrap_err();
        error.to_string().contains("others wait")
    });
    waiter
}

fn a_waiter_gets_the_lock(face: Face) {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let client = v2(face, &server);
    let guard = client.request("report").lock().unwrap();
    let waiter = wait_in_line(&client);
    let token = guard.token().unwrap();
    guard.unlock().unwrap();
    assert!(waiter.join().unwrap() > token);
}

fn a_waiter_outlives_a_restart_of_the_server(face: Face) {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let address = server.address();
    let options = client_options(address).max_delay(Duration::from_millis(100));
    let client = face.v2(options);
    let guard = client.request("report").lock().unwrap();
    let waiter = wait_in_line(&client);
    drop(server);
    let _server = common::options(dir.path()).bind(address).start().unwrap();
    guard.unlock().unwrap();
    waiter.join().unwrap();
}

fn a_guard_is_made_of_an_id_and_a_secret(face: Face) {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let client = v2(face, &server);
    let guard = client.request("report").lifetime(MINUTE).lock().unwrap();
    guard.keep_alive(|why| panic!("it is not lost: {why}")).unwrap();
    let (id, secret) = guard.detach();
    assert!(client.find("report").unwrap().is_some());
    let other: Secret = "the-secret-of-another-lock".parse().unwrap();
    let error = client.adopt(id, &other).unwrap_err();
    assert!(matches!(error, ClientError::Denied { .. }), "{error}");

    let secret: Secret = secret.expose().parse().unwrap();
    let guard = client.adopt(id, &secret).unwrap();
    assert!((Duration::from_secs(1)..=MINUTE).contains(&guard.remaining()));
    for shown in [format!("{guard:?}"), format!("{secret:?}"), format!("{client:?}")] {
        assert!(!shown.contains(secret.expose()), "{shown}");
    }
    guard.unlock().unwrap();
    let error = client.adopt(id, &secret).unwrap_err();
    assert!(matches!(error, ClientError::NotFound(_)), "{error}");
}

fn a_holder_learns_that_its_lock_is_lost(face: Face) {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let client = v2(face, &server);
    let guard = client.request("report").lifetime(Duration::from_secs(2)).lock().unwrap();
    let (tell, told) = mpsc::channel();
    guard.keep_alive(move |why| tell.send(why).unwrap()).unwrap();
    let before = guard.info().expires_at;
    wait_until("it is kept alive", || client.get(guard.id()).unwrap().expires_at > before);
    client.break_lock(guard.id()).unwrap();
    let why = told.recv_timeout(LIMIT).unwrap();
    assert!(matches!(why, ClientError::Lost { .. }), "{why}");
    assert!(guard.refresh().unwrap_err().is_lost());
    assert!(guard.unlock().unwrap_err().is_lost());
    let error = client.break_lock(LockId::NIL).unwrap_err();
    assert!(matches!(error, ClientError::NotFound(_)), "{error}");
}

fn locks_are_listed_in_pages(face: Face) {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let client = v2(face, &server);
    let names = ["a", "a b/ü?&#%41", "c"];
    let guards: Vec<_> = names.iter().map(|name| client.request(name).lock().unwrap()).collect();
    for (name, guard) in names.iter().zip(&guards) {
        assert_eq!(client.find(name).unwrap().map(|lock| lock.id), Some(guard.id()));
        let url = LockUrl::new("http://localhost", *name);
        assert_eq!(url.to_string().parse(), Ok(url));
    }
    let first = client.page(None, 2).unwrap();
    assert_eq!(first.locks.len(), 2);
    let second = client.page(first.next.as_deref(), 2).unwrap();
    assert_eq!((second.locks.len(), &second.next), (1, &None));
    assert_eq!(client.list().unwrap(), [first.locks, second.locks].concat());
}

fn clients_hear_what_happens_in_order(face: Face) {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let client = v2(face, &server);
    let nothing = client.events(None, Duration::ZERO).unwrap();
    assert_eq!(nothing.events, []);
    let waiting = thread::spawn({
        let (client, after) = (client.clone(), nothing.next.clone());
        move || client.events(Some(&after), MINUTE).unwrap()
    });
    let guard = client.request("report").lock().unwrap();
    let first = waiting.join().unwrap();
    let heard = |events: &Events| -> Vec<_> {
        events.events.iter().map(|event| (event.number, event.kind, event.lock.id)).collect()
    };
    assert_eq!(heard(&first), [(1, EventKind::Created, guard.id())]);
    guard.refresh().unwrap();
    let id = guard.id();
    guard.unlock().unwrap();
    let rest = client.events(Some(&first.next), MINUTE).unwrap();
    assert_eq!(heard(&rest), [(2, EventKind::Prolonged, id), (3, EventKind::Ended, id)]);

    // A request may wait for longer than others may take.
    let hasty = face.v2(client_options(server.address()).request_timeout(Duration::from_secs(1)));
    let wait = Duration::from_secs(3);
    assert_eq!(hasty.events(Some(&rest.next), wait).unwrap().events, []);
    let error = client.events(Some("another-run.1"), Duration::ZERO).unwrap_err();
    assert!(matches!(error, ClientError::Refused { status: 410, .. }), "{error}");
}

fn tenure(id: &str) -> Value {
    json!({
        "id": id, "name": "report", "who": null, "note": null, "ip": null, "token": 7,
        "lifetime": 60.0, "expires_at": "2024-10-31T20:14:43Z",
        "created_at": "2024-10-31T20:13:43Z", "updated_at": "2024-10-31T20:13:43Z",
    })
}

const ID: &str = "950daa20-a814-451e-9407-ec496cf9c136";

/// A server that hangs up instead of answering requests for a lock, as long as `fails` says.
fn failing(fails: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Scripted {
    Scripted::start(move |request| match request.method.as_str() {
        "POST" if fails(request) => Reply::HangUp,
        "POST" | "DELETE" => Reply::Json(200, tenure(ID)),
        _ => refusal(404),
    })
}

fn a_request_whose_answer_is_lost_is_repeated_with_its_secret(face: Face) {
    let secrets: &'static Mutex<Vec<_>> = Box::leak(Box::default());
    let server = failing(|request| {
        let mut secrets = secrets.lock().unwrap();
        secrets.push(request.secret.clone().unwrap());
        secrets.len() == 1
    });
    let client = face.v2(client_options(server.address()));
    let guard = client.request("report").lock().unwrap();
    let (id, secret) = guard.detach();
    assert_eq!(id.to_string(), ID);
    assert_eq!(*secrets.lock().unwrap(), [secret.expose(), secret.expose()]);
}

/// It takes no notice of readers.
fn a_server_that_does_not_know_of_access_is_not_trusted(face: Face) {
    let server = failing(|_| false);
    let client = face.v2(client_options(server.address()));
    let error = client.request("report").access(Access::Write).try_lock().unwrap_err();
    assert!(matches!(error, ClientError::Unsupported { .. }), "{error}");
    assert_eq!(server.count("DELETE", &format!("/v2/locks/{ID}")), 1);
    client.request("report").try_lock().unwrap().unlock().unwrap();
}

fn a_lock_of_which_nobody_heard_is_released(face: Face) {
    let server = failing(|request| request.body["wait"] != 0.0);
    let client = face.v2(client_options(server.address()));
    let request = client.request("report");
    request.try_lock_for(Duration::from_millis(100)).unwrap_err();
    assert_eq!(server.count("DELETE", &format!("/v2/locks/{ID}")), 1);
}

fn a_server_without_this_interface_is_named(face: Face) {
    let server = Scripted::start(|_| refusal(404));
    let client = face.v2(client_options(server.address()));
    let url = format!("http://{}", server.address());
    let errors = [
        client.request("report").lock().unwrap_err(),
        client.find("report").unwrap_err(),
        client.list().unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(&error, ClientError::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains(&url), "{error}");
    }
}

fn a_wrong_key_is_an_error(face: Face) {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let client = face.v2(client_options(server.address()).api_key("wrong"));
    for error in [client.request("x").lock().unwrap_err(), client.list().unwrap_err()] {
        assert!(matches!(error, ClientError::Denied { .. }), "{error}");
    }
}
