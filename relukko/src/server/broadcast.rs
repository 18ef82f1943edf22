//! The WebSocket that reports every deletion.

use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::connections::stopped;
use super::error_response::ErrorResponse;
use super::metrics::Present;
use super::shared::Shared;

/// How often a listener is pinged.
const PING: Duration = Duration::from_secs(30);
/// Listeners have nothing to send.
const LARGEST_MESSAGE: usize = 4096;

pub(crate) async fn upgrade(State(shared): State<Shared>, upgrade: WebSocketUpgrade) -> Response {
    let Ok(place) = shared.websockets.clone().try_acquire_owned() else {
        let message = "the maximum number of WebSockets is open";
        return ErrorResponse::new(StatusCode::SERVICE_UNAVAILABLE, message).into_response();
    };
    let news = shared.registry.listen(); // before the handshake is answered, so that the client misses nothing after it
    upgrade
        .protocols(["relukko"])
        .max_message_size(LARGEST_MESSAGE)
        .read_buffer_size(LARGEST_MESSAGE)
        .write_buffer_size(0)
        .max_write_buffer_size(1024 * 1024)
        .on_upgrade(move |socket| serve(shared, socket, news, place))
}

/// Reports deletions until the listener leaves, falls silent or cannot keep up.
async fn serve(
    shared: Shared,
    mut socket: WebSocket,
    mut news: Receiver<Utf8Bytes>,
    _place: OwnedSemaphorePermit,
) {
    let _present = Present::in_(&shared.registry.metrics.websockets);
    let mut stopping = shared.stopping.clone();
    let mut pings = interval_at(Instant::now() + PING, PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut answered = true;
    loop {
        let message = tokio::select! {
            received = news.recv() => match received {
                Ok(text) => Message::Text(text),
                // The missed messages are lost, so report that some were missed.
                Err(RecvError::Lagged(missed)) => {
                    Message::Text(json!({ "deleted": [], "missed": missed }).to_string().into())
                }
                Err(RecvError::Closed) => return,
            },
            heard = socket.recv() => match heard {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {
                    answered = true;
                    continue;
                }
            },
            _ = pings.tick() => {
                if !answered {
                    return;
                }
                answered = false;
                Message::Ping(axum::body::Bytes::new())
            }
            () = stopped(&mut stopping) => {
                let frame = CloseFrame { code: close_code::AWAY, reason: "the server is stopping".into() };
                let _ = timeout(shared.options.client_timeout, socket.send(Message::Close(Some(frame)))).await;
                return;
            }
        };
        match timeout(shared.options.client_timeout, socket.send(message)).await {
            Ok(Ok(())) => {}
            _ => return,
        }
    }
}
