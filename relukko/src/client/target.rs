//! What a waiter listens to, and when it connects again.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use serde::Deserialize;
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::Request;
use tungstenite::protocol::WebSocketConfig;

use super::contest::random;
use super::http::Http;
use super::options::Pings;

/// The pauses before it is connected again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long connecting may take, each step of it.
pub(super) const CONNECT: Duration = Duration::from_secs(10);
const LARGEST_MESSAGE: usize = 64 * 1024 * 1024;

/// Where to listen, and for what.
pub(super) struct Target {
    pub(super) url: String,
    pub(super) request: Request,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) lock_name: String,
    pub(super) pings: Pings,
}

/// `{"deleted": [...]}`, of which only the names matter here, or that something was missed.
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

impl Target {
    pub(super) fn new(
        http: &Http,
        lock_name: &str,
        pings: Pings,
    ) -> Result<Target, tungstenite::Error> {
        let url = http.url("/ws/broadcast");
        let url = format!("ws{}", url.strip_prefix("http").unwrap_or(&url)); // https: wss
        let mut request = url.as_str().into_client_request()?;
        request.headers_mut().extend(http.headers.iter().cloned());
        let uri = request.uri();
        let is_tls = uri.scheme_str() == Some("wss");
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let tls = is_tls.then(|| http.tls.websocket.clone());
        Ok(Target { url, request, host, port, tls, lock_name: lock_name.to_owned(), pings })
    }

    pub(super) fn config() -> WebSocketConfig {
        WebSocketConfig::default()
            .max_message_size(Some(LARGEST_MESSAGE))
            .max_frame_size(Some(LARGEST_MESSAGE))
    }

    /// What can't be read may have been about our lock.
    pub(super) fn concerns_us(&self, text: &str) -> bool {
        serde_json::from_str::<News>(text).map_or(true, |news| {
            news.missed.is_some() || news.deleted.iter().any(|it| it.lock_name == self.lock_name)
        })
    }
}

/// The pauses between connections, longer each time.
pub(super) struct Pauses(Duration);

impl Pauses {
    pub(super) fn new() -> Pauses {
        Pauses(FIRST_PAUSE)
    }

    /// The pause after a connection that was up, or tried, for so long.
    pub(super) fn after(&mut self, up: Duration) -> Duration {
        if up > LONGEST_PAUSE {
            self.0 = FIRST_PAUSE;
        }
        let pause = self.0.mul_f64(0.5 + random());
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
        pause
    }
}
