//! Shared locks over HTTP: any number of readers at once, or one writer, however they came.

mod common;

use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use common::v2::{
    Waiting, acquire, create, create_as, is_same, listed, lock, path, release_as, token,
};
use common::{ask, ask_as, serve, wait_until};
use linklock::RwLock;
use linklock_relukko::Server;
use serde_json::{Value, json};
use tempfile::tempdir;

fn secret(number: usize) -> String {
    format!("a secret of client {number}")
}

fn read() -> Value {
    json!({ "name": "cache", "access": "read" })
}

fn write() -> Value {
    json!({ "name": "cache", "access": "write" })
}

/// The readers that are in, by name.
fn readers(server: SocketAddr) -> usize {
    let page = ask(server, "GET", "/v2/locks?name=cache&access=read", "").json();
    let locks = page["locks"].as_array().unwrap();
    assert!(locks.iter().all(|lock| lock["access"] == "read" && lock["name"] == "cache"), "{page}");
    locks.len()
}

/// The id of the lock file's lock: of the writer that has it, or waits for readers.
fn writer_id(server: SocketAddr) -> Value {
    ask(server, "GET", "/v2/locks?name=cache", "").json()["locks"][0]["id"].clone()
}

#[test]
fn any_number_of_readers_or_one_writer() {
    let dir = tempdir().unwrap();
    let (one, two) = (serve(dir.path()), serve(dir.path()));
    let (one, two) = (one.address(), two.address());
    let reading: Vec<_> = (0..3)
        .map(|client| lock(&create_as(&secret(client), [one, two][client % 2], &read())))
        .collect();
    assert!(reading.is_sorted_by_key(token), "{reading:?}");
    for (client, own) in reading.iter().enumerate() {
        assert_eq!((&own["name"], &own["access"]), (&json!("cache"), &json!("read")));
        for server in [one, two] {
            assert_eq!(ask(server, "GET", &path(own), "").json(), *own);
        }
        let renewed = lock(&ask_as(&secret(client), two, "PUT", &path(own), "{}"));
        assert_eq!(renewed["token"], own["token"]);
    }
    assert_eq!((readers(one), listed(two, "access")), (3, vec![json!("read"); 3]));
    for server in [one, two] {
        create_as(&secret(9), server, &write()).assert_refusal(409);
    }
    // One that does not wait leaves nothing in the way of readers.
    for (client, own) in reading.iter().enumerate() {
        release_as(&secret(client), two, own);
    }
    assert_eq!(readers(two), 0);

    let writing = lock(&create_as(&secret(9), two, &write()));
    assert_eq!(writing["access"], "write");
    assert!(token(&writing) > token(&reading[2]));
    for server in [one, two] {
        create_as(&secret(1), server, &read()).assert_refusal(409);
        create_as(&secret(1), server, &write()).assert_refusal(409);
        create_as(&secret(1), server, &json!({ "name": "cache" })).assert_refusal(409);
    }
    // What is held in one way is not held in another.
    create_as(&secret(9), one, &read()).assert_refusal(409);
    let found = ask(one, "GET", "/v2/locks?name=cache", "").json()["locks"][0].clone();
    assert_eq!(found, writing);
    release_as(&secret(9), one, &writing);
    lock(&create_as(&secret(1), one, &read()));
}

/// The library's locks are the same.
#[test]
fn programs_with_the_library_take_part() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let address = server.address();
    let cache = RwLock::new(dir.path().join("cache")).unwrap();

    let own = lock(&create(address, &read()));
    assert_eq!(cache.readers().unwrap().len(), 1);
    let other = cache.try_read().unwrap();
    assert!(cache.clone().try_write().unwrap_err().is_contention());
    assert_eq!(readers(address), 2);
    create_as(&secret(1), address, &write()).assert_refusal(409);
    other.unlock().unwrap();
    create_as(&secret(1), address, &write()).assert_refusal(409);
    release_as(common::SECRET, address, &own);
    let guard = cache.try_write().unwrap();
    create(address, &read()).assert_refusal(409);
    create(address, &write()).assert_refusal(409);
    guard.unlock().unwrap();

    let own = lock(&create(address, &write()));
    assert!(cache.try_read().unwrap_err().is_contention());
    assert!(cache.try_write().unwrap_err().is_contention());
    release_as(common::SECRET, address, &own);
    cache.try_write().unwrap().unlock().unwrap();
}

/// A writer is not starved: from when it is first in line, no reader enters before it.
#[test]
fn a_writer_waits_for_the_readers_that_are_in_and_no_others() {
    let dir = tempdir().unwrap();
    let (server, other) = (serve(dir.path()), serve(dir.path()));
    let address = server.address();
    let cache = RwLock::new(dir.path().join("cache")).unwrap();
    let in_before = [0, 1].map(|client| lock(&create_as(&secret(client), address, &read())));
    let theirs = cache.try_read().unwrap();

    let writer = Waiting::begin(address, &secret(7), &write());
    thread::scope(|scope| {
        let writes = scope.spawn(|| writer.acquire(address));
        // It keeps the lock file: nobody else enters, here or elsewhere.
        wait_until("readers are kept out", || {
            match cache.clone().try_read() {
                Ok(guard) => guard.unlock().unwrap(),
                Err(error) => return error.is_contention(),
            }
            false
        });
        create_as(&secret(2), other.address(), &read()).assert_refusal(409);
        let reader = Waiting::begin(address, &secret(3), &read());
        reader.wait_for_ahead(address, 1);
        for (client, own) in in_before.iter().enumerate() {
            release_as(&secret(client), other.address(), own);
        }
        let kept = writer_id(address);
        thread::sleep(Duration::from_secs(9)); // longer than a lock file is kept unless it is renewed
        assert!(!writes.is_finished(), "one reader is in");
        assert_eq!(writer_id(address), kept, "it has been kept all the time");
        assert!(cache.clone().try_read().unwrap_err().is_contention());
        theirs.unlock().unwrap();
        let own = writes.join().unwrap();
        assert_eq!((&own["access"], readers(address)), (&json!("write"), 0));
        reader.wait_for_ahead(address, 0);
        writer.release(address, &own);
        let own = reader.acquire(address);
        assert_eq!(own["access"], "read");
    });
}

