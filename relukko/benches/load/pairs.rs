//! Creating and deleting as fast as possible.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::wire::Connection;

/// A thousand clients are a thousand threads.
pub(crate) const STACK: usize = 128 * 1024;

/// How long each pair took, in how much time.
#[derive(Default)]
pub(crate) struct Figures {
    pairs: Vec<Duration>,
    time: Duration,
}

pub(crate) struct Summary {
    clients: usize,
    per_second: f64,
    mean: Duration,
    p50: Duration,
    p99: Duration,
}

impl Figures {
    pub(crate) fn add(&mut self, other: Figures) {
        self.pairs.extend(other.pairs);
        self.time += other.time;
    }

    pub(crate) fn sum_up(mut self, clients: usize) -> Summary {
        self.pairs.sort_unstable();
        let count = self.pairs.len();
        let per_second = count as f64 / self.time.as_secs_f64();
        let mean = self.pairs.iter().sum::<Duration>().div_f64(count as f64);
        let (p50, p99) = (self.pairs[count / 2], self.pairs[count * 99 / 100]);
        Summary { clients, per_second, mean, p50, p99 }
    }
}

impl Summary {
    pub(crate) fn beside(&self, floor: &Summary) -> String {
        assert_eq!(self.clients, floor.clients);
        format!("1/{:.1} of the floor", floor.per_second / self.per_second)
    }

    /// How many times as many pairs, and as long the slowest of a hundred takes.
    pub(crate) fn times(&self, peer: &Summary) -> String {
        assert_eq!(self.clients, peer.clients);
        let (rate, p99) = (self.per_second / peer.per_second, self.p99.div_duration_f64(peer.p99));
        format!("{rate:.1} x etcd's, p99 {p99:.2} x")
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { per_second, mean, p50, p99, .. } = self;
        write!(f, "{per_second:8.0}/s, mean {mean:.2?}, p50 {p50:.2?}, p99 {p99:.2?}")
    }
}

/// All clients at once, for that long.
pub(crate) fn measure(
    server: SocketAddr,
    clients: usize,
    time: Duration,
    pair: fn(&mut Connection, &str),
) -> Figures {
    let start = Barrier::new(clients + 1);
    thread::scope(|scope| {
        let client = |number: usize| {
            let start = &start;
            let run = move || {
                let mut connection = Connection::open(server);
                let name = format!("client-{number}");
                pair(&mut connection, &name); // all clients are connected and served
                start.wait();
                let (begun, mut pairs) = (Instant::now(), Vec::new());
                while begun.elapsed() < time {
                    let asked = Instant::now();
                    pair(&mut connection, &name);
                    pairs.push(asked.elapsed());
                }
                pairs
            };
            let thread = thread::Builder::new().stack_size(STACK);
            thread.spawn_scoped(scope, run).expect("a thread")
        };
        let clients: Vec<_> = (0..clients).map(client).collect();
        start.wait();
        let begun = Instant::now();
        let pairs = clients.into_iter().flat_map(|client| client.join().expect("no panic"));
        let pairs = pairs.collect();
        Figures { pairs, time: begun.elapsed() }
    })
}

/// Creates a lock that no other client wants, and deletes it.
pub(crate) fn pair(connection: &mut Connection, name: &str) {
    let id = create(connection, name);
    let (status, answer) = connection.ask("DELETE", &format!("/v1/locks/{id}"), "");
    assert_eq!(status, 200, "{answer}");
}

/// The same through `/v2/`: with a secret, a lifetime and a fencing token.
pub(crate) fn pair_with_token(connection: &mut Connection, name: &str) {
    let body = format!(r#"{{"name": "{name}", "lifetime": 600}}"#);
    let (status, answer) = connection.ask("POST", "/v2/locks", &body);
    assert_eq!(status, 201, "{answer}");
    let lock: Value = serde_json::from_str(&answer).expect("a lock");
    assert!(lock["token"].is_u64(), "{answer}");
    let id = lock["id"].as_str().expect("an id");
    let (status, answer) = connection.ask("DELETE", &format!("/v2/locks/{id}"), "");
    assert_eq!(status, 200, "{answer}");
}

/// Creates a lock, and returns its id.
pub(crate) fn create(connection: &mut Connection, name: &str) -> String {
    let body = format!(r#"{{"lock_name": "{name}", "creator": null}}"#);
    let (status, answer) = connection.ask("POST", "/v1/locks/", &body);
    assert_eq!(status, 201, "{answer}");
    let lock: Value = serde_json::from_str(&answer).expect("a lock");
    assert!(lock["lock_name"] == name, "{answer}");
    lock["id"].as_str().expect("an id").to_owned()
}

pub(crate) fn assert_nothing_is_left(server: SocketAddr) {
    let (status, answer) = Connection::open(server).ask("GET", "/v1/locks", "");
    assert_eq!((status, answer.as_str()), (200, "[]"));
}

/// The minimum time of one request.
pub(crate) fn one_request(server: SocketAddr) -> Duration {
    let mut connection = Connection::open(server);
    let mut times: Vec<_> = (0..1000)
        .map(|_| {
            let asked = Instant::now();
            create(&mut connection, "x");
            asked.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}
