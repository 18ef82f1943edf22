//! The client's blocking API.

mod guard;
mod held;
mod lock;
mod requests;
mod socket;
mod transport;
pub mod v2;
mod wake;

use std::fmt;

pub use self::guard::LockGuard;
use self::transport::Blocking;
use super::error::ClientError;
use super::options::ClientOptions;
use super::session::Session;

/// A client of a Relukko server: a cheap handle, whose clones share their connections.
///
/// Each request has a time limit, and is retried after a temporary failure; only the last failure
/// is returned. If the environment variable `RELUKKO_TRUST_ME_IT_IS_LOCKED` is set and not empty,
/// no request is made and every lock counts as acquired, under [`LockId::NIL`]. Exclusion is then
/// the responsibility of the user who set it.
///
/// [`LockId::NIL`]: crate::LockId::NIL
///
/// ```no_run
/// use std::time::Duration;
/// use linklock_relukko::Client;
///
/// let client = Client::new("https://locks.example", &std::env::var("RELUKKO_API_KEY")?)?;
/// let guard = client.try_lock_for("report", Some("nightly"), Duration::from_secs(60))?;
/// guard.keep_alive(Duration::from_secs(300), |why| eprintln!("{why}"))?;
/// // ... the work ...
/// guard.unlock()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Client {
    session: Session<Blocking>,
}

impl Client {
    /// A client with the default options.
    ///
    /// # Errors
    ///
    /// [`ClientError::Invalid`] if the URL or the key is invalid.
    pub fn new(
        base_url: impl Into<String>,
        api_key: impl Into<String>,
    ) -> Result<Client, ClientError> {
        Client::options(base_url, api_key).build()
    }

    /// Options for a client.
    pub fn options(base_url: impl Into<String>, api_key: impl Into<String>) -> ClientOptions {
        ClientOptions::new(base_url.into(), api_key.into())
    }

    /// The same client for the interface `/v2/`, whose locks have lifetimes, secrets and fencing tokens.
    #[must_use]
    pub fn v2(&self) -> v2::Client {
        v2::Client::new(self.session.clone())
    }

    /// The options that this client was built with, as a basis for another client.
    pub fn to_options(&self) -> ClientOptions {
        ClientOptions::clone(&self.session.options)
    }
}

impl ClientOptions {
    /// Builds the client. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`ClientError::Invalid`] if the URL, a header, the proxy or a certificate is invalid.
    pub fn build(self) -> Result<Client, ClientError> {
        let transport = Blocking::new(self.endpoint()?);
        Ok(Client { session: Session::new(transport, self) })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.session.options).finish()
    }
}