#[test]
fn a_writer_that_goes_away_leaves_the_lock_to_others() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let address = server.address();
    let reading = lock(&create_as(&secret(0), address, &read()));
    let writer = Waiting::begin(address, &secret(7), &write());
    assert_eq!(writer.ask(address, 1).status, 202);
    create_as(&secret(1), address, &read()).assert_refusal(409);
    let late = acquire(&secret(1), address, &read());
    assert_eq!((readers(address), late["access"].as_str()), (2, Some("read")));
    release_as(&secret(0), address, &reading);
}

#[test]
fn a_reader_that_has_gone_without_a_word_is_outlasted() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let mut reading = read();
    reading["lifetime"] = json!(1);
    lock(&create_as(&secret(0), server.address(), &reading));
    let own = acquire(&secret(1), server.address(), &write());
    assert_eq!((&own["access"], readers(server.address())), (&json!("write"), 0));
}

#[test]
fn a_repeated_request_gets_the_same_lock() {
    let dir = tempdir().unwrap();
    let (one, two) = (serve(dir.path()), serve(dir.path()));
    for body in [read(), write()] {
        let own = lock(&create(one.address(), &body));
        for server in [&one, &two, &serve(dir.path())] {
            let again = create(server.address(), &body);
            assert_eq!(again.status, 200, "{again:?}");
            assert!(is_same(&again.json(), &own), "{again:?}, and not {own}");
        }
        release_as(common::SECRET, two.address(), &own);
    }
}

#[test]
fn a_name_may_be_long_or_odd_and_a_slot_has_no_readers() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    for name in ["a/b", "é", &"x".repeat(100), &"x".repeat(16 * 1024)] {
        for access in ["read", "write"] {
            let own = lock(&create(server.address(), &json!({ "name": name, "access": access })));
            assert_eq!((&own["name"], &own["access"]), (&json!(name), &json!(access)));
            release_as(common::SECRET, server.address(), &own);
        }
    }
    for bad in [
        json!({ "name": "x", "access": "read", "slots": 2 }),
        json!({ "name": "x", "access": "append" }),
    ] {
        create(server.address(), &bad).assert_refusal(422);
    }
}

/// A crowd at two servers and in the directory: never a writer with anybody.
#[test]
fn nobody_reads_what_is_written() {
    const TURNS: usize = 6;
    let dir = tempdir().unwrap();
    let servers = [serve(dir.path()), serve(dir.path())];
    let (reading, writing, most) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let read_once = || {
        most.fetch_max(reading.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        assert_eq!(writing.load(Ordering::SeqCst), 0, "a reader beside a writer");
        thread::sleep(Duration::from_millis(20));
        assert_eq!(writing.load(Ordering::SeqCst), 0, "a writer beside a reader");
        reading.fetch_sub(1, Ordering::SeqCst);
    };
    let write_once = || {
        assert_eq!(writing.fetch_add(1, Ordering::SeqCst), 0, "two writers");
        assert_eq!(reading.load(Ordering::SeqCst), 0, "a writer beside a reader");
        thread::sleep(Duration::from_millis(5));
        assert_eq!(reading.load(Ordering::SeqCst), 0, "a reader beside a writer");
        writing.fetch_sub(1, Ordering::SeqCst);
    };
    thread::scope(|scope| {
        for client in 0..8 {
            let server = servers[client % 2].address();
            let (read_once, write_once) = (&read_once, &write_once);
            scope.spawn(move || {
                for turn in 0..TURNS {
                    let secret = format!("secret {turn} of client {client}");
                    if client % 4 == 0 {
                        let own = acquire(&secret, server, &write());
                        write_once();
                        release_as(&secret, server, &own);
                    } else {
                        let own = acquire(&secret, server, &read());
                        read_once();
                        release_as(&secret, server, &own);
                    }
                }
            });
        }
        let cache = RwLock::new(dir.path().join("cache")).unwrap();
        for is_reader in [true, false] {
            let (cache, read_once, write_once) = (cache.clone(), &read_once, &write_once);
            scope.spawn(move || {
                for _ in 0..TURNS {
                    if is_reader {
                        let guard = cache.read().unwrap();
                        read_once();
                        guard.unlock().unwrap();
                    } else {
                        let guard = cache.write().unwrap();
                        write_once();
                        guard.unlock().unwrap();
                    }
                }
            });
        }
    });
    assert!(most.into_inner() > 1, "readers never met");
}

#[test]
fn a_key_that_has_its_locks_cannot_write_either() {
    let dir = tempdir().unwrap();
    let keys = dir.path().join(".keys");
    let line = format!("name=few rights=own locks=1 key={}\n", common::KEY);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&keys).unwrap();
    file.write_all(line.as_bytes()).unwrap();
    let server = Server::options(dir.path()).bind("127.0.0.1:0".parse().unwrap());
    let server = server.api_key_file(&keys).unwrap().start().unwrap();
    let own = lock(&create(server.address(), &read()));
    create_as(&secret(1), server.address(), &json!({ "name": "other", "access": "write" }))
        .assert_refusal(429);
    release_as(common::SECRET, server.address(), &own);
    lock(&create_as(&secret(1), server.address(), &write()));
}
