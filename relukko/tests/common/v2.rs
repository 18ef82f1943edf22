//! Requests of `/v2/`.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{Answer, SECRET, ask, ask_as, wait_until};

pub(crate) fn create(server: SocketAddr, body: &Value) -> Answer {
    create_as(SECRET, server, body)
}

pub(crate) fn create_as(secret: &str, server: SocketAddr, body: &Value) -> Answer {
    ask_as(secret, server, "POST", "/v2/locks", &body.to_string())
}

/// The lock of an answer that is a success.
#[track_caller]
pub(crate) fn lock(answer: &Answer) -> Value {
    assert!((200..=201).contains(&answer.status), "{answer:?}");
    answer.json()
}

pub(crate) fn path(lock: &Value) -> String {
    format!("/v2/locks/{}", lock["id"].as_str().unwrap())
}

pub(crate) fn token(lock: &Value) -> u64 {
    lock["token"].as_u64().unwrap()
}

/// Whether both are one tenure, and end at the same time.
pub(crate) fn is_same(one: &Value, other: &Value) -> bool {
    ["id", "name", "token", "expires_at"].iter().all(|field| one[field] == other[field])
}

#[track_caller]
pub(crate) fn release_as(secret: &str, server: SocketAddr, own: &Value) {
    let answer = ask_as(secret, server, "DELETE", &path(own), "");
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// The names of the locks that a server lists, in order.
pub(crate) fn listed(server: SocketAddr, field: &str) -> Vec<Value> {
    let page = ask(server, "GET", "/v2/locks", "").json();
    page["locks"].as_array().unwrap().iter().map(|lock| lock[field].clone()).collect()
}

/// A client of which only its secret, its request and its place in the line are left.
pub(crate) struct Waiting {
    pub(crate) secret: String,
    pub(crate) since: Value,
    body: Value,
}

impl Waiting {
    /// Asks for a lock that is held.
    #[track_caller]
    pub(crate) fn begin(server: SocketAddr, secret: &str, body: &Value) -> Waiting {
        let mut first = body.clone();
        first["wait"] = json!(20);
        let answer = create_as(secret, server, &first);
        assert_eq!(answer.status, 202, "{answer:?}");
        let since = answer.json()["since"].clone();
        Waiting { secret: secret.to_owned(), since, body: body.clone() }
    }

    pub(crate) fn ask(&self, server: SocketAddr, wait: u32) -> Answer {
        let mut body = self.body.clone();
        (body["wait"], body["since"]) = (json!(wait), self.since.clone());
        create_as(&self.secret, server, &body)
    }

    /// Waits until the lock is its own.
    pub(crate) fn acquire(&self, server: SocketAddr) -> Value {
        loop {
            let answer = self.ask(server, 60);
            if answer.status != 202 {
                return lock(&answer);
            }
        }
    }

    pub(crate) fn release(&self, server: SocketAddr, own: &Value) {
        release_as(&self.secret, server, own);
    }

    /// Waits until so many are in line before it.
    pub(crate) fn wait_for_ahead(&self, server: SocketAddr, ahead: u64) {
        wait_until("all are in line", || {
            let answer = self.ask(server, 0);
            assert_eq!(answer.status, 202, "{answer:?}");
            answer.json()["ahead"] == ahead
        });
    }
}

/// Gets a lock however long it takes, in line.
pub(crate) fn acquire(secret: &str, server: SocketAddr, body: &Value) -> Value {
    let mut first = body.clone();
    first["wait"] = json!(60);
    let answer = create_as(secret, server, &first);
    if answer.status != 202 {
        return lock(&answer);
    }
    let since = answer.json()["since"].clone();
    Waiting { secret: secret.to_owned(), since, body: body.clone() }.acquire(server)
}
