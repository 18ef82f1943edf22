//! Requests, one at a time.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::{HeaderName, HeaderValue};
use ureq::{Agent, Proxy};

use super::error::ClientError;
use super::request::Request;
use super::tls::Tls;

/// A list of a million locks.
pub(super) const LARGEST_ANSWER: u64 = 512 * 1024 * 1024;
/// A connection that rested for longer may have been closed at the other end.
pub(super) const REST: Duration = Duration::from_secs(5);

pub(super) const USER_AGENT: &str = concat!("linklock-relukko/", env!("CARGO_PKG_VERSION"));

/// How to get at the server.
#[derive(Debug)]
pub(super) struct Http {
    base: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    agent: Agent,
    pub(super) tls: Tls,
    /// Its URL.
    pub(super) proxy: Option<String>,
}

/// What a server says no with.
#[derive(Debug, Deserialize)]
struct Refusal {
    message: String,
}

impl Http {
    pub(super) fn new(
        base: String,
        headers: Vec<(HeaderName, HeaderValue)>,
        tls: Tls,
        proxy: Option<Proxy>,
    ) -> Http {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_age(REST)
            .user_agent(USER_AGENT)
            .tls_config(tls.http.clone());
        let url = proxy.as_ref().map(|proxy| proxy.uri().to_string());
        let agent = config.proxy(proxy).build().new_agent();
        Http { base, headers, agent, tls, proxy: url }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Asks once. 409 is [`ClientError::Refused`] like any other no; what it means is for the
    /// caller to say.
    pub(super) fn ask<T: DeserializeOwned>(
        &self,
        request: &Request,
        limit: Duration,
    ) -> Result<T, ClientError> {
        let url = self.url(&request.path);
        let mut head = ureq::http::Request::builder().method(&request.method).uri(&url);
        for (name, value) in &self.headers {
            head = head.header(name, value);
        }
        let text = request.body.as_ref().map(Value::to_string).unwrap_or_default();
        if request.body.is_some() {
            head = head.header("content-type", "application/json");
        }
        let request =
            head.body(text).map_err(|error| ClientError::Invalid { reason: error.to_string() })?;
        let limit = limit.max(Duration::from_millis(1)); // nought would be for ever
        let request = self.agent.configure_request(request).timeout_global(Some(limit)).build();
        let mut answer = self.agent.run(request).map_err(|error| fault(&url, &error))?;
        let status = answer.status().as_u16();
        let read = answer.body_mut().with_config().limit(LARGEST_ANSWER).read_to_vec();
        let text = read.map_err(|error| fault(&url, &error))?;
        read_answer(url, status, &text)
    }
}

/// What an answer says.
pub(super) fn read_answer<T: DeserializeOwned>(
    url: String,
    status: u16,
    text: &[u8],
) -> Result<T, ClientError> {
    match status {
        200..=299 => serde_json::from_slice(text).map_err(|error| ClientError::NotRelukko {
            url,
            reason: format!("{status}, but {error}"),
        }),
        _ => Err(refusal(status, text, url)),
    }
}

fn refusal(status: u16, text: &[u8], url: String) -> ClientError {
    let message = match serde_json::from_slice::<Refusal>(text) {
        Ok(refusal) => refusal.message,
        Err(_) => String::from_utf8_lossy(text).chars().take(200).collect(),
    };
    match status {
        403 => ClientError::Denied { message },
        400..=499 => ClientError::Refused { status, message },
        500..=599 => ClientError::Unavailable { status, message },
        _ => ClientError::NotRelukko { url, reason: format!("{status}: {message}") },
    }
}

/// Whether the request may have reached the server is what matters.
fn fault(url: &str, error: &ureq::Error) -> ClientError {
    let (url, reason) = (url.to_owned(), error.to_string());
    let refused = |error: &std::io::Error| {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        error.kind() == std::io::ErrorKind::ConnectionRefused
            || matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
    };
    match error {
        ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::ConnectProxyFailed(_)
        | ureq::Error::Rustls(_)
        | ureq::Error::Tls(_)
        | ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => {
            ClientError::Unreachable { url, reason }
        }
        ureq::Error::Io(error) if refused(error) => ClientError::Unreachable { url, reason },
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => ClientError::Invalid { reason },
        ureq::Error::BodyExceedsLimit(_) => ClientError::NotRelukko { url, reason },
        _ => ClientError::NoAnswer { url, reason },
    }
}
