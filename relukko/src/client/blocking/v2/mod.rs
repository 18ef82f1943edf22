//! The client for the interface `/v2/`, which [`Server`](crate::Server) has and Relukko has not: the
//! holder chooses how long its lock lasts, each lock has a secret and a fencing token, and clients
//! that wait stand in line at the server.
//!
//! ```
//! # let dir = tempfile::tempdir()?;
//! # use linklock_relukko::Server;
//! use std::time::Duration;
//! use linklock_relukko::Client;
//!
//! # let server = Server::options(dir.path()).bind("127.0.0.1:0".parse()?).api_key("secret").start()?;
//! let client = Client::new(format!("http://{}", server.address()), "secret")?.v2();
//! let report = client.request("report").lifetime(Duration::from_secs(30)).who("nightly");
//! let guard = report.try_lock_for(Duration::from_secs(60))?;
//! guard.keep_alive(|why| eprintln!("stop the work: {why}"))?;
//! println!("fencing token: {:?}", guard.token());
//! // Another process may hold it from here on:
//! let (id, secret) = guard.detach();
//! let guard = client.adopt(id, &secret)?;
//! guard.unlock()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod guard;
mod request;

use std::fmt;
use std::time::{Duration, Instant};

use serde_json::Value;

pub use self::guard::LockGuard;
pub use self::request::LockRequest;
use super::transport::Blocking;
use super::wake::run;
use crate::client::error::ClientError;
pub use crate::client::event::{Event, EventKind, Events};
use crate::client::holding::Holding;
use crate::client::interface::Own;
pub use crate::client::lock_url::{InvalidUrl, LockUrl};
use crate::client::request::Request;
pub use crate::client::secret::{InvalidSecret, Secret};
use crate::client::session::Session;
pub use crate::client::tenure::{LockInfo, Page};
use crate::info::LockId;

/// A client of a server's interface `/v2/`: see [`Client::v2`](crate::Client::v2). Requests are
/// limited and retried as for [`Client`](crate::Client); `RELUKKO_TRUST_ME_IT_IS_LOCKED` has no effect.
///
/// Each method blocks for its requests, and fails with [`ClientError::Unsupported`] if the server does
/// not have this interface.
#[derive(Clone)]
pub struct Client {
    session: Session<Blocking>,
}

impl Client {
    pub(super) fn new(session: Session<Blocking>) -> Client {
        Client { session }
    }

    /// A request for a lock, which its methods complete and send.
    pub fn request(&self, lock_name: impl Into<String>) -> LockRequest {
        LockRequest::new(self.session.clone(), lock_name.into())
    }

    /// A guard for a lock that another guard was [detached](LockGuard::detach) from, in this process or
    /// in another. Renews the lock's lease, which shows that the secret is the lock's.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] if the lock is gone, [`ClientError::Denied`] if the secret is not the
    /// lock's, and others.
    pub fn adopt(&self, id: LockId, secret: &Secret) -> Result<LockGuard, ClientError> {
        let asked = Instant::now();
        let info: LockInfo = run(self.session.send(&Request::renew(id, secret, None), None))?;
        let lifetime = info.lifetime.unwrap_or_default();
        let (session, own) = (self.session.clone(), Own(secret.clone()));
        Ok(LockGuard::new(Holding::renewed(session, own, info, asked, lifetime)))
    }

    /// All locks that are held, however many there are.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn list(&self) -> Result<Vec<LockInfo>, ClientError> {
        run(self.session.list_pages())
    }

    /// At most so many of the locks that are held, up to 10,000: the first ones, or those after a page's
    /// [`next`](Page::next).
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn page(&self, after: Option<&str>, limit: usize) -> Result<Page, ClientError> {
        run(self.session.send(&Request::page(after, limit), None))
    }

    /// The lock with this name; `None` if it is free, or only [readers](Self::readers) hold it.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn find(&self, lock_name: &str) -> Result<Option<LockInfo>, ClientError> {
        run(self.session.find(lock_name))
    }

    /// The locks of the readers of the lock with this name: see [`LockRequest::access`].
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn readers(&self, lock_name: &str) -> Result<Vec<LockInfo>, ClientError> {
        run(self.session.readers(lock_name))
    }

    /// The slots that are held of the set with this name, in order: see [`LockRequest::slots`].
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn slots(&self, set: &str) -> Result<Vec<LockInfo>, ClientError> {
        run(self.session.slots(set))
    }

    /// What happens to the server's locks: those events that follow an earlier answer's
    /// [`next`](Events::next), or without it those that come after the request. Waits for the first one,
    /// but not for longer than `wait`, and at most a minute. Events through other servers and programs
    /// are among them, a second or so later.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let server = linklock_relukko::Server::options(dir.path()).bind("127.0.0.1:0".parse()?).api_key("secret").start()?;
    /// use std::time::Duration;
    /// use linklock_relukko::Client;
    /// use linklock_relukko::v2::EventKind;
    ///
    /// let client = Client::new(format!("http://{}", server.address()), "secret")?.v2();
    /// let before = client.events(None, Duration::ZERO)?;
    /// client.request("report").lock()?.unlock()?;
    /// let events = client.events(Some(&before.next), Duration::from_secs(60))?.events;
    /// assert_eq!((events[0].kind, events[0].lock.name.as_str()), (EventKind::Created, "report"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] with the status 410 if the server does not know those events any more,
    /// since they are too many or it was restarted: [list](Self::list) the locks, and go on without
    /// `after`.
    pub fn events(&self, after: Option<&str>, wait: Duration) -> Result<Events, ClientError> {
        run(self.session.send(&Request::events(after, wait), None))
    }

    /// A lock that is held, by its id.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`] and others.
    pub fn get(&self, id: LockId) -> Result<LockInfo, ClientError> {
        run(self.session.send(&Request::show(id), None))
    }

    /// Ends a lock, whichever client holds it: its holder learns that it is lost. That takes a key with
    /// all rights, or the key that the lock was created with.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotFound`], [`ClientError::Denied`] and others.
    pub fn break_lock(&self, id: LockId) -> Result<(), ClientError> {
        run(self.session.send::<Value>(&Request::delete(id), None)).map(drop)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.session.options).finish()
    }
}
