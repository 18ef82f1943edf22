//! Clients that are slow, silent, many, or ask for too much do not delay others.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use common::{KEY, LIMIT, ask, client, options, raw, serve, wait_until};
use tempfile::tempdir;

const SHORT: Duration = Duration::from_secs(1);

fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// The server's output until it hangs up.
fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes); // a reset is an end, too
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is_healthy(server: SocketAddr) -> bool {
    ask(server, "GET", "/healthchecker", "").status == 200
}

#[test]
fn a_client_that_dribbles_is_hung_up_on() {
    let dir = tempdir().unwrap();
    let server = options(dir.path()).client_timeout(SHORT).max_connections(8).start().unwrap();
    let address = server.address();
    // As many connections as allowed, each with a part of a head, and more of it now and then.
    let mut slow: Vec<_> = (0..8).map(|_| connect(address)).collect();
    for stream in &mut slow {
        stream.write_all(b"GET /v1/locks HTTP/1.1\r\nHost: x\r\n").unwrap();
    }
    let begun = Instant::now();
    let dribble = std::thread::spawn(move || {
        while begun.elapsed() < 3 * SHORT {
            std::thread::sleep(SHORT / 5);
            for stream in &mut slow {
                let _ = stream.write_all(b"X: y\r\n"); // the server may have hung up
            }
        }
        slow.iter_mut().map(rest).collect::<Vec<_>>()
    });
    assert!(is_healthy(address), "another client is served in the end");
    assert!(begun.elapsed() < 20 * SHORT, "{:?}", begun.elapsed());
    assert!(dribble.join().unwrap().iter().all(|answer| !answer.contains(" 200 ")));
}

#[test]
fn a_body_must_be_timely_and_of_reasonable_size() {
    let dir = tempdir().unwrap();
    let server = options(dir.path()).client_timeout(SHORT).start().unwrap();
    let address = server.address();
    let mut slow = connect(address);
    let head = format!("POST /v1/locks HTTP/1.1\r\nHost: x\r\nX-api-Key: {KEY}\r\n");
    slow.write_all(format!("{head}Content-Length: 100\r\n\r\n{{\"lock").as_bytes()).unwrap();
    let answer = rest(&mut slow);
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("\"status\":408"), "{answer}");

    let large = "x".repeat(200 * 1024);
    ask(address, "POST", "/v1/locks", &large).assert_refusal(413);
    // Also without its length.
    let chunk = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    let chunked = format!("{head}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}");
    raw(address, chunked.as_bytes()).assert_refusal(413);
    let many = "X: y\r\n".repeat(200);
    let answer = raw(address, format!("{head}{many}\r\n").as_bytes());
    assert_eq!(answer.status, 431, "{answer:?}");
    let long = "y".repeat(100 * 1024);
    let answer = raw(address, format!("{head}X: {long}\r\n\r\n").as_bytes());
    assert!([0, 431].contains(&answer.status), "{answer:?}");
    assert!(is_healthy(address));
    assert!(client(&server).list().unwrap().is_empty());
}

#[test]
fn a_client_that_does_not_read_is_hung_up_on() {
    let dir = tempdir().unwrap();
    let server = options(dir.path()).client_timeout(SHORT).max_connections(1).start().unwrap();
    let address = server.address();
    let mut stream = connect(address);
    // Answers that exceed the system's buffers, one after the other.
    let request = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    let begun = Instant::now();
    while stream.write_all(request).is_ok() {
        assert!(begun.elapsed() < LIMIT, "it never hangs up");
    }
    assert!(is_healthy(address), "the only place is free again");
}

fn handshake(server: SocketAddr) -> TcpStream {
    let mut stream = connect(server);
    let head = "GET /ws/broadcast HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    stream.write_all(format!("{head}X-api-Key: {KEY}\r\n\r\n").as_bytes()).unwrap();
    stream
}

fn first_line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        line.push(byte[0]);
    }
    String::from_utf8_lossy(&line).lines().next().unwrap().to_owned()
}

#[test]
fn websockets_are_limited_and_silent_ones_delay_no_client() {
    let dir = tempdir().unwrap();
    let server = options(dir.path())
        .client_timeout(SHORT)
        .max_websockets(3)
        .max_connections(2)
        .start()
        .unwrap();
    let address = server.address();
    let mut silent: Vec<_> = (0..3).map(|_| handshake(address)).collect();
    for stream in &mut silent {
        assert!(first_line(stream).contains("101"));
    }
    let mut refused = handshake(address);
    assert!(first_line(&mut refused).contains("503"));
    // They never read, and the events exceed the system's buffers.
    let client = client(&server);
    for number in 0..300 {
        let name = format!("{number} {}", "x".repeat(15_000));
        client.try_lock(&name, None).unwrap().unlock().unwrap();
    }
    drop(silent);
    wait_until("there is a place again", || first_line(&mut handshake(address)).contains("101"));
}

#[test]
fn a_server_stops_though_clients_are_connected() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let address = server.address();
    let mut websocket = handshake(address);
    assert!(first_line(&mut websocket).contains("101"));
    let mut half = connect(address);
    half.write_all(b"GET /v1/locks HTTP/1.1\r\n").unwrap();
    let begun = Instant::now();
    server.stop();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let mut told = Vec::new();
    websocket.read_to_end(&mut told).unwrap();
    assert_eq!(told[..4], [0x88, told[1], 0x03, 0xE9], "a close frame that says 1001, going away");
    assert!(TcpStream::connect(address).is_err());
}
