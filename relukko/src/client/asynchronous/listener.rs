//! The WebSocket on which the server tells of locks that have ended: connected again whenever it
//! breaks, with pauses, until it is dropped. A task does so.

use std::io;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tungstenite::{Bytes, Message};

use crate::client::http::Http;
use crate::client::options::Pings;
use crate::client::target::{CONNECT, Pauses, Target};

pub(super) struct Listener {
    task: JoinHandle<()>,
    state: watch::Receiver<State>,
}

#[derive(Default)]
struct State {
    /// How often there was a reason to ask for the lock again.
    heard: u64,
    is_connected: bool,
}

impl Listener {
    pub(super) fn start(http: &Http, lock_name: &str, pings: Pings) -> io::Result<Listener> {
        let target = Target::new(http, lock_name, pings).map_err(io::Error::other)?;
        let (tell, state) = watch::channel(State::default());
        Ok(Listener { task: tokio::spawn(run(target, tell)), state })
    }

    pub(super) fn heard(&self) -> u64 {
        self.state.borrow().heard
    }

    pub(super) fn is_connected(&self) -> bool {
        self.state.borrow().is_connected
    }

    /// Waits until more was heard than that, at most for that long.
    pub(super) async fn wait(&mut self, heard: u64, at_most: Duration) {
        let more = self.state.wait_for(|state| state.heard > heard);
        let is_gone = matches!(timeout(at_most, more).await, Ok(Err(_)));
        if is_gone {
            sleep(at_most).await; // the task has died: nothing but polling is left
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(target: Target, tell: watch::Sender<State>) {
    let mut pauses = Pauses::new();
    loop {
        let begun = Instant::now();
        // Why it broke does not matter: the waiter polls meanwhile.
        let _ = listen(&target, &tell).await;
        tell.send_modify(|state| state.is_connected = false);
        sleep(pauses.after(begun.elapsed())).await;
    }
}

/// Connects and listens until the connection breaks.
async fn listen(target: &Target, tell: &watch::Sender<State>) -> Result<(), tungstenite::Error> {
    let mut socket = timeout(CONNECT, connect(target)).await.map_err(late)??;
    // What was told before that was not heard.
    tell.send_modify(|state| *state = State { heard: state.heard + 1, is_connected: true });
    let mut pinged = false;
    loop {
        let patience = if pinged { target.pings.timeout } else { target.pings.interval };
        match timeout(patience, socket.next()).await {
            Ok(None | Some(Ok(Message::Close(_)))) => return Ok(()),
            Ok(Some(Err(error))) => return Err(error),
            Ok(Some(Ok(message))) => {
                pinged = false;
                if matches!(&message, Message::Text(text) if target.concerns_us(text)) {
                    tell.send_modify(|state| state.heard += 1);
                }
            }
            Err(silent) if pinged => return Err(late(silent)),
            Err(_) => {
                let ping = socket.send(Message::Ping(Bytes::new()));
                timeout(CONNECT, ping).await.map_err(late)??;
                pinged = true;
            }
        }
    }
}

fn late(_: tokio::time::error::Elapsed) -> tungstenite::Error {
    io::Error::from(io::ErrorKind::TimedOut).into()
}

trait Duplex: AsyncRead + AsyncWrite {}

impl<T: AsyncRead + AsyncWrite> Duplex for T {}

type Socket = WebSocketStream<Box<dyn Duplex + Send + Unpin>>;

async fn connect(target: &Target) -> Result<Socket, tungstenite::Error> {
    let stream = TcpStream::connect((target.host.as_str(), target.port)).await?;
    stream.set_nodelay(true)?;
    let stream: Box<dyn Duplex + Send + Unpin> = match &target.tls {
        None => Box::new(stream),
        Some(config) => {
            let name = ServerName::try_from(target.host.clone()).map_err(io::Error::other)?;
            Box::new(TlsConnector::from(config.clone()).connect(name, stream).await?)
        }
    };
    let (request, config) = (target.request.clone(), Some(Target::config()));
    Ok(client_async_with_config(request, stream, config).await?.0)
}
