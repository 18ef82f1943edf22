//! One HTTP connection that is kept open, with a minimal client: the server is measured.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(crate) const KEY: &str = "load";
/// Of all locks.
const SECRET: &str = "a secret of the load";

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) fn open(server: SocketAddr) -> Connection {
        let stream = TcpStream::connect(server).expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket can do so");
        stream.set_read_timeout(Some(PATIENCE)).expect("a TCP socket can do so");
        Connection { stream: BufReader::with_capacity(1024, stream) }
    }

    /// The answer's status and body.
    pub(crate) fn ask(&mut self, method: &str, path: &str, body: &str) -> (u16, String) {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nX-api-Key: {KEY}\r\nX-Lock-Secret: {SECRET}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.stream.get_mut().write_all(request.as_bytes()).expect("the server reads");
        let (status, length) = self.head();
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("the server answers in full");
        (status, String::from_utf8(body).expect("JSON is UTF-8"))
    }

    /// Makes a WebSocket of the connection.
    pub(crate) fn upgrade(mut self) -> WebSocket {
        let request = format!(
            "GET /ws/broadcast HTTP/1.1\r\nHost: x\r\nX-api-Key: {KEY}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        self.stream.get_mut().write_all(request.as_bytes()).expect("the server reads");
        assert_eq!(self.head().0, 101, "a WebSocket was refused");
        WebSocket { stream: self.stream.into_inner() }
    }

    fn head(&mut self) -> (u16, usize) {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("the server answers");
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status in {line:?}"));
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line).expect("the server answers in full");
            match line.trim_end().split_once(':') {
                None => return (status, length),
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().expect("a length");
                }
                Some(_) => {}
            }
        }
    }
}

/// A WebSocket that only listens.
pub(crate) struct WebSocket {
    stream: TcpStream,
}

impl WebSocket {
    /// The next text, of the short ones that are sent here. Pings are skipped.
    pub(crate) fn text(&mut self) -> String {
        loop {
            let mut head = [0; 2];
            self.stream.read_exact(&mut head).expect("a WebSocket was closed");
            let length = match head[1] {
                126 => {
                    let mut length = [0; 2];
                    self.stream.read_exact(&mut length).expect("a frame's length");
                    u16::from_be_bytes(length).into()
                }
                short => usize::from(short),
            };
            let mut body = vec![0; length];
            self.stream.read_exact(&mut body).expect("a frame's content");
            match head[0] {
                0x81 => return String::from_utf8(body).expect("text is UTF-8"),
                0x89 => {}
                other => panic!("a frame that begins with {other:#x}"),
            }
        }
    }
}
