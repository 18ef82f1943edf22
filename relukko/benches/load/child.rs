//! The servers, each in a process of its own, so that its memory can be measured: this program,
//! started again. It ends when its standard input is closed, and so with the process that started
//! it.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::extract::Path as UrlPath;
use axum::http::StatusCode;
use axum::routing::{delete, post};
use axum::{Json, Router};
use linklock_relukko::Server;
use serde_json::{Value, json};

use crate::wire::{Connection, KEY};

/// The first argument of a server's process.
pub(crate) const FLAG: &str = "--be-the-server";

pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Process {
    /// `linklock serve`, in effect.
    pub(crate) fn relukko(dir: &Path) -> Process {
        Process::start(dir.as_os_str())
    }

    /// The floor: axum with a route that reads JSON and writes the same answers, and nothing else.
    pub(crate) fn bare() -> Process {
        Process::start("".as_ref())
    }

    fn start(dir: &std::ffi::OsStr) -> Process {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .args([FLAG.as_ref(), dir])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts again");
        let mut line = String::new();
        let output = child.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("it prints its address");
        let address = line.trim().parse().expect("it prints its address");
        Process { child, address }
    }

    /// One of its figures for Prometheus.
    pub(crate) fn figure(&self, name: &str) -> f64 {
        figure(&mut Connection::open(self.address), name)
    }

    /// Its resident memory, in MiB.
    pub(crate) fn memory(&self) -> f64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kib.expect("proc(5)") / 1024.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait(); // it is our child
    }
}

/// One of a server's figures for Prometheus.
pub(crate) fn figure(connection: &mut Connection, name: &str) -> f64 {
    let (_, metrics) = connection.ask("GET", "/metrics", "");
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = line.and_then(|value| value.parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in {metrics}"))
}

/// The server's side.
pub(crate) fn serve(dir: &Path) {
    if dir.as_os_str().is_empty() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.expect("threads");
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = runtime.block_on(listener).expect("a port");
        println!("{}", listener.local_addr().expect("it listens"));
        runtime.spawn(async { axum::serve(listener, bare()).await });
        wait_for_the_end();
    } else {
        let server = Server::options(dir)
            .bind((Ipv4Addr::LOCALHOST, 0).into())
            .api_key(KEY)
            .max_websockets(20_000)
            .sweep_interval(Duration::from_secs(5))
            .lifetime(Duration::from_secs(3600))
            .start()
            .expect("a server");
        println!("{}", server.address());
        wait_for_the_end();
    }
}

fn wait_for_the_end() {
    let _ = std::io::stdin().read_to_end(&mut Vec::new()); // an error is an end as well
}

fn bare() -> Router {
    let lock = |lock_name: Value, id: &str| {
        let at = "2026-01-01T00:00:00.123456Z";
        json!({
            "id": id, "lock_name": lock_name, "creator": null, "ip": "127.0.0.1",
            "expires_at": at, "created_at": at, "updated_at": at,
        })
    };
    let id = "950daa20-a814-451e-9407-ec496cf9c136";
    Router::new()
        .route(
            "/v1/locks/",
            post(async move |Json(mut body): Json<Value>| {
                (StatusCode::CREATED, Json(lock(body["lock_name"].take(), id)))
            }),
        )
        .route(
            "/v1/locks/{id}",
            delete(async move |UrlPath(id): UrlPath<String>| Json(lock(Value::Null, &id))),
        )
}
