//! The server: Relukko's interface to a directory of linklock's locks.

mod answer;
mod broadcast;
mod connections;
mod hub;
mod keys;
mod metrics;
mod options;
mod page;
mod routes;
mod store;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval};

use self::hub::Hub;
use self::keys::Keys;
use self::metrics::Metrics;
pub use self::options::{ServerError, ServerOptions};

/// How many requests work with the directory at once.
const WORKERS: usize = 64;
/// How often the locks that somebody waits for are looked at.
const WATCH: Duration = Duration::from_millis(250);

/// What every request can get at.
#[derive(Clone)]
pub(crate) struct Shared {
    hub: Arc<Hub>,
    keys: Keys,
    websockets: broadcast::Places,
    patience: Duration,
    stopping: watch::Receiver<bool>,
}

/// A server that runs until it is stopped or dropped. Its locks stay held.
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
#[derive(Debug)]
#[must_use = "dropping a server stops it at once"]
pub struct Server {
    address: SocketAddr,
    stopping: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Where it listens: with the port that it was given, if it was told to listen at 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops: no more connections, and none of those that are open is asked for more. Blocks until
    /// what has begun is done, 10 s at most.
    pub fn stop(self) {
        drop(self);
    }

    fn start(options: &ServerOptions) -> Result<Server, ServerError> {
        if options.keys.is_empty() {
            return Err(ServerError::NoKey);
        }
        let tls = options.tls.as_ref().map(tls::acceptor).transpose()?;
        let store = store::Store::open(&options.dir, options.lifetime, options.grace)
            .map_err(ServerError::directory(&options.dir))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .max_blocking_threads(WORKERS)
            .thread_name("linklock-serve")
            .enable_all()
            .build()
            .map_err(ServerError::Start)?;
        let bound = runtime.block_on(tokio::net::TcpListener::bind(options.bind));
        let listener = bound.map_err(ServerError::bind(options.bind))?;
        let address = listener.local_addr().map_err(ServerError::bind(options.bind))?;
        let (stopping, stop) = watch::channel(false);
        let shared = Shared {
            hub: Arc::new(Hub::new(store, Metrics::new())),
            keys: options.keys.clone(),
            websockets: Arc::new(Semaphore::new(options.max_websockets)),
            patience: options.patience,
            stopping: stop,
        };
        let router = routes::router(shared.clone());
        runtime.spawn(look_around(shared.clone(), options.sweep_interval));
        let most = (options.max_connections, options.max_websockets);
        let work = connections::serve(listener, tls, router, shared, most);
        let thread = std::thread::Builder::new().name("linklock-serve".into());
        let thread = thread.spawn(move || run(runtime, work)).map_err(ServerError::Start)?;
        tracing::info!(%address, dir = %options.dir.display(), "serving");
        Ok(Server { address, stopping, thread: Some(thread) })
    }
}

fn run(runtime: Runtime, work: impl Future<Output = ()>) {
    runtime.block_on(work);
    // What hangs in the file system may hang for ever.
    runtime.shutdown_timeout(Duration::from_secs(5));
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic was reported when it happened
        }
    }
}

/// Sweeps the directory, and watches what others do in it.
async fn look_around(shared: Shared, sweep_interval: Duration) {
    let mut stopping = shared.stopping.clone();
    let (mut sweeps, mut looks) = (interval(sweep_interval), interval(WATCH));
    sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let look = tokio::select! {
            _ = sweeps.tick() => Hub::sweep,
            _ = looks.tick() => Hub::watch,
            () = connections::stopped(&mut stopping) => return,
        };
        let hub = shared.hub.clone();
        match tokio::task::spawn_blocking(move || look(&hub)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                shared.hub.metrics.failed_sweeps.inc();
                tracing::error!(%error, "the directory could not be looked through");
            }
            Err(_) => return, // it panicked, which was reported, or we stop
        }
    }
}
