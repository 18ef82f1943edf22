//! Requests about locks, without blocking.

use std::time::{Duration, SystemTime};

use super::Client;
use crate::client::error::ClientError;
use crate::client::request::Request;
use crate::info::{LockId, LockInfo};

impl Client {
    /// Like [`Client::list`](crate::Client::list).
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn list(&self) -> Result<Vec<LockInfo>, ClientError> {
        self.session.list().await
    }

    /// Like [`Client::get`](crate::Client::get).
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub async fn get(&self, id: LockId) -> Result<LockInfo, ClientError> {
        self.session.ask(Request::get(id)).await
    }

    /// Like [`Client::update`](crate::Client::update).
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
        self.session.ask(Request::update(id, creator, expires_at)?).await
    }

    /// Like [`Client::delete`](crate::Client::delete).
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub async fn delete(&self, id: LockId) -> Result<LockInfo, ClientError> {
        self.session.ask(Request::delete(id)).await
    }

    /// Like [`Client::keep_alive`](crate::Client::keep_alive).
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub async fn keep_alive(&self, id: LockId) -> Result<LockInfo, ClientError> {
        self.session.ask(Request::keep_alive(id)).await
    }

    /// Like [`Client::keep_alive_for`](crate::Client::keep_alive_for).
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub async fn keep_alive_for(
        &self,
        id: LockId,
        time: Duration,
    ) -> Result<LockInfo, ClientError> {
        self.session.ask(Request::keep_alive_for(id, time)).await
    }

    /// Like [`Client::add_to_expires_at`](crate::Client::add_to_expires_at).
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub async fn add_to_expires_at(&self, id: LockId) -> Result<LockInfo, ClientError> {
        self.session.ask(Request::add_to_expires_at(id)).await
    }

    /// Like [`Client::add_to_expires_at_for`](crate::Client::add_to_expires_at_for).
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub async fn add_to_expires_at_for(
        &self,
        id: LockId,
        time: Duration,
    ) -> Result<LockInfo, ClientError> {
        self.session.ask(Request::add_to_expires_at_for(id, time)).await
    }

    /// Like [`Client::check_health`](crate::Client::check_health).
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn check_health(&self) -> Result<(), ClientError> {
        self.session.check_health().await
    }
}
