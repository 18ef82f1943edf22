//! A waiter's subscription on the WebSocket, and when it reconnects.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use serde::Deserialize;
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::Request;
use tungstenite::protocol::WebSocketConfig;

use super::endpoint::Endpoint;

/// The pauses before reconnecting.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long each step of connecting may take.
pub(super) const CONNECT: Duration = Duration::from_secs(10);
const LARGEST_MESSAGE: usize = 64 * 1024 * 1024;

/// How to detect a dead WebSocket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pings {
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
}

/// Where to listen, and for which lock.
pub(super) struct Subscription {
    pub(super) url: String,
    pub(super) request: Request,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) pings: Pings,
    lock_name: String,
}

/// `{"deleted": [...]}`, of which only the names matter here, or a note that messages were missed.
#[derive(Deserialize)]
struct News {
    #[serde(default)]
    deleted: Vec<Deleted>,
    missed: Option<u64>,
}

#[derive(Deserialize)]
struct Deleted {
    lock_name: String,
}

impl Subscription {
    /// `None` if the server cannot be reached by a WebSocket.
    pub(super) fn new(endpoint: &Endpoint, lock_name: &str, pings: Pings) -> Option<Subscription> {
        if endpoint.proxy.is_some() {
            return None;
        }
        let url = endpoint.url("/ws/broadcast");
        let url = format!("ws{}", url.strip_prefix("http").unwrap_or(&url)); // https becomes wss
        let mut request = url.as_str().into_client_request().ok()?;
        request.headers_mut().extend(endpoint.headers.iter().cloned());
        let uri = request.uri();
        let is_tls = uri.scheme_str() == Some("wss");
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let tls = is_tls.then(|| endpoint.tls.rustls.clone());
        Some(Subscription { url, request, host, port, tls, pings, lock_name: lock_name.to_owned() })
    }

    pub(super) fn config() -> WebSocketConfig {
        WebSocketConfig::default()
            .max_message_size(Some(LARGEST_MESSAGE))
            .max_frame_size(Some(LARGEST_MESSAGE))
    }

    /// Whether a message concerns the lock. An unreadable message may.
    pub(super) fn concerns(&self, text: &str) -> bool {
        serde_json::from_str::<News>(text).map_or(true, |news| {
            news.missed.is_some() || news.deleted.iter().any(|it| it.lock_name == self.lock_name)
        })
    }
}

/// The pauses between connections, growing each time.
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) fn new() -> Backoff {
        Backoff(FIRST_PAUSE)
    }

    /// The pause after a connection that was up, or being tried, for this long.
    pub(super) fn after(&mut self, up: Duration) -> Duration {
        if up > LONGEST_PAUSE {
            self.0 = FIRST_PAUSE;
        }
        let pause = self.0.mul_f64(0.5 + random());
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
        pause
    }
}

/// A random number from 0 to 1.
pub(super) fn random() -> f64 {
    let (bits, _, _, _) = uuid::Uuid::new_v4().as_fields(); // all 32 of these bits are random
    f64::from(bits) / f64::from(u32::MAX)
}
