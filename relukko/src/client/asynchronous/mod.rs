//! The client that does not block, on tokio. What it asks, and what it makes of the answers, it
//! shares with the one that does.

mod acquire;
mod guard;
mod listener;
mod requests;

use std::fmt;
use std::sync::Arc;

pub use self::guard::AsyncRelukkoGuard;
use super::error::ClientError;
use super::http::{Http, REST, USER_AGENT};
use super::options::ClientOptions;

/// A client of a Relukko server for programs on tokio: [`Client`](crate::Client), but its methods are
/// futures, and they must run on a tokio runtime with its I/O and its timers enabled.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # use linklock_relukko::Server;
/// use std::time::Duration;
/// use linklock_relukko::AsyncClient;
///
/// # let server = Server::options(dir.path()).bind("127.0.0.1:0".parse()?).api_key("secret").start()?;
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
/// let client = AsyncClient::new(format!("http://{}", server.address()), "secret")?;
/// let guard = client.acquire_for("report", Some("nightly"), Duration::from_secs(60)).await?;
/// guard.keep_alive(Duration::from_secs(300), |why| eprintln!("stop the work: {why}")).await?;
/// // ... the work ...
/// guard.unlock().await?;
/// # Ok::<(), linklock_relukko::ClientError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct AsyncClient {
    inner: Arc<Inner>,
}

struct Inner {
    /// Where the server is, and what it is to be shown.
    server: Http,
    http: reqwest::Client,
    options: ClientOptions,
}

impl AsyncClient {
    /// A client with the default options; for others see [`ClientOptions::build_async`].
    ///
    /// # Errors
    ///
    /// [`ClientError::Invalid`] if the URL or the key can't be used.
    pub fn new(
        base_url: impl Into<String>,
        api_key: impl Into<String>,
    ) -> Result<AsyncClient, ClientError> {
        crate::Client::options(base_url, api_key).build_async()
    }

    /// The options that this client was made with, to make another.
    pub fn to_options(&self) -> ClientOptions {
        self.inner.options.clone()
    }

    pub(super) fn with(server: Http, options: ClientOptions) -> Result<AsyncClient, ClientError> {
        let invalid = |error: reqwest::Error| ClientError::Invalid { reason: error.to_string() };
        let builder = reqwest::Client::builder()
            .use_preconfigured_tls((*server.tls.websocket).clone())
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(REST)
            .user_agent(USER_AGENT)
            .no_proxy(); // but for the one that was chosen
        let builder = match &server.proxy {
            Some(url) => builder.proxy(reqwest::Proxy::all(url).map_err(invalid)?),
            None => builder,
        };
        let http = builder.build().map_err(invalid)?;
        Ok(AsyncClient { inner: Arc::new(Inner { server, http, options }) })
    }
}

impl fmt::Debug for AsyncClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncClient").field(&self.inner.options).finish()
    }
}
