//! The server: Relukko's interface to a directory of linklock locks.

mod access;
mod broadcast;
mod caller;
mod connections;
mod error_response;
mod events;
mod keys;
mod lists;
mod metrics;
mod object;
mod options;
mod page;
mod queues;
mod registry;
mod routes;
mod secret;
mod shared;
mod shown;
mod store;
mod tls;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;

use self::access::Access;
use self::keys::Keys;
use self::metrics::Metrics;
pub use self::options::{ServerError, ServerOptions};
use self::registry::Registry;
use self::shared::Shared;

/// How many requests access the directory at once. One thread more sweeps it.
const WORKERS: usize = 64;
/// How often the locks that clients wait for are checked.
const WATCH: Duration = Duration::from_millis(250);

/// A server that runs until it is stopped or dropped. The locks it serves stay held.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use linklock_relukko::Server;
///
/// let server = Server::options(dir.path()).bind("127.0.0.1:0".parse()?).api_key("secret").start()?;
/// println!("http://{}/", server.address());
/// server.stop();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a server stops it at once"]
pub struct Server {
    address: SocketAddr,
    options: ServerOptions,
    keys: Arc<RwLock<Keys>>,
    tls: Option<Arc<RwLock<TlsAcceptor>>>,
    stopping: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Options for a server of the locks in a directory. It needs an API key before it can start.
    pub fn options(dir: impl Into<PathBuf>) -> ServerOptions {
        ServerOptions::new(dir.into())
    }

    /// The address it listens on, with the actual port if it was set to port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops the server: it accepts no more connections, and no more requests on open ones. Blocks
    /// until requests in progress are done, for at most 10 s.
    pub fn stop(self) {
        drop(self);
    }

    /// Reloads the certificate, its key and the files of API keys; open connections are not
    /// affected.
    ///
    /// # Errors
    ///
    /// [`ServerError`] if one of them is invalid, or if no API key is left; nothing has changed
    /// then.
    pub fn reload(&self) -> Result<(), ServerError> {
        let (keys, acceptor) = load(&self.options)?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        if let Some((now, acceptor)) = self.tls.as_ref().zip(acceptor) {
            *now.write().unwrap_or_else(PoisonError::into_inner) = acceptor;
        }
        Ok(())
    }

    fn start(options: &ServerOptions) -> Result<Server, ServerError> {
        let (keys, acceptor) = load(options)?;
        let keys = Arc::new(RwLock::new(keys));
        let tls = acceptor.map(|acceptor| Arc::new(RwLock::new(acceptor)));
        let store = store::Store::open(&options.dir, options.lifetime, options.grace)
            .map_err(io::Error::other)
            .map_err(ServerError::directory(&options.dir))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .max_blocking_threads(WORKERS + 1)
            .thread_name("linklock-serve")
            .enable_all()
            .build()
            .map_err(ServerError::Start)?;
        let bound = runtime.block_on(tokio::net::TcpListener::bind(options.bind));
        let listener = bound.map_err(ServerError::bind(options.bind))?;
        let address = listener.local_addr().map_err(ServerError::bind(options.bind))?;
        let (stopping, stop) = watch::channel(false);
        let shared = Shared {
            registry: Arc::new(Registry::new(store, Metrics::new())),
            access: Arc::new(Access::new(WORKERS, options.directory_timeout)),
            lists: Arc::default(),
            options: Arc::new(options.clone()),
            keys: keys.clone(),
            tls: tls.clone(),
            websockets: Arc::new(Semaphore::new(options.max_websockets)),
            stopping: stop,
        };
        let router = routes::router(shared.clone());
        runtime.spawn(look_around(shared.clone(), options.sweep_interval));
        let most = (options.max_connections, options.max_websockets);
        let work = connections::serve(listener, router, shared, most);
        let thread = std::thread::Builder::new().name("linklock-serve".into());
        let thread = thread.spawn(move || run(runtime, work)).map_err(ServerError::Start)?;
        tracing::info!(%address, dir = %options.dir.display(), "serving");
        Ok(Server { address, options: options.clone(), keys, tls, stopping, thread: Some(thread) })
    }
}

impl ServerOptions {
    /// Starts the server on its own threads.
    ///
    /// # Errors
    ///
    /// [`ServerError`] if there is no key, or if the directory, the address, the certificate or a
    /// thread is not available.
    pub fn start(self) -> Result<Server, ServerError> {
        Server::start(&self)
    }
}

/// The keys and the certificate, as currently in their files.
fn load(options: &ServerOptions) -> Result<(Keys, Option<TlsAcceptor>), ServerError> {
    let keys = options.load_keys()?;
    if keys.is_empty() {
        return Err(ServerError::NoKey);
    }
    Ok((keys, options.tls.as_ref().map(tls::acceptor).transpose()?))
}

fn run(runtime: Runtime, work: impl Future<Output = ()>) {
    runtime.block_on(work);
    // A request stuck in the file system may never return.
    runtime.shutdown_timeout(Duration::from_secs(5));
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Server { address, options, .. } = self;
        f.debug_struct("Server")
            .field("address", address)
            .field("options", options)
            .finish_non_exhaustive()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic was reported when it happened
        }
    }
}

/// Sweeps the directory, and watches for changes by other programs and servers.
async fn look_around(shared: Shared, sweep_interval: Duration) {
    let mut stopping = shared.stopping.clone();
    let (mut sweeps, mut looks) = (interval(sweep_interval), interval(WATCH));
    sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let look = tokio::select! {
            _ = sweeps.tick() => Registry::sweep,
            _ = looks.tick() => Registry::watch,
            () = connections::stopped(&mut stopping) => return,
        };
        let registry = shared.registry.clone();
        match tokio::task::spawn_blocking(move || look(&registry)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                shared.registry.metrics.failed_sweeps.inc();
                tracing::error!(%error, "cannot sweep the directory");
            }
            Err(_) => return, // it panicked, which has been reported, or the server is stopping
        }
    }
}
