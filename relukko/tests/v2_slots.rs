//! Slots over HTTP: up to a number of holders at once, however they came.

mod common;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::v2::{
    Waiting, acquire, create, create_as, is_same, listed, lock, path, release_as, token,
};
use common::{ask, serve, wait_until};
use linklock::{Lock, Slots};
use serde_json::{Value, json};
use tempfile::tempdir;

fn secret(number: usize) -> String {
    format!("a secret of client {number}")
}

fn set(slots: usize) -> Value {
    json!({ "name": "encode", "slots": slots })
}

/// One client after another gets a slot.
fn fill(server: SocketAddr, slots: usize) -> Vec<Value> {
    (0..slots).map(|client| lock(&create_as(&secret(client), server, &set(slots)))).collect()
}

#[test]
fn a_set_has_as_many_holders_as_it_has_slots() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let address = server.address();
    let held = fill(address, 3);
    let slots: BTreeSet<_> = held.iter().map(|lock| lock["slot"].as_u64().unwrap()).collect();
    assert_eq!(slots, BTreeSet::from([0, 1, 2]));
    assert!(held.is_sorted_by_key(token), "{held:?}");
    for own in &held {
        assert_eq!((&own["set"], &own["slots"]), (&json!("encode"), &json!(3)));
        assert_eq!(own["name"], format!("encode.{}", own["slot"]));
        assert_eq!(ask(address, "GET", &path(own), "").json(), *own);
    }
    create(address, &set(3)).assert_refusal(409);
    create(address, &json!({ "name": "encode.1" })).assert_refusal(409);
    assert_eq!(listed(address, "slot"), [0, 1, 2]);

    // The library and other servers see the same set.
    let library = Slots::new(dir.path().join("encode"), 3).unwrap();
    assert!(library.try_lock().unwrap_err().is_contention());
    let holders = library.holders().unwrap();
    assert_eq!(holders.len(), 3);
    assert!(holders.iter().all(|(_, holder)| holder.slots() == Some(3)), "{holders:?}");
    let other = serve(dir.path());
    create(other.address(), &set(3)).assert_refusal(409);

    // A slot that is released is anybody's. The name by itself is another lock.
    release_as(&secret(1), other.address(), &held[1]);
    let guard = library.try_lock().unwrap();
    assert_eq!(held[1]["slot"], guard.slot());
    create(address, &set(3)).assert_refusal(409);
    let theirs = ask(address, "GET", "/v2/locks", "").json()["locks"][guard.slot()].clone();
    assert_eq!(
        json!([theirs["set"], theirs["slot"], theirs["slots"]]),
        json!(["encode", guard.slot(), 3])
    );
    guard.into_guard().unlock().unwrap();
    lock(&create(address, &set(3)));
    let whole = lock(&create_as(&secret(9), address, &json!({ "name": "encode" })));
    assert_eq!(json!([whole["set"], whole["slot"], whole["slots"]]), json!([null, null, null]));
    // More slots make more room.
    assert_eq!(lock(&create_as(&secret(9), address, &set(4)))["slot"], 3);
}

#[test]
fn the_slots_of_a_set_are_listed() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let names = |set: &str| {
        let locks = ask(server.address(), "GET", &format!("/v2/locks?set={set}"), "").json();
        let locks = locks["locks"].as_array().unwrap().clone();
        locks.iter().map(|lock| lock["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("a%2Fb"), [""; 0]);
    for (client, name) in ["a/b", "encode", "a/b"].into_iter().enumerate() {
        let body = json!({ "name": name, "slots": 3 });
        lock(&create_as(&secret(client), server.address(), &body));
    }
    // The locks of other programs count, but for those beyond the set.
    let taken = lock(&create_as(&secret(3), server.address(), &set(3)))["slot"].clone();
    let free = (0..3).find(|slot| !names("encode").contains(&format!("encode.{slot}"))).unwrap();
    let beside =
        [free, 3].map(|slot| Lock::new(dir.path().join(format!("encode.{slot}"))).unwrap());
    let guards = beside.each_ref().map(|lock| lock.try_lock().unwrap());
    assert_eq!(names("encode"), ["encode.0", "encode.1", "encode.2"], "{taken} was the second");
    assert_eq!(names("a%2Fb").len(), 2);
    assert!(names("a%2Fb").iter().all(|name| name.starts_with("a/b.")));
    assert_eq!(names("encode.0"), [""; 0]);
    drop(guards);
}

#[test]
fn a_name_that_is_not_plain_has_slots_too() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let body = json!({ "name": "a/b", "slots": 1 });
    let own = lock(&create(server.address(), &body));
    assert_eq!((&own["name"], &own["set"]), (&json!("a/b.0"), &json!("a/b")));
    create_as(&secret(1), server.address(), &body).assert_refusal(409);
    create_as(&secret(1), server.address(), &json!({ "name": "a/b.0" })).assert_refusal(409);
    assert_eq!(lock(&ask(server.address(), "PUT", &path(&own), "{}"))["id"], own["id"]);
    drop(server);
    let server = serve(dir.path()); // which finds it in the directory
    assert_eq!(listed(server.address(), "id"), [own["id"].clone()]);
    lock(&ask(server.address(), "DELETE", &path(&own), ""));
}

#[test]
fn a_repeated_request_gets_the_same_slot() {
    let dir = tempdir().unwrap();
    let (one, two) = (serve(dir.path()), serve(dir.path()));
    let held = fill(one.address(), 3);
    // Even where others are free by now, and whichever server it comes to.
    for other in [0, 2] {
        release_as(&secret(other), one.address(), &held[other]);
    }
    for server in [&one, &two, &serve(dir.path())] {
        for body in [set(3), json!({ "name": "encode", "slots": 3, "wait": 5 })] {
            let again = create_as(&secret(1), server.address(), &body);
            assert_eq!(again.status, 200, "{again:?}");
            assert!(is_same(&again.json(), &held[1]), "{again:?}, and not {}", held[1]);
        }
    }
}

#[test]
fn a_number_of_slots_has_limits() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    for bad in [json!(0), json!(257), json!(-1), json!(1.5), json!("3"), json!([])] {
        let body = json!({ "name": "x", "slots": bad });
        create(server.address(), &body).assert_refusal(422);
    }
    let most = json!({ "name": "x", "slots": 256 });
    assert_eq!(lock(&create(server.address(), &most))["slots"], 256);
}

