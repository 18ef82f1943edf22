//! State shared by all requests and connections.

use std::sync::{Arc, RwLock};

use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::keys::Keys;
use super::options::ServerOptions;
use super::registry::Registry;

#[derive(Clone)]
pub(crate) struct Shared {
    pub(super) registry: Arc<Registry>,
    pub(super) options: Arc<ServerOptions>,
    pub(super) keys: Arc<RwLock<Keys>>,
    pub(super) tls: Option<Arc<RwLock<TlsAcceptor>>>,
    pub(super) websockets: Arc<Semaphore>,
    pub(super) stopping: watch::Receiver<bool>,
}
