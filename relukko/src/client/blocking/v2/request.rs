//! A request for a lock.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::LockGuard;
use crate::client::blocking::transport::Blocking;
use crate::client::blocking::wake::run;
use crate::client::error::ClientError;
use crate::client::queueing::acquire;
use crate::client::session::Session;
use crate::client::tenure::Terms;
use crate::client::transport::Bell;
use crate::client::wait_limit::WaitLimit;
use crate::info::Access;

/// A request for a lock: see [`Client::request`](super::Client::request).
///
/// It can be sent several times, each time for another tenure. Clients that wait get the lock in the
/// order in which they came to the server; one that does not wait never overtakes them.
///
/// ```no_run
/// use std::time::Duration;
/// use linklock_relukko::Client;
///
/// let client = Client::new("https://locks.example", &std::env::var("RELUKKO_API_KEY")?)?.v2();
/// let request = client.request("report").lifetime(Duration::from_secs(30)).who("nightly");
/// let guard = request.note("for the books").lock()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "a request has no effect until it is sent"]
pub struct LockRequest {
    session: Session<Blocking>,
    terms: Terms,
}

impl LockRequest {
    pub(super) fn new(session: Session<Blocking>, name: String) -> LockRequest {
        LockRequest {
            session,
            terms: Terms { name, slots: None, access: None, lifetime: None, who: None, note: None },
        }
    }

    /// How long the lock lasts, unless it is renewed: at least a second, and at most as long as the
    /// server allows. Without this the server chooses: 10 minutes by default.
    pub fn lifetime(mut self, lifetime: Duration) -> LockRequest {
        self.terms.lifetime = Some(lifetime);
        self
    }

    /// Asks for any slot of a set instead, of which up to so many are held at once, 1 to 256. The name is
    /// the set's. All clients should ask for the same number: if not, as many slots may be held as the
    /// largest says. These are also the slots of [`linklock::Slots`] in the server's directory.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let server = linklock_relukko::Server::options(dir.path()).bind("127.0.0.1:0".parse()?).api_key("secret").start()?;
    /// # let client = linklock_relukko::Client::new(format!("http://{}", server.address()), "secret")?.v2();
    /// let guard = client.request("gpu").slots(4).lock()?;
    /// println!("on GPU {}", guard.slot().unwrap());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn slots(mut self, number: u32) -> LockRequest {
        self.terms.slots = Some(number);
        self
    }

    /// Asks for the lock to read, with any number of others that read, or to write, alone. A writer waits
    /// until the readers that are in have gone, and those that come later wait for it. These are also the
    /// readers and writers of [`linklock::RwLock`] in the server's directory.
    ///
    /// All clients of such a lock have to say which: a lock that is asked for without this excludes others
    /// too, but does not wait for the readers that are in. Slots have no readers.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let server = linklock_relukko::Server::options(dir.path()).bind("127.0.0.1:0".parse()?).api_key("secret").start()?;
    /// # let client = linklock_relukko::Client::new(format!("http://{}", server.address()), "secret")?.v2();
    /// use linklock_relukko::Access;
    ///
    /// let one = client.request("cache").access(Access::Read).lock()?;
    /// let another = client.request("cache").access(Access::Read).lock()?;
    /// assert!(client.request("cache").access(Access::Write).try_lock().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn access(mut self, access: Access) -> LockRequest {
        self.terms.access = Some(access);
        self
    }

    /// How the holder calls itself, for people who look at the lock.
    pub fn who(mut self, who: impl Into<String>) -> LockRequest {
        self.terms.who = Some(who.into());
        self
    }

    /// A note about the work, for people who look at the lock.
    pub fn note(mut self, note: impl Into<String>) -> LockRequest {
        self.terms.note = Some(note.into());
        self
    }

    /// Acquires the lock, and blocks until it is free.
    ///
    /// # Errors
    ///
    /// [`ClientError`]. After an error the lock is not held, as far as the server can be reached.
    pub fn lock(&self) -> Result<LockGuard, ClientError> {
        self.acquire(WaitLimit::<fn() -> bool>::Endless)
    }

    /// Acquires the lock if it is free and no other client waits for it. Blocks for one request, and
    /// for retries if that fails.
    ///
    /// # Errors
    ///
    /// [`ClientError::Held`], and otherwise as for [`lock`](Self::lock).
    pub fn try_lock(&self) -> Result<LockGuard, ClientError> {
        self.acquire(WaitLimit::<fn() -> bool>::None)
    }

    /// Acquires the lock if it becomes free within `time`, which includes connecting, requests and
    /// retries. The client requests the lock at least once. It may take some seconds longer if the
    /// server does not answer.
    ///
    /// # Errors
    ///
    /// [`ClientError::TimedOut`], and otherwise as for [`lock`](Self::lock).
    pub fn try_lock_for(&self, time: Duration) -> Result<LockGuard, ClientError> {
        self.acquire(WaitLimit::within(time))
    }

    /// Like [`try_lock_for`](Self::try_lock_for), with a deadline.
    ///
    /// # Errors
    ///
    /// As for [`try_lock_for`](Self::try_lock_for).
    pub fn try_lock_until(&self, deadline: Instant) -> Result<LockGuard, ClientError> {
        self.acquire(WaitLimit::<fn() -> bool>::Until(deadline))
    }

    /// Acquires the lock, and waits as long as `go_on` returns true. `go_on` is called about twice
    /// a second while the client stands in line, and not during a request.
    ///
    /// # Errors
    ///
    /// [`ClientError::TimedOut`] once `go_on` returns false, and otherwise as for
    /// [`lock`](Self::lock).
    pub fn lock_while(&self, go_on: impl FnMut() -> bool) -> Result<LockGuard, ClientError> {
        self.acquire(WaitLimit::While(go_on))
    }

    fn acquire(&self, limit: WaitLimit<impl FnMut() -> bool>) -> Result<LockGuard, ClientError> {
        let (session, bell) = (self.session.clone(), Arc::new(Bell::default()));
        run(acquire(session, self.terms.clone(), limit, bell)).map(LockGuard::new)
    }
}

impl fmt::Debug for LockRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LockRequest").field(&self.terms).finish()
    }
}