#[test]
fn who_came_first_gets_the_slot_that_is_free_first() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let address = server.address();
    let held = fill(address, 2);
    let line = [2, 3].map(|client| Waiting::begin(address, &secret(client), &set(2)));
    let served = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for waiting in line.iter().rev() {
            let served = &served;
            scope.spawn(move || {
                let own = waiting.acquire(address);
                served.lock().unwrap().push((waiting.secret.clone(), own["slot"].clone()));
            });
        }
        line[1].wait_for_ahead(address, 1);
        release_as(&secret(1), address, &held[1]);
        wait_until("one is served", || served.lock().unwrap().len() == 1);
        // Who does not wait does not overtake.
        let refused = create(address, &set(2));
        assert!(refused.text.contains("others wait"), "{refused:?}");
        release_as(&secret(0), address, &held[0]);
    });
    let slots = [&held[1]["slot"], &held[0]["slot"]].map(Value::clone);
    let expected: Vec<_> = [secret(2), secret(3)].into_iter().zip(slots).collect();
    assert_eq!(served.into_inner().unwrap(), expected);
}

#[test]
fn other_programs_slots_are_waited_for() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let library = Slots::new(dir.path().join("encode"), 2).unwrap();
    let (one, _other) = (library.clone().try_lock().unwrap(), library.clone().try_lock().unwrap());
    let address = server.address();
    let waiting = Waiting::begin(address, &secret(0), &set(2));
    let slot = one.slot();
    let waiter = thread::spawn(move || waiting.acquire(address)["slot"].clone());
    one.into_guard().unlock().unwrap();
    assert_eq!(waiter.join().unwrap(), slot);
}

#[test]
fn a_slot_whose_holder_is_gone_is_free_again() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let short = json!({ "name": "encode", "slots": 1, "lifetime": 1 });
    let first = lock(&create(server.address(), &short));
    drop(server); // as if it had been killed: it gives nothing back
    let server = serve(dir.path());
    wait_until("it is over", || create_as(&secret(1), server.address(), &short).status == 201);
    ask(server.address(), "PUT", &path(&first), "{}").assert_refusal(404);
}

const SLOTS: usize = 3;
const TURNS: usize = 8;

/// Who holds a slot is alone in it.
#[derive(Default)]
struct Room([AtomicBool; SLOTS]);

impl Room {
    fn be_in(&self, slot: usize) {
        assert!(!self.0[slot].swap(true, Ordering::SeqCst), "two in slot {slot}");
        thread::sleep(Duration::from_millis(2)); // so that others would meet it
        self.0[slot].store(false, Ordering::SeqCst);
    }
}

#[test]
fn a_crowd_through_two_servers_and_the_library_shares_the_slots() {
    let dir = tempdir().unwrap();
    let servers = [serve(dir.path()), serve(dir.path())];
    let library = Slots::new(dir.path().join("encode"), u32::try_from(SLOTS).unwrap()).unwrap();
    let (room, body) = (Room::default(), set(SLOTS));
    thread::scope(|scope| {
        for client in 0..6 {
            let (server, room, body) = (servers[client % 2].address(), &room, &body);
            scope.spawn(move || {
                for turn in 0..TURNS {
                    let secret = format!("{} in turn {turn}", secret(client));
                    let own = acquire(&secret, server, body);
                    room.be_in(own["slot"].to_string().parse().unwrap());
                    release_as(&secret, server, &own);
                }
            });
        }
        for _ in 0..3 {
            let (slots, room) = (library.clone(), &room);
            scope.spawn(move || {
                for _ in 0..TURNS {
                    let guard = slots.lock().unwrap();
                    room.be_in(guard.slot());
                    guard.into_guard().unlock().unwrap();
                }
            });
        }
    });
    assert!(library.holders().unwrap().is_empty());
    assert_eq!(listed(servers[0].address(), "id"), [] as [Value; 0]);
}
