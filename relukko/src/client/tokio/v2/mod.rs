//! The client for the interface `/v2/` for programs on tokio: like [`linklock_relukko::v2`](crate::v2),
//! whose [`LockInfo`], [`Page`], [`Events`] and [`Secret`] it shares, but none of its methods blocks.
//!
//! ```
//! # let dir = tempfile::tempdir()?;
//! # use linklock_relukko::Server;
//! use std::time::Duration;
//! use linklock_relukko::tokio::Client;
//!
//! # let server = Server::options(dir.path()).bind("127.0.0.1:0".parse()?).api_key("secret").start()?;
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
//! let client = Client::new(format!("http://{}", server.address()), "secret")?.v2();
//! let report = client.request("report").lifetime(Duration::from_secs(30)).who("nightly");
//! let guard = report.try_lock_for(Duration::from_secs(60)).await?;
//! guard.keep_alive(|why| eprintln!("stop the work: {why}")).await?;
//! println!("fencing token: {:?}", guard.token());
//! guard.unlock().await?;
//! # Ok::<(), linklock_relukko::ClientError>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod guard;
mod request;

use std::fmt;
use std::time::{Duration, Instant};

use serde_json::Value;

pub use self::guard::LockGuard;
pub use self::request::LockRequest;
use super::transport::Tokio;
use crate::client::error::ClientError;
use crate::client::event::Events;
use crate::client::holding::Holding;
use crate::client::interface::Own;
use crate::client::request::Request;
use crate::client::secret::Secret;
use crate::client::session::Session;
use crate::client::tenure::{LockInfo, Page};
use crate::info::LockId;

/// A client of a server's interface `/v2/`: see [`Client::v2`](crate::tokio::Client::v2). Like
/// [`v2::Client`](crate::v2::Client), but its methods are futures.
#[derive(Clone)]
pub struct Client {
    session: Session<Tokio>,
}

impl Client {
    pub(super) fn new(session: Session<Tokio>) -> Client {
        Client { session }
    }

    /// A request for a lock, which its methods complete and send.
    pub fn request(&self, lock_name: impl Into<String>) -> LockRequest {
        LockRequest::new(self.session.clone(), lock_name.into())
    }

    /// Like [`v2::Client::adopt`](crate::v2::Client::adopt).
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] if the lock is gone, [`ClientError::Denied`] if the secret is not the
    /// lock's, and others.
    pub async fn adopt(&self, id: LockId, secret: &Secret) -> Result<LockGuard, ClientError> {
        let asked = Instant::now();
        let info: LockInfo = self.session.send(&Request::renew(id, secret, None), None).await?;
        let lifetime = info.lifetime.unwrap_or_default();
        let (session, own) = (self.session.clone(), Own(secret.clone()));
        Ok(LockGuard::new(Holding::renewed(session, own, info, asked, lifetime)))
    }

    /// Like [`v2::Client::list`](crate::v2::Client::list).
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn list(&self) -> Result<Vec<LockInfo>, ClientError> {
        self.session.list_pages().await
    }

    /// Like [`v2::Client::page`](crate::v2::Client::page).
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn page(&self, after: Option<&str>, limit: usize) -> Result<Page, ClientError> {
        self.session.send(&Request::page(after, limit), None).await
    }

    /// Like [`v2::Client::find`](crate::v2::Client::find).
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn find(&self, lock_name: &str) -> Result<Option<LockInfo>, ClientError> {
        self.session.find(lock_name).await
    }

    /// Like [`v2::Client::readers`](crate::v2::Client::readers).
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn readers(&self, lock_name: &str) -> Result<Vec<LockInfo>, ClientError> {
        self.session.readers(lock_name).await
    }

    /// Like [`v2::Client::slots`](crate::v2::Client::slots).
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn slots(&self, set: &str) -> Result<Vec<LockInfo>, ClientError> {
        self.session.slots(set).await
    }

    /// Like [`v2::Client::events`](crate::v2::Client::events).
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] with the status 410 if the server does not know those events any more,
    /// and others.
    pub async fn events(&self, after: Option<&str>, wait: Duration) -> Result<Events, ClientError> {
        self.session.send(&Request::events(after, wait), None).await
    }

    /// Like [`v2::Client::get`](crate::v2::Client::get).
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub async fn get(&self, id: LockId) -> Result<LockInfo, ClientError> {
        self.session.send(&Request::show(id), None).await
    }

    /// Like [`v2::Client::break_lock`](crate::v2::Client::break_lock).
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`], [`ClientError::Denied`] and others.
    pub async fn break_lock(&self, id: LockId) -> Result<(), ClientError> {
        self.session.send::<Value>(&Request::delete(id), None).await.map(drop)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.session.options).finish()
    }
}
