//! A WebSocket whose reads block the thread.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use tungstenite::{Bytes, Message, WebSocket};

use crate::client::subscription::{CONNECT, Subscription};
use crate::client::transport::{Line, Socket, SocketError};

pub(in crate::client) struct BlockingSocket(WebSocket<Stream>);

impl Socket for BlockingSocket {
    async fn next(&mut self, limit: Duration) -> Result<Option<Message>, SocketError> {
        let limit = limit.max(Duration::from_millis(1)); // zero is an error
        self.0.get_ref().stream().set_read_timeout(Some(limit))?;
        match self.0.read() {
            Ok(message) => Ok(Some(message)),
            Err(tungstenite::Error::Io(error)) if is_timeout(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn ping(&mut self) -> Result<(), SocketError> {
        Ok(self.0.send(Message::Ping(Bytes::new()))?)
    }
}

pub(super) fn connect(to: &Subscription, line: &Line) -> Result<BlockingSocket, SocketError> {
    let stream = reach(to)?;
    let end = stream.try_clone()?;
    line.lead_through(Box::new(move || {
        let _ = end.shutdown(Shutdown::Both); // or it is shut down already
    }));
    shake_hands(to, stream).map(BlockingSocket)
}

/// Connects to the first of the host's addresses that accepts.
fn reach(to: &Subscription) -> io::Result<TcpStream> {
    let mut failed = io::Error::other(format!("{} has no address", to.url));
    for address in (to.host.as_str(), to.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => {
                stream.set_read_timeout(Some(CONNECT))?;
                stream.set_write_timeout(Some(CONNECT))?;
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn shake_hands(to: &Subscription, stream: TcpStream) -> Result<WebSocket<Stream>, SocketError> {
    let stream = match &to.tls {
        None => Stream::Plain(stream),
        Some(config) => {
            let name = ServerName::try_from(to.host.clone()).map_err(io::Error::other)?;
            let connection =
                ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
            Stream::Tls(Box::new(StreamOwned::new(connection, stream)))
        }
    };
    let (request, config) = (to.request.clone(), Some(Subscription::config()));
    match tungstenite::client::client_with_config(request, stream, config) {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::HandshakeError::Failure(error)) => Err(error.into()),
        Err(tungstenite::HandshakeError::Interrupted(_)) => {
            Err(io::Error::from(io::ErrorKind::TimedOut).into())
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    fn stream(&self) -> &TcpStream {
        match self {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => stream.get_ref(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read(buf),
            Stream::Tls(stream) => stream.read(buf),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.write(buf),
            Stream::Tls(stream) => stream.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}
