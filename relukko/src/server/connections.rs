//! Connections: their number, their time limits, and how they end.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::{Request, Uri};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Sleep, sleep, timeout};
use tower::ServiceExt;

use super::metrics::Present;
use super::shared::Shared;

const LARGEST_HEAD: usize = 32 * 1024;
const MOST_HEADERS: usize = 64;
/// How long requests in progress may take once the server is stopping.
const FAREWELL: Duration = Duration::from_secs(10);

/// Serves until the server stops, and then until requests in progress are done.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    shared: Shared,
    (most, max_websockets): (usize, usize),
) {
    let places = Arc::new(Semaphore::new(most));
    let mut stopping = shared.stopping.clone();
    loop {
        // When all places are taken, a client waits in the listener's queue; an idle client cannot
        // keep its place for long.
        let next = async {
            let place =
                places.clone().acquire_owned().await.expect("the semaphore is never closed");
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            () = stopped(&mut stopping) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(100)).await; // most likely out of file descriptors
                continue;
            }
        };
        let tls = shared.tls.as_ref();
        let tls = tls.map(|tls| tls.read().unwrap_or_else(PoisonError::into_inner).clone());
        let (router, stop) = (router.clone(), shared.stopping.clone());
        let (client_timeout, present) =
            (shared.options.client_timeout, Present::in_(&shared.registry.metrics.connections));
        tokio::spawn(async move {
            let _here = (place, present);
            let _ = stream.set_nodelay(true);
            let stream = Impatient::new(stream, client_timeout);
            match tls {
                None => talk(stream, peer, router, stop, client_timeout).await,
                Some(tls) => match timeout(client_timeout, tls.accept(stream)).await {
                    Ok(Ok(stream)) => talk(stream, peer, router, stop, client_timeout).await,
                    Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS"),
                    Err(_) => tracing::debug!(%peer, "no TLS handshake in time"),
                },
            }
        });
    }
    drop(listener);
    let all_gone = async {
        let _ = places.acquire_many(whole(most)).await;
        let _ = shared.websockets.acquire_many(whole(max_websockets)).await;
    };
    if timeout(FAREWELL, all_gone).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    peer: SocketAddr,
    router: Router,
    mut stop: watch::Receiver<bool>,
    client_timeout: Duration,
) {
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        without_slash(request.uri_mut());
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(client_timeout) // also limits how long a connection may be idle
        .max_buf_size(LARGEST_HEAD)
        .max_headers(MOST_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection ended early");
    }
}

/// Waits until the server is stopping.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await; // or the server is already gone
}

fn whole(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Treats `/v1/locks/` as `/v1/locks`, without a redirect, which not every client follows with a
/// body.
fn without_slash(uri: &mut Uri) {
    let path = uri.path().trim_end_matches('/');
    if path.len() == uri.path().len() || path.is_empty() {
        return;
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    if let Ok(trimmed) = format!("{path}{query}").parse() {
        *uri = trimmed;
    }
}

/// A stream whose peer must not take too long to read its responses.
struct Impatient {
    stream: TcpStream,
    client_timeout: Duration,
    /// Set while a write is pending.
    late: Option<Pin<Box<Sleep>>>,
}

impl Impatient {
    fn new(stream: TcpStream, client_timeout: Duration) -> Impatient {
        Impatient { stream, client_timeout, late: None }
    }

    fn limit<T>(
        &mut self,
        polled: Poll<std::io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<std::io::Result<T>> {
        if polled.is_ready() {
            self.late = None;
            return polled;
        }
        let client_timeout = self.client_timeout;
        let late = self.late.get_or_insert_with(|| Box::pin(sleep(client_timeout)));
        late.as_mut().poll(cx).map(|()| Err(std::io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Impatient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.limit(written, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.limit(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.limit(shut, cx)
    }
}
