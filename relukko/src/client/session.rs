//! Requests to a server, retried where that helps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::ClientError;
use super::options::ClientOptions;
use super::request::{Request, is_trusted, nil_lock};
use super::retry::Retries;
use super::tenure::{self, Page};
use super::transport::Transport;
use crate::info::LockInfo;

/// How many locks to ask for at a time.
const PAGE: usize = 1000;

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

    /// All locks that are held, page by page.
    pub(super) async fn list_pages(&self) -> Result<Vec<tenure::LockInfo>, ClientError> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page: Page = self.send(&Request::page(after.as_deref(), PAGE), None).await?;
            all.extend(page.locks);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }

    /// A lock by its name.
    pub(super) async fn find(&self, name: &str) -> Result<Option<tenure::LockInfo>, ClientError> {
        let page: Page = self.send(&Request::find(name), None).await?;
        Ok(page.locks.into_iter().find(|lock| lock.name == name))
    }

    pub(super) async fn readers(&self, name: &str) -> Result<Vec<tenure::LockInfo>, ClientError> {
        Ok(self.send::<Page>(&Request::readers(name), None).await?.locks)
    }

    pub(super) async fn slots(&self, set: &str) -> Result<Vec<tenure::LockInfo>, ClientError> {
        let mut slots = self.send::<Page>(&Request::slots(set), None).await?.locks;
        // A server of before shows all locks.
        slots.retain(|slot| {
            let number = slot.name.strip_prefix(set).and_then(|rest| rest.strip_prefix('.'));
            number.is_some_and(|number| number.parse::<u32>().is_ok())
        });
        Ok(slots)
    }

    /// The server's URL, for messages.
    pub(super) fn server(&self) -> String {
        self.transport.endpoint().url("")
    }

    pub(super) async fn check_health(&self) -> Result<(), ClientError> {
        self.send::<Value>(&Request::health(), None).await.map(drop)
    }

    /// Deletes a lock of our own by this request. If it is not found after an attempt without an
    /// answer, that attempt deleted it.
    pub(super) async fn delete_own(
        &self,
        lock_name: &str,
        request: Request,
    ) -> Result<(), ClientError> {
        let mut is_uncertain = false;
        let deleted = self.retry::<Value>(&request, None, &mut is_uncertain).await;
        match deleted {
            Err(ClientError::NotFound(_)) if is_uncertain => Ok(()),
            Err(ClientError::NotFound(id)) => {
                Err(ClientError::Lost { lock_name: lock_name.to_owned(), id })
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
        let longest = self.options.request_timeout + request.waits;
        let left = || until.map(|until| until.saturating_duration_since(Instant::now()));
        loop {
            let error = match self.once(request, left().unwrap_or(longest).min(longest)).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            *is_uncertain |= error.is_uncertain();
            if !request.may_repeat_after(&error) {
                return Err(error);
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
        let read = response.read(self.transport.endpoint().url(&request.path));
        read.map_err(|error| request.explain(error, || self.server()))
    }
}
