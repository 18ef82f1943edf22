//! A server that follows a test's script, mostly with faults.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

/// A request, as the script sees it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: Value,
    pub(crate) websocket_key: Option<String>,
    /// Of the lock's holder.
    pub(crate) secret: Option<String>,
}

/// How to answer it.
pub(crate) enum Reply {
    /// Sends an answer.
    Json(u16, Value),
    /// Hangs up without an answer.
    HangUp,
    /// Never answers, and keeps the connection.
    Silence,
    /// Leaves the connection to the test.
    Custom(Box<dyn FnOnce(TcpStream) + Send>),
}

type Script = dyn Fn(&Request) -> Reply + Send + Sync;

pub(crate) struct Scripted {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Request>>>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Scripted {
    pub(crate) fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let script: Arc<Script> = Arc::new(script);
        let (asked, streams, stopped) = (Arc::default(), Arc::default(), Arc::default());
        let mut scripted = Scripted { address, asked, streams, stopped, thread: None };
        let (asked, streams) = (scripted.asked.clone(), scripted.streams.clone());
        let stopped = scripted.stopped.clone();
        scripted.thread = Some(thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                streams.lock().unwrap().push(stream.try_clone().unwrap());
                let (script, asked) = (script.clone(), asked.clone());
                thread::spawn(move || serve(stream, &*script, &asked));
            }
        }));
        scripted
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests there were of this kind.
    pub(crate) fn count(&self, method: &str, path: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|it| it.method == method && it.path.starts_with(path)).count()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address); // so that it checks the flag
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let _ = self.thread.take().unwrap().join();
    }
}

fn serve(stream: TcpStream, script: &Script, asked: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(request) = read(&mut reader) {
        asked.lock().unwrap().push(request.clone());
        match script(&request) {
            Reply::Json(status, body) => {
                let (body, mut stream) = (body.to_string(), &stream);
                let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
                if stream.write_all((head + &body).as_bytes()).is_err() {
                    return;
                }
            }
            Reply::HangUp => {
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
            Reply::Silence => {
                let _ = reader.read_to_end(&mut Vec::new());
                return;
            }
            Reply::Custom(act) => return act(stream),
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut length, mut websocket_key, mut secret) = (0, None, None);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        match name.to_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "x-lock-secret" => secret = Some(value.trim().to_owned()),
            "sec-websocket-key" => websocket_key = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Some(Request { method, path, body, websocket_key, secret })
}

/// A lock as a server describes it.
pub(crate) fn lock(lock_name: &str, creator: &Value) -> Value {
    json!({
        "id": "950daa20-a814-451e-9407-ec496cf9c136",
        "lock_name": lock_name,
        "creator": creator,
        "ip": "127.0.0.1",
        "expires_at": "2024-10-31T20:14:43.9313Z",
        "created_at": "2024-10-31T20:04:43.9313Z",
        "updated_at": "2024-10-31T20:04:43.9313Z",
    })
}

pub(crate) fn refusal(status: u16) -> Reply {
    Reply::Json(status, json!({ "status": status, "message": "as the script has it" }))
}

/// A server that creates one lock and hangs up instead of answering, and this lock while it exists.
pub(crate) fn losing_the_first_answer() -> (Scripted, Arc<Mutex<Option<Value>>>) {
    let created: Arc<Mutex<Option<Value>>> = Arc::default();
    let server = Scripted::start({
        let created = created.clone();
        move |request| match (request.method.as_str(), &mut *created.lock().unwrap()) {
            ("POST", created @ None) => {
                *created = Some(lock("x", &request.body["creator"]));
                Reply::HangUp
            }
            ("POST", Some(_)) => refusal(409),
            ("GET", Some(own)) => Reply::Json(200, json!([lock("y", &Value::Null), own])),
            ("DELETE", created) => Reply::Json(200, created.take().unwrap()),
            _ => refusal(404),
        }
    });
    (server, created)
}

/// The server's half of a WebSocket's handshake.
pub(crate) fn shake_hands(stream: &mut TcpStream, key: &str) {
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    let head =
        "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
    let _ = stream.write_all(format!("{head}{accept}\r\n\r\n").as_bytes()); // unless it has left
}

pub(crate) fn is_websocket(request: &Request) -> bool {
    request.path == "/ws/broadcast"
}

/// A WebSocket that is connected, and on which nothing is ever sent.
pub(crate) fn silent_websocket(request: &Request) -> Reply {
    let key = request.websocket_key.clone().unwrap();
    Reply::Custom(Box::new(move |mut stream| {
        shake_hands(&mut stream, &key);
        let _ = stream.read_to_end(&mut Vec::new());
    }))
}
