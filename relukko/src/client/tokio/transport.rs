//! Requests that do not block, and tasks for background work.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ::tokio::task::AbortHandle;

use super::socket::{self, TokioSocket};
use super::wake::Count;
use crate::client::endpoint::{Endpoint, LONGEST_IDLE, USER_AGENT};
use crate::client::error::ClientError;
use crate::client::request::Request;
use crate::client::response::{self, Response};
use crate::client::subscription::Subscription;
use crate::client::transport::{Line, SocketError, Transport};
use crate::secret;

#[derive(Clone)]
pub(in crate::client) struct Tokio(Arc<Inner>);

struct Inner {
    endpoint: Endpoint,
    http: reqwest::Client,
}

impl Tokio {
    pub(super) fn new(endpoint: Endpoint) -> Result<Tokio, ClientError> {
        let invalid = |error: reqwest::Error| ClientError::Invalid { reason: error.to_string() };
        let builder = reqwest::Client::builder()
            .use_preconfigured_tls((*endpoint.tls.rustls).clone())
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(LONGEST_IDLE)
            .user_agent(USER_AGENT)
            .no_proxy(); // except the one chosen below
        let builder = match &endpoint.proxy {
            Some(proxy) => {
                builder.proxy(reqwest::Proxy::all(proxy.uri().to_string()).map_err(invalid)?)
            }
            None => builder,
        };
        let http = builder.build().map_err(invalid)?;
        Ok(Tokio(Arc::new(Inner { endpoint, http })))
    }
}

/// A task that is aborted when this is dropped.
pub(in crate::client) struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Transport for Tokio {
    type Wake = Count;
    type Socket = TokioSocket;
    type Task = Task;

    fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    async fn exchange(&self, request: &Request, limit: Duration) -> Result<Response, ClientError> {
        let Inner { endpoint, http } = &*self.0;
        let url = endpoint.url(&request.path);
        let mut builder = http.request(request.method.clone(), &url).timeout(limit);
        for (name, value) in &endpoint.headers {
            builder = builder.header(name, value);
        }
        if let Some(secret) = &request.secret {
            builder = builder.header(secret::HEADER, secret.as_header());
        }
        if let Some(body) = &request.body {
            builder = builder.header("content-type", "application/json").body(body.to_string());
        }
        let mut answer = builder.send().await.map_err(|error| failure(&url, error))?;
        let (status, mut body) = (answer.status().as_u16(), Vec::new());
        while let Some(chunk) = answer.chunk().await.map_err(|error| failure(&url, error))? {
            body.extend_from_slice(&chunk);
            if body.len() as u64 > response::LARGEST {
                let reason = format!("the answer is longer than {} bytes", response::LARGEST);
                return Err(ClientError::NotRelukko { url, reason });
            }
        }
        Ok(Response { status, body })
    }

    async fn connect(
        &self,
        subscription: &Subscription,
        _line: &Line, // the task is aborted instead
    ) -> Result<TokioSocket, SocketError> {
        socket::connect(subscription).await
    }

    fn spawn(
        &self,
        _name: &str,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<Task> {
        Ok(Task(::tokio::spawn(work).abort_handle()))
    }
}

/// Classifies a failure by whether the request may have reached the server.
fn failure(url: &str, error: reqwest::Error) -> ClientError {
    let (is_invalid, is_unsent) = (error.is_builder(), error.is_connect());
    let url = url.to_owned();
    let error = error.without_url();
    let mut reason = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        reason = format!("{reason}: {error}");
        cause = error.source();
    }
    match () {
        () if is_invalid => ClientError::Invalid { reason },
        () if is_unsent => ClientError::Unreachable { url, reason },
        () => ClientError::NoAnswer { url, reason },
    }
}
