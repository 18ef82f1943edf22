//! Asking a server, without blocking.

use std::error::Error;
use std::time::{Duration, Instant, SystemTime};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::AsyncClient;
use crate::client::error::ClientError;
use crate::client::http::{LARGEST_ANSWER, read_answer};
use crate::client::request::{Request, Retries, is_trusted, nil_lock};
use crate::info::{LockId, LockInfo};

impl AsyncClient {
    /// [`Client::list`](crate::Client::list).
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn list(&self) -> Result<Vec<LockInfo>, ClientError> {
        if is_trusted() {
            return Ok(vec![nil_lock("", None)]);
        }
        self.send(&Request::list(), None).await
    }

    /// [`Client::get`](crate::Client::get).
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub async fn get(&self, id: LockId) -> Result<LockInfo, ClientError> {
        self.ask(&Request::get(id)).await
    }

    /// [`Client::update`](crate::Client::update).
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub async fn update(
        &self,
        id: LockId,
        creator: Option<&str>,
        expires_at: Option<SystemTime>,
    ) -> Result<LockInfo, ClientError> {
        self.ask(&Request::update(id, creator, expires_at)?).await
    }

    /// [`Client::delete`](crate::Client::delete).
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub async fn delete(&self, id: LockId) -> Result<LockInfo, ClientError> {
        self.ask(&Request::delete(id)).await
    }

    /// [`Client::keep_alive`](crate::Client::keep_alive).
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub async fn keep_alive(&self, id: LockId) -> Result<LockInfo, ClientError> {
        self.ask(&Request::keep_alive(id)).await
    }

    /// [`Client::keep_alive_for`](crate::Client::keep_alive_for).
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub async fn keep_alive_for(
        &self,
        id: LockId,
        time: Duration,
    ) -> Result<LockInfo, ClientError> {
        self.ask(&Request::keep_alive_for(id, time)).await
    }

    /// [`Client::add_to_expires_at`](crate::Client::add_to_expires_at).
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub async fn add_to_expires_at(&self, id: LockId) -> Result<LockInfo, ClientError> {
        self.ask(&Request::add_to_expires_at(id)).await
    }

    /// [`Client::add_to_expires_at_for`](crate::Client::add_to_expires_at_for).
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub async fn add_to_expires_at_for(
        &self,
        id: LockId,
        time: Duration,
    ) -> Result<LockInfo, ClientError> {
        self.ask(&Request::add_to_expires_at_for(id, time)).await
    }

    /// [`Client::check_health`](crate::Client::check_health).
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn check_health(&self) -> Result<(), ClientError> {
        self.send::<Value>(&Request::health(), None).await.map(|_| ())
    }

    /// Deletes a lock of one's own.
    pub(super) async fn delete_own(&self, lock: &LockInfo) -> Result<(), ClientError> {
        let mut retries = Retries::new(self.inner.options.retry);
        let answer = self.retrying(&Request::delete(lock.id), None, &mut retries).await;
        retries.deleted(lock, answer)
    }

    /// Asks about a lock, if anything is asked.
    async fn ask(&self, request: &Request) -> Result<LockInfo, ClientError> {
        if is_trusted() {
            return Ok(nil_lock("", None));
        }
        self.send(request, None).await
    }

    /// Asks, with at most so much time for it all.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        request: &Request,
        until: Option<Instant>,
    ) -> Result<T, ClientError> {
        let mut retries = Retries::new(self.inner.options.retry);
        self.retrying(request, until, &mut retries).await
    }

    /// Tries what may fail for now several times, with growing delays.
    async fn retrying<T: DeserializeOwned>(
        &self,
        request: &Request,
        until: Option<Instant>,
        retries: &mut Retries,
    ) -> Result<T, ClientError> {
        let most = self.inner.options.request_timeout;
        let left = || until.map(|until| until.saturating_duration_since(Instant::now()));
        loop {
            let limit = left().map_or(most, |left| left.min(most));
            match self.ask_once(request, limit).await {
                Ok(answer) => return Ok(answer),
                Err(error) => tokio::time::sleep(retries.after(request, error, left())?).await,
            }
        }
    }

    /// Asks once. 409 is [`ClientError::Refused`] like any other no; what it means is for the
    /// caller to say.
    pub(super) async fn ask_once<T: DeserializeOwned>(
        &self,
        request: &Request,
        limit: Duration,
    ) -> Result<T, ClientError> {
        let url = self.inner.server.url(&request.path);
        let mut builder = self.inner.http.request(request.method.clone(), &url).timeout(limit);
        for (name, value) in &self.inner.server.headers {
            builder = builder.header(name, value);
        }
        if let Some(body) = &request.body {
            builder = builder.header("content-type", "application/json").body(body.to_string());
        }
        let mut answer = builder.send().await.map_err(|error| fault(&url, error))?;
        let (status, mut text) = (answer.status().as_u16(), Vec::new());
        while let Some(chunk) = answer.chunk().await.map_err(|error| fault(&url, error))? {
            text.extend_from_slice(&chunk);
            if text.len() as u64 > LARGEST_ANSWER {
                let reason = format!("the answer is longer than {LARGEST_ANSWER} bytes");
                return Err(ClientError::NotRelukko { url, reason });
            }
        }
        read_answer(url, status, &text)
    }
}

/// Whether the request may have reached the server is what matters.
fn fault(url: &str, error: reqwest::Error) -> ClientError {
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
