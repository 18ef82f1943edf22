//! The WebSocket on which the server tells of locks that have ended: connected again whenever it
//! breaks, with pauses, until it is dropped. A thread does so.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use tungstenite::{Message, WebSocket};

use super::http::Http;
use super::options::Pings;
use super::target::{CONNECT, Pauses, Target};

pub(super) struct Listener {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// How often there was a reason to ask for the lock again.
    heard: u64,
    is_connected: bool,
    is_dropped: bool,
    /// To be shut down, so that a read ends.
    stream: Option<TcpStream>,
}

impl Listener {
    pub(super) fn start(http: &Http, lock_name: &str, pings: Pings) -> io::Result<Listener> {
        let target = Target::new(http, lock_name, pings).map_err(io::Error::other)?;
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let thread = thread::Builder::new().name("relukko-listener".into());
        let own = shared.clone();
        thread.spawn(move || own.run(&target))?;
        Ok(Listener { shared })
    }

    pub(super) fn heard(&self) -> u64 {
        self.shared.lock().heard
    }

    pub(super) fn is_connected(&self) -> bool {
        self.shared.lock().is_connected
    }

    /// Waits until more was heard than that, and says whether it was.
    pub(super) fn wait(&self, heard: u64, at_most: Duration) -> bool {
        let state = self.shared.lock();
        let silent = |state: &mut State| state.heard <= heard;
        let waited = self.shared.changed.wait_timeout_while(state, at_most, silent);
        waited.unwrap_or_else(PoisonError::into_inner).0.heard > heard
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_dropped = true;
        if let Some(stream) = &state.stream {
            let _ = stream.shutdown(Shutdown::Both); // or it is shut already
        }
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, target: &Target) {
        let mut pauses = Pauses::new();
        loop {
            let begun = Instant::now();
            // Why it broke does not matter: the waiter polls meanwhile.
            let _ = self.listen(target);
            let mut state = self.lock();
            state.is_connected = false;
            state.stream = None;
            let pause = pauses.after(begun.elapsed());
            let there = |state: &mut State| !state.is_dropped;
            let waited = self.changed.wait_timeout_while(state, pause, there);
            if waited.unwrap_or_else(PoisonError::into_inner).0.is_dropped {
                return;
            }
        }
    }

    /// Connects and listens until the connection breaks.
    fn listen(&self, target: &Target) -> Result<(), Broken> {
        let stream = target.connect()?;
        {
            let mut state = self.lock();
            if state.is_dropped {
                return Ok(());
            }
            state.stream = Some(stream.try_clone()?);
        }
        let mut socket = target.shake_hands(stream)?;
        self.wake(Some(true)); // what was told before that was not heard
        let mut pinged = false;
        loop {
            let patience = if pinged { target.pings.timeout } else { target.pings.interval };
            socket
                .get_ref()
                .stream()
                .set_read_timeout(Some(patience.max(Duration::from_millis(1))))?;
            match socket.read() {
                Ok(Message::Text(text)) => {
                    pinged = false;
                    if target.concerns_us(&text) {
                        self.wake(None);
                    }
                }
                Ok(Message::Close(_)) => return Ok(()),
                Ok(_) => pinged = false,
                Err(tungstenite::Error::Io(error)) if is_timeout(&error) => {
                    if pinged {
                        return Err(error.into());
                    }
                    socket.send(Message::Ping(tungstenite::Bytes::new()))?;
                    pinged = true;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn wake(&self, connected: Option<bool>) {
        let mut state = self.lock();
        state.heard += 1;
        state.is_connected = connected.unwrap_or(state.is_connected);
        self.changed.notify_all();
    }
}

impl Target {
    /// To whichever of the host's addresses answers first.
    fn connect(&self) -> io::Result<TcpStream> {
        let mut failed = io::Error::other(format!("{} has no address", self.url));
        for address in (self.host.as_str(), self.port).to_socket_addrs()? {
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

    fn shake_hands(&self, stream: TcpStream) -> Result<WebSocket<Stream>, Broken> {
        let stream = match &self.tls {
            None => Stream::Plain(stream),
            Some(config) => {
                let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
                let connection =
                    ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
                Stream::Tls(Box::new(StreamOwned::new(connection, stream)))
            }
        };
        let (request, config) = (self.request.clone(), Some(Target::config()));
        match tungstenite::client::client_with_config(request, stream, config) {
            Ok((socket, _)) => Ok(socket),
            Err(tungstenite::HandshakeError::Failure(error)) => Err(error.into()),
            Err(tungstenite::HandshakeError::Interrupted(_)) => {
                Err(io::Error::from(io::ErrorKind::TimedOut).into())
            }
        }
    }
}

/// Why there is nothing to be heard.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    WebSocket(Box<tungstenite::Error>),
}

impl From<tungstenite::Error> for Broken {
    fn from(error: tungstenite::Error) -> Broken {
        Broken::WebSocket(Box::new(error))
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
