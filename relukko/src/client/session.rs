//! Requests to a server, retried where that helps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::ClientError;
use super::options::ClientOptions;
use super::request::{Request, is_trusted, nil_lock};
use super::retry::Retries;
use super::transport::Transport;
use crate::info::LockInfo;

#[derive(Clone)]
pub(super) struct Session<T> {
    pub(super) transport: T,
    pub(super) options: Arc<ClientOptions>,
}

impl<T: Transport> Session<T> {
    pub(super) fn new(transport: T, options: ClientOptions) -> Session<T> {
        Session { transport, options: Arc::new(options) }
    }

    /// All locks that are held.
    pub(super) async fn list(&self) -> Result<Vec<LockInfo>, ClientError> {
        if is_trusted() {
            return Ok(vec![nil_lock("", None)]);
        }
        self.send(&Request::list(), None).await
    }

    /// Sends a request about one lock, unless no requests are to be made.
    pub(super) async fn ask(&self, request: Request) -> Result<LockInfo, ClientError> {
        if is_trusted() {
            return Ok(nil_lock("", None));
        }
        self.send(&request, None).await
    }

    pub(super) async fn check_health(&self) -> Result<(), ClientError> {
        self.send::<Value>(&Request::health(), None).await.map(drop)
    }

    /// Deletes a lock of our own. If it is not found after an attempt without an answer, that
    /// attempt deleted it.
    pub(super) async fn delete_own(&self, lock: &LockInfo) -> Result<(), ClientError> {
        let mut is_uncertain = false;
        let deleted = self.retry::<Value>(&Request::delete(lock.id), None, &mut is_uncertain).await;
        match deleted {
            Err(ClientError::NotFound(_)) if is_uncertain => Ok(()),
            Err(ClientError::NotFound(id)) => {
                Err(ClientError::Lost { lock_name: lock.lock_name.clone(), id })
            }
            deleted => deleted.map(drop),
        }
    }

    /// Sends a request, and retries it until a deadline if there is one.
    pub(super) async fn send<R: DeserializeOwned>(
        &self,
        request: &Request,
        until: Option<Instant>,
    ) -> Result<R, ClientError> {
        self.retry(request, until, &mut false).await
    }

    /// Retries a request that may fail temporarily, with growing delays. Sets `is_uncertain` if a
    /// failed attempt may have been executed.
    async fn retry<R: DeserializeOwned>(
        &self,
        request: &Request,
        until: Option<Instant>,
        is_uncertain: &mut bool,
    ) -> Result<R, ClientError> {
        let mut retries = Retries::new(self.options.retry);
        let longest = self.options.request_timeout;
        let left = || until.map(|until| until.saturating_duration_since(Instant::now()));
        loop {
            let error = match self.once(request, left().unwrap_or(longest).min(longest)).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            *is_uncertain |= error.is_uncertain();
            if !request.may_repeat_after(&error) {
                return Err(request.explain(error));
            }
            match retries.next().filter(|delay| left().is_none_or(|left| *delay < left)) {
                Some(delay) => self.transport.pause(delay).await,
                None => return Err(error),
            }
        }
    }

    /// Sends a request once.
    pub(super) async fn once<R: DeserializeOwned>(
        &self,
        request: &Request,
        limit: Duration,
    ) -> Result<R, ClientError> {
        let response = self.transport.exchange(request, limit).await?;
        response.read(self.transport.endpoint().url(&request.path))
    }
}
