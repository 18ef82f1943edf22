//! Requests that block the thread, and threads for background work.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

use super::socket::{self, BlockingSocket};
use super::wake::{Count, run};
use crate::client::endpoint::{Endpoint, LONGEST_IDLE, USER_AGENT};
use crate::client::error::ClientError;
use crate::client::request::Request;
use crate::client::response::{self, Response};
use crate::client::subscription::Subscription;
use crate::client::transport::{Line, SocketError, Transport};
use crate::secret;

#[derive(Clone)]
pub(in crate::client) struct Blocking(Arc<Inner>);

struct Inner {
    endpoint: Endpoint,
    agent: Agent,
}

impl Blocking {
    pub(super) fn new(endpoint: Endpoint) -> Blocking {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_age(LONGEST_IDLE)
            .user_agent(USER_AGENT)
            .tls_config(endpoint.tls.ureq.clone())
            .proxy(endpoint.proxy.clone());
        let agent = config.build().new_agent();
        Blocking(Arc::new(Inner { endpoint, agent }))
    }

    fn exchange(&self, request: &Request, limit: Duration) -> Result<Response, ClientError> {
        let Inner { endpoint, agent } = &*self.0;
        let url = endpoint.url(&request.path);
        let mut head = ureq::http::Request::builder().method(&request.method).uri(&url);
        for (name, value) in &endpoint.headers {
            head = head.header(name, value);
        }
        if let Some(secret) = &request.secret {
            head = head.header(secret::HEADER, secret.as_header());
        }
        if request.body.is_some() {
            head = head.header("content-type", "application/json");
        }
        let body = request.body.as_ref().map(Value::to_string).unwrap_or_default();
        let request =
            head.body(body).map_err(|error| ClientError::Invalid { reason: error.to_string() })?;
        let limit = limit.max(Duration::from_millis(1)); // zero would mean no limit
        let request = agent.configure_request(request).timeout_global(Some(limit)).build();
        let mut answer = agent.run(request).map_err(|error| failure(&url, &error))?;
        let status = answer.status().as_u16();
        let read = answer.body_mut().with_config().limit(response::LARGEST).read_to_vec();
        Ok(Response { status, body: read.map_err(|error| failure(&url, &error))? })
    }
}

impl Transport for Blocking {
    type Wake = Count;
    type Socket = BlockingSocket;
    type Task = ();

    fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    async fn exchange(&self, request: &Request, limit: Duration) -> Result<Response, ClientError> {
        self.exchange(request, limit)
    }

    async fn connect(
        &self,
        subscription: &Subscription,
        line: &Line,
    ) -> Result<BlockingSocket, SocketError> {
        socket::connect(subscription, line)
    }

    fn spawn(&self, name: &str, work: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        thread::Builder::new().name(name.into()).spawn(move || run(work)).map(drop)
    }
}

/// Classifies a failure by whether the request may have reached the server.
fn failure(url: &str, error: &ureq::Error) -> ClientError {
    let (url, reason) = (url.to_owned(), error.to_string());
    let refused = |error: &io::Error| {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        error.kind() == io::ErrorKind::ConnectionRefused
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
