//! etcd beside the server, if it is installed (`etcd` in the PATH, or at `LINKLOCK_ETCD`): one member,
//! its data on the same disk. A lock is a key that is created unless it exists, and deleted. Its
//! clients speak HTTP too, through its JSON gateway.

use std::env;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::wire::Connection;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Etcd {
    child: Child,
    pub(crate) address: SocketAddr,
    _data: TempDir,
}

impl Etcd {
    /// Its data is in a directory of its own, in this one. `None` if it is not installed.
    pub(crate) fn start(parent: &Path) -> Option<Etcd> {
        let data = tempfile::tempdir_in(parent).expect("a directory for etcd");
        let [address, peers] = [free_port(), free_port()];
        let [clients_url, peers_url] = [address, peers].map(|at| format!("http://{at}"));
        let started = Command::new(env::var_os("LINKLOCK_ETCD").unwrap_or("etcd".into()))
            .arg("--data-dir")
            .arg(data.path())
            .args(["--listen-client-urls", &clients_url, "--advertise-client-urls", &clients_url])
            .args(["--listen-peer-urls", &peers_url, "--initial-advertise-peer-urls", &peers_url])
            .args(["--initial-cluster", &format!("default={peers_url}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let etcd = Etcd { child: started.ok()?, address, _data: data };
        let begun = Instant::now();
        while !etcd.is_ready() {
            assert!(begun.elapsed() < PATIENCE, "etcd does not start");
            thread::sleep(Duration::from_millis(50));
        }
        Some(etcd)
    }

    fn is_ready(&self) -> bool {
        let listens = TcpStream::connect(self.address).is_ok();
        listens && Connection::open(self.address).ask("GET", "/health", "").0 == 200
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait(); // it is our child
    }
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("it listens")
}

/// Creates a key that does not exist, and deletes it.
pub(crate) fn pair(connection: &mut Connection, name: &str) {
    let key = base64(name.as_bytes());
    let create = json!({
        "compare": [{ "key": key, "target": "CREATE", "create_revision": "0" }],
        "success": [{ "request_put": { "key": key, "value": base64(b"a secret of the load") } }],
    });
    assert_eq!(ask(connection, "/v3/kv/txn", &create)["succeeded"], true);
    assert_eq!(ask(connection, "/v3/kv/deleterange", &json!({ "key": key }))["deleted"], "1");
}

fn ask(connection: &mut Connection, path: &str, body: &Value) -> Value {
    let (status, answer) = connection.ask("POST", path, &body.to_string());
    assert_eq!(status, 200, "{answer}");
    serde_json::from_str(&answer).expect("JSON")
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits =
            (0..3).fold(0, |bits, at| (bits << 8) | usize::from(*three.get(at).unwrap_or(&0)));
        for digit in 0..=three.len() {
            text.push(DIGITS[(bits >> (18 - 6 * digit)) & 63].into());
        }
        text.extend(std::iter::repeat_n('=', 3 - three.len()));
    }
    text
}
