//! The client for programs on tokio: the same methods, none of which blocks.
//!
//! ```
//! # let dir = tempfile::tempdir()?;
//! # use linklock_relukko::Server;
//! use std::time::Duration;
//! use linklock_relukko::tokio::Client;
//!
//! # let server = Server::options(dir.path()).bind("127.0.0.1:0".parse()?).api_key("secret").start()?;
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
//! let client = Client::new(format!("http://{}", server.address()), "secret")?;
//! let guard = client.try_lock_for("report", Some("nightly"), Duration::from_secs(60)).await?;
//! guard.keep_alive(Duration::from_secs(300), |why| eprintln!("stop the work: {why}")).await?;
//! // ... the work ...
//! guard.unlock().await?;
//! # Ok::<(), linklock_relukko::ClientError>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The futures need a runtime with I/O and timers enabled, and panic without one.

mod cancel;
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
use self::transport::Tokio;
use super::error::ClientError;
use super::options::ClientOptions;
use super::session::Session;

/// A client of a Relukko server: like [`linklock_relukko::Client`](crate::Client), but its methods
/// are futures. See [the module](self) for what they need.
#[derive(Clone)]
pub struct Client {
    session: Session<Tokio>,
}

impl Client {
    /// A client with the default options; for others see [`ClientOptions::build_tokio`].
    ///
    /// # Errors
    ///
    /// [`ClientError::Invalid`] if the URL or the key is invalid.
    pub fn new(
        base_url: impl Into<String>,
        api_key: impl Into<String>,
    ) -> Result<Client, ClientError> {
        ClientOptions::new(base_url.into(), api_key.into()).build_tokio()
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
    /// Builds the client for tokio. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// As for [`build`](Self::build).
    pub fn build_tokio(self) -> Result<Client, ClientError> {
        let transport = Tokio::new(self.endpoint()?)?;
        Ok(Client { session: Session::new(transport, self) })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.session.options).finish()
    }
}
