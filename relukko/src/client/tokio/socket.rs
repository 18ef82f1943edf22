//! A WebSocket that does not block.

use std::io;
use std::time::Duration;

use ::tokio::io::{AsyncRead, AsyncWrite};
use ::tokio::net::TcpStream;
use ::tokio::time::timeout;
use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tungstenite::{Bytes, Message};

use crate::client::subscription::{CONNECT, Subscription};
use crate::client::transport::{Socket, SocketError};

trait Duplex: AsyncRead + AsyncWrite {}

impl<T: AsyncRead + AsyncWrite> Duplex for T {}

pub(in crate::client) struct TokioSocket(WebSocketStream<Box<dyn Duplex + Send + Unpin>>);

impl Socket for TokioSocket {
    async fn next(&mut self, limit: Duration) -> Result<Option<Message>, SocketError> {
        match timeout(limit, self.0.next()).await {
            Ok(Some(message)) => Ok(Some(message?)),
            Ok(None) => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Err(_) => Ok(None),
        }
    }

    async fn ping(&mut self) -> Result<(), SocketError> {
        let sent = timeout(CONNECT, self.0.send(Message::Ping(Bytes::new()))).await;
        Ok(sent.map_err(|_| late())??)
    }
}

pub(super) async fn connect(to: &Subscription) -> Result<TokioSocket, SocketError> {
    timeout(CONNECT, shake_hands(to)).await.map_err(|_| late())?
}

async fn shake_hands(to: &Subscription) -> Result<TokioSocket, SocketError> {
    let stream = TcpStream::connect((to.host.as_str(), to.port)).await?;
    stream.set_nodelay(true)?;
    let stream: Box<dyn Duplex + Send + Unpin> = match &to.tls {
        None => Box::new(stream),
        Some(config) => {
            let name = ServerName::try_from(to.host.clone()).map_err(io::Error::other)?;
            Box::new(TlsConnector::from(config.clone()).connect(name, stream).await?)
        }
    };
    let (request, config) = (to.request.clone(), Some(Subscription::config()));
    Ok(TokioSocket(client_async_with_config(request, stream, config).await?.0))
}

fn late() -> io::Error {
    io::ErrorKind::TimedOut.into()
}
