//! What the test files share: a server, raw requests, waiting and skipping.

#![allow(dead_code, unused_imports)] // each test file is a crate of its own, and uses what it needs

pub(crate) mod face;
#[path = "../kit/say.rs"]
pub(crate) mod say;
pub(crate) mod scripted;
pub(crate) mod v2;
pub(crate) mod v2_face;
#[path = "../kit/wait.rs"]
mod wait;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use linklock_relukko::{Client, ClientOptions, Server, ServerOptions};
use serde_json::Value;
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

pub(crate) use say::skip;
pub(crate) use wait::{LIMIT, wait_until};

pub(crate) const KEY: &str = "a key for tests";

/// The secret of the locks that `ask` creates.
pub(crate) const SECRET: &str = "a secret of a test";

pub(crate) fn options(dir: &Path) -> ServerOptions {
    Server::options(dir).bind("127.0.0.1:0".parse().unwrap()).api_key(KEY)
}

pub(crate) fn serve(dir: &Path) -> Server {
    options(dir).start().unwrap()
}

pub(crate) fn client_options(address: SocketAddr) -> ClientOptions {
    Client::options(format!("http://{address}"), KEY).retries(4, Duration::from_millis(50), 2.0)
}

pub(crate) fn client(server: &Server) -> Client {
    client_options(server.address()).build().unwrap()
}

/// An unparsed answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) text: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts that this is an error with this status, given twice, and with a reason.
    #[track_caller]
    pub(crate) fn assert_refusal(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        let body = self.json();
        assert_eq!(body["status"], status);
        assert!(!body["message"].as_str().unwrap().is_empty(), "{body}");
        assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
    }
}

/// One request on a connection of its own, without any client's help.
pub(crate) fn ask(server: SocketAddr, method: &str, path: &str, body: &str) -> Answer {
    ask_as(SECRET, server, method, path, body)
}

/// The same with the secret of another client.
pub(crate) fn ask_as(
    secret: &str,
    server: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> Answer {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nX-api-Key: {KEY}\r\nX-Lock-Secret: {secret}\r\n\
         Connection: close\r\n"
    );
    raw(server, format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
}

/// Sends bytes and reads the answer until the server closes.
pub(crate) fn raw(server: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let _ = stream.write_all(request); // it may be refused before it is read entirely
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes); // ... with a reset
    let answer = String::from_utf8_lossy(&bytes);
    let (head, text) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_lowercase(), text: text.to_owned() }
}

/// A client that only listens on the WebSocket.
pub(crate) struct Listener(WebSocket<TcpStream>);

impl Listener {
    pub(crate) fn connect(server: SocketAddr) -> Listener {
        let mut request = format!("ws://{server}/ws/broadcast").into_client_request().unwrap();
        request.headers_mut().insert("x-api-key", KEY.parse().unwrap());
        let stream = TcpStream::connect(server).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Listener(tungstenite::client(request, stream).unwrap().0)
    }

    /// The name and id of the lock that is reported next.
    #[track_caller]
    pub(crate) fn deleted(&mut self) -> (String, String) {
        loop {
            if let Message::Text(text) = self.0.read().unwrap() {
                let news: Value = serde_json::from_str(&text).unwrap();
                let [lock] = news["deleted"].as_array().unwrap().as_slice() else {
                    panic!("one at a time: {news}")
                };
                let text = |field: &str| lock[field].as_str().unwrap().to_owned();
                return (text("lock_name"), text("id"));
            }
        }
    }
}
