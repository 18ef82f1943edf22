//! A server's options.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::keys::Keys;

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// Options for a [`Server`](crate::Server): see [`Server::options`](crate::Server::options).
#[derive(Clone, Debug)]
#[must_use = "options have no effect until the server is started"]
pub struct ServerOptions {
    pub(super) dir: PathBuf,
    pub(super) bind: SocketAddr,
    /// The keys given directly; others are in the files.
    keys: Keys,
    key_files: Vec<PathBuf>,
    pub(super) proxies: Vec<IpAddr>,
    pub(super) tls: Option<Tls>,
    pub(super) max_connections: usize,
    pub(super) max_websockets: usize,
    pub(super) lifetime: Duration,
    pub(super) max_lifetime: Duration,
    pub(super) grace: Duration,
    pub(super) sweep_interval: Duration,
    pub(super) client_timeout: Duration,
    pub(super) directory_timeout: Duration,
}

/// The files of the certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    pub(super) chain: PathBuf,
    pub(super) key: PathBuf,
}

impl ServerOptions {
    pub(super) fn new(dir: PathBuf) -> ServerOptions {
        ServerOptions {
            dir,
            bind: (Ipv4Addr::LOCALHOST, 3000).into(),
            keys: Keys::default(),
            key_files: Vec::new(),
            proxies: Vec::new(),
            tls: None,
            max_connections: 4096,
            max_websockets: 2048,
            lifetime: Duration::from_secs(600),
            max_lifetime: Duration::from_secs(86_400),
            grace: Duration::from_secs(180),
            sweep_interval: Duration::from_secs(15),
            client_timeout: Duration::from_secs(10),
            directory_timeout: Duration::from_secs(30),
        }
    }

    /// The address to listen on: 127.0.0.1:3000 by default.
    pub fn bind(mut self, address: SocketAddr) -> ServerOptions {
        self.bind = address;
        self
    }

    /// Accepts this API key; several may be given.
    pub fn api_key(mut self, key: &str) -> ServerOptions {
        self.keys.add(key);
        self
    }

    /// Accepts the API keys in this file, one per line; blank lines and those that begin with `#`
    /// are skipped. [`Server::reload`](crate::Server::reload) reads the file again.
    ///
    /// A line is a key, or `name=NAME rights=RIGHTS key=KEY`. The name is logged with what the key is used
    /// for. The rights are `read`, to see locks; `own`, to create locks too, and to change and delete
    /// those that were created with the key of that name; or `all`, which a key without a name has.
    ///
    /// # Errors
    ///
    /// [`ServerError::File`] if the file cannot be read, or a line that begins with `name=` is not of that
    /// form.
    pub fn api_key_file(mut self, path: impl AsRef<Path>) -> Result<ServerOptions, ServerError> {
        self.key_files.push(path.as_ref().to_owned());
        self.load_keys()?;
        Ok(self)
    }

    /// All keys, including those currently in the files.
    pub(super) fn load_keys(&self) -> Result<Keys, ServerError> {
        let mut keys = self.keys.clone();
        for path in &self.key_files {
            keys.add_file(path).map_err(ServerError::file(path))?;
        }
        Ok(keys)
    }

    /// Trusts a reverse proxy at this address to tell the clients' addresses, in the header
    /// `X-Forwarded-For`; several may be given. Otherwise the proxy is taken for the client.
    pub fn trust_proxy(mut self, proxy: IpAddr) -> ServerOptions {
        self.proxies.push(proxy.to_canonical());
        self
    }

    /// Serves TLS, with a certificate chain and its private key from PEM files.
    pub fn tls(mut self, chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> ServerOptions {
        self.tls = Some(Tls { chain: chain.into(), key: key.into() });
        self
    }

    /// How many connections are served at once: 4096 by default; further ones wait. WebSockets do
    /// not count.
    pub fn max_connections(mut self, most: usize) -> ServerOptions {
        self.max_connections = most.max(1);
        self
    }

    /// How many WebSockets may be open: 2048 by default; further ones get 503.
    pub fn max_websockets(mut self, most: usize) -> ServerOptions {
        self.max_websockets = most;
        self
    }

    /// How long until a new lock expires: 10 minutes by default, as in Relukko. At least a second,
    /// at most a year.
    pub fn lifetime(mut self, lifetime: Duration) -> ServerOptions {
        self.lifetime = lifetime.clamp(SHORTEST, LONGEST);
        self
    }

    /// The longest lifetime that a client can ask for through `/v2/`: a day by default, at most a year.
    /// What is longer is shortened to it.
    pub fn max_lifetime(mut self, longest: Duration) -> ServerOptions {
        self.max_lifetime = longest.clamp(SHORTEST, LONGEST);
        self
    }

    /// How long a lock stays held after it has expired: 3 minutes by default, at most a year.
    pub fn grace(mut self, grace: Duration) -> ServerOptions {
        self.grace = grace.min(LONGEST);
        self
    }

    /// How often the directory is swept for expired locks: every 15 s by default.
    pub fn sweep_interval(mut self, interval: Duration) -> ServerOptions {
        self.sweep_interval = interval.max(Duration::from_millis(10));
        self
    }

    /// How long a client may take to send a request's head, to send its body, or to read part of
    /// the answer, and how long it may be idle between requests: 10 s by default.
    pub fn client_timeout(mut self, client_timeout: Duration) -> ServerOptions {
        self.client_timeout = client_timeout;
        self
    }

    /// How long a request may wait for the directory, which hangs if its file server is out of reach:
    /// 30 s by default. Then it is answered with 503. A lock that is created later than that is
    /// deleted again.
    pub fn directory_timeout(mut self, directory_timeout: Duration) -> ServerOptions {
        self.directory_timeout = directory_timeout;
        self
    }
}

/// Why a server cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// There is no API key: no client could get access.
    #[error("no API key: set RELUKKO_API_KEY or pass a file of keys")]
    NoKey,
    /// The directory of the locks cannot be used.
    #[error("cannot serve the directory {}: {error}", path.display())]
    #[non_exhaustive]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The server cannot listen on the address.
    #[error("cannot listen on {address}: {error}")]
    #[non_exhaustive]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        error: io::Error,
    },
    /// A file of keys or certificates cannot be used.
    #[error("cannot use {}: {error}", path.display())]
    #[non_exhaustive]
    File {
        /// The file.
        path: PathBuf,
        /// Why it cannot be used.
        error: io::Error,
    },
    /// No thread could be started.
    #[error("cannot start threads: {0}")]
    Start(io::Error),
}

impl ServerError {
    pub(super) fn directory(path: &Path) -> impl FnOnce(io::Error) -> ServerError {
        move |error| ServerError::Directory { path: path.to_owned(), error }
    }

    pub(super) fn bind(address: SocketAddr) -> impl FnOnce(io::Error) -> ServerError {
        move |error| ServerError::Bind { address, error }
    }

    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> ServerError {
        move |error| ServerError::File { path: path.to_owned(), error }
    }
}
