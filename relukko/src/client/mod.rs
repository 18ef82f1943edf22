//! The client.

mod acquire;
#[cfg(feature = "async")]
mod asynchronous;
mod contest;
mod error;
mod guard;
mod http;
mod lease;
mod listener;
mod options;
mod request;
mod requests;
mod target;
mod tls;

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "async")]
pub use self::asynchronous::{AsyncClient, AsyncRelukkoGuard};
pub use self::error::ClientError;
pub use self::guard::RelukkoGuard;
use self::http::Http;
pub use self::options::ClientOptions;

/// A client of a Relukko server: a cheap handle, whose clones share their connections.
///
/// Each request has a time limit, and what fails for now is tried again; what a caller gets is the
/// last word. With the environment variable `RELUKKO_TRUST_ME_IT_IS_LOCKED` set to anything but
/// nothing, no request is made: every lock counts as acquired, under [`LockId::NIL`]. Whoever sets
/// it vouches for that.
///
/// [`LockId::NIL`]: crate::LockId::NIL
///
/// ```no_run
/// use std::time::Duration;
/// use linklock_relukko::Client;
///
/// let client = Client::new("https://locks.example", &std::env::var("RELUKKO_API_KEY")?)?;
/// let guard = client.acquire_for("report", Some("nightly"), Duration::from_secs(60))?;
/// guard.keep_alive(Duration::from_secs(300), |why| eprintln!("{why}"))?;
/// // ... the work ...
/// guard.unlock()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    http: Http,
    options: ClientOptions,
}

impl Client {
    /// A client with the default options.
    ///
    /// # Errors
    ///
    /// [`ClientError::Invalid`] if the URL or the key can't be used.
    pub fn new(
        base_url: impl Into<String>,
        api_key: impl Into<String>,
    ) -> Result<Client, ClientError> {
        Client::options(base_url, api_key).build()
    }

    /// The options that this client was made with, to make another.
    pub fn to_options(&self) -> ClientOptions {
        self.inner.options.clone()
    }

    fn with(http: Http, options: ClientOptions) -> Client {
        Client { inner: Arc::new(Inner { http, options }) }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.inner.options).finish()
    }
}
