//! A client's options.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use ureq::Proxy;
use ureq::http::{HeaderName, HeaderValue, Uri};

use super::endpoint::Endpoint;
use super::error::ClientError;
use super::retry::Retry;
use super::subscription::Pings;
use super::tls::TlsOptions;

/// Options for a client: see [`Client::options`](crate::Client::options).
///
/// ```
/// use std::time::Duration;
/// use linklock_relukko::Client;
///
/// let client = Client::options("https://locks.example/", "secret")
///     .retries(4, Duration::from_secs(1), 2.0)
///     .request_timeout(Duration::from_secs(10))
///     .build()?;
/// // Another one like it, but for the server:
/// let other = client.to_options().base_url("https://spare.example").build()?;
/// # Ok::<(), linklock_relukko::ClientError>(())
/// ```
#[derive(Clone)]
#[must_use = "options have no effect until they are built"]
pub struct ClientOptions {
    base_url: String,
    api_key: String,
    headers: Vec<(String, String)>,
    tls: TlsOptions,
    proxy: Option<String>,
    pub(super) request_timeout: Duration,
    pub(super) retry: Retry,
    pub(super) websocket: Option<Pings>,
    pub(super) poll: Duration,
}

impl ClientOptions {
    pub(super) fn new(base_url: String, api_key: String) -> ClientOptions {
        ClientOptions {
            base_url,
            api_key,
            headers: Vec::new(),
            tls: TlsOptions::default(),
            proxy: None,
            request_timeout: Duration::from_secs(30),
            retry: Retry {
                tries: 4,
                delay: Duration::from_secs(1),
                backoff: 2.0,
                max_delay: Duration::from_secs(10),
            },
            websocket: Some(Pings {
                interval: Duration::from_secs(60),
                timeout: Duration::from_secs(20),
            }),
            poll: Duration::from_secs(5),
        }
    }

    /// Uses another server. The URL may have a path, to which the interface's paths are appended,
    /// and trailing slashes.
    pub fn base_url(mut self, base_url: impl Into<String>) -> ClientOptions {
        self.base_url = base_url.into();
        self
    }

    /// Uses another API key.
    pub fn api_key(mut self, api_key: impl Into<String>) -> ClientOptions {
        self.api_key = api_key.into();
        self
    }

    /// Adds a header to every request and to the WebSocket's handshake.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> ClientOptions {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Trusts the certificates in this PEM file, instead of those named by the environment
    /// (`REQUESTS_CA_BUNDLE`, else `CURL_CA_BUNDLE`) or by the system. May be given several times.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> ClientOptions {
        self.tls.ca_files.push(path.into());
        self
    }

    /// Trusts the certificates in the PEM files of this directory; see [`ca_file`](Self::ca_file).
    pub fn ca_dir(mut self, path: impl Into<PathBuf>) -> ClientOptions {
        self.tls.ca_dirs.push(path.into());
        self
    }

    /// Trusts these certificates, in PEM; see [`ca_file`](Self::ca_file).
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> ClientOptions {
        self.tls.ca_pem.push(pem.into());
        self
    }

    /// Presents this certificate to the server, with its private key, both from PEM files.
    pub fn client_certificate(
        mut self,
        chain: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> ClientOptions {
        self.tls.identity = Some((chain.into(), key.into()));
        self
    }

    /// Uses this proxy, instead of those named by the environment (`HTTPS_PROXY` and so on). Behind
    /// a proxy there is no WebSocket: a waiter polls.
    pub fn proxy(mut self, url: impl Into<String>) -> ClientOptions {
        self.proxy = Some(url.into());
        self
    }

    /// How long one request may take, including connecting: 30 s by default, and never longer than
    /// until the deadline, if there is one.
    pub fn request_timeout(mut self, timeout: Duration) -> ClientOptions {
        self.request_timeout = timeout;
        self
    }

    /// A request that fails because the server is out of reach or answers 5xx is tried `tries`
    /// times in all, with a pause of `delay` before the second attempt, `backoff` times that before
    /// the third, and so on: by default 4 times, 1 s and 2.0.
    ///
    /// A client that waits for a lock until a deadline keeps retrying until then, and a client that
    /// waits without a deadline retries without end once the server has answered that the lock is
    /// held. The delays then grow up to [`max_delay`](Self::max_delay).
    pub fn retries(mut self, tries: u32, delay: Duration, backoff: f64) -> ClientOptions {
        self.retry = Retry { tries: tries.max(1), delay, backoff: backoff.max(0.0), ..self.retry };
        self
    }

    /// The longest delay before another attempt: 10 s by default.
    pub fn max_delay(mut self, delay: Duration) -> ClientOptions {
        self.retry.max_delay = delay;
        self
    }

    /// Pings a WebSocket that has been silent for `interval` (60 s by default). If no answer comes
    /// within `timeout` (20 s by default), the WebSocket counts as dead.
    pub fn pings(mut self, interval: Duration, timeout: Duration) -> ClientOptions {
        self.websocket = Some(Pings { interval, timeout });
        self
    }

    /// Uses no WebSocket: a waiter polls.
    pub fn without_websocket(mut self) -> ClientOptions {
        self.websocket = None;
        self
    }

    /// How often a waiter polls without having been woken: about every 5 s by default.
    pub fn polling(mut self, interval: Duration) -> ClientOptions {
        self.poll = interval;
        self
    }

    /// The endpoint that these options describe.
    pub(super) fn endpoint(&self) -> Result<Endpoint, ClientError> {
        let (base, uri) = self.parse_url()?;
        let headers = self.parse_headers()?;
        let proxy = self.proxy.as_deref().map(Proxy::new).transpose();
        let proxy = proxy.map_err(|error| invalid(format!("invalid proxy: {error}")))?;
        let proxy = proxy.or_else(Proxy::try_from_env).filter(|proxy| !proxy.is_no_proxy(&uri));
        Ok(Endpoint { base, headers, tls: self.tls.load()?, proxy })
    }

    fn parse_url(&self) -> Result<(String, Uri), ClientError> {
        let base = self.base_url.trim_end_matches('/');
        let parsed = base.parse::<Uri>().map_err(|error| error.to_string());
        let uri =
            parsed.and_then(|uri| match (uri.scheme_str(), uri.host()) {
                (Some("http" | "https"), Some(_)) if uri.query().is_none() => Ok(uri),
                _ => Err("expected http://HOST or https://HOST, optionally with a port and a path"
                    .into()),
            });
        let uri =
            uri.map_err(|reason| invalid(format!("invalid server URL {base:?}: {reason}")))?;
        Ok((base.to_owned(), uri))
    }

    fn parse_headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, ClientError> {
        let key = ("x-api-key".to_owned(), self.api_key.clone());
        let parse = |(name, value): (String, String)| {
            let parsed: Result<HeaderName, _> = name.parse();
            let header = parsed.ok().zip(value.parse::<HeaderValue>().ok());
            let (name, mut value) = header.ok_or_else(|| {
                invalid(format!("invalid header {name:?}")) // its value may be secret
            })?;
            value.set_sensitive(true);
            Ok((name, value))
        };
        std::iter::once(key).chain(self.headers.iter().cloned()).map(parse).collect()
    }
}

fn invalid(reason: String) -> ClientError {
    ClientError::Invalid { reason }
}

/// Shows no secrets.
impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientOptions")
            .field("base_url", &self.base_url)
            .field("tls", &self.tls)
            .field("request_timeout", &self.request_timeout)
            .field("retry", &self.retry)
            .field("websocket", &self.websocket)
            .field("poll", &self.poll)
            .finish_non_exhaustive()
    }
}
