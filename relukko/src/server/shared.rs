//! State shared by all requests and connections.

use std::sync::{Arc, RwLock};

use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::access::Access;
use super::keys::Keys;
use super::lists::Lists;
use super::options::ServerOptions;
use super::registry::Registry;

#[derive(Clone)]
pub(crate) struct Shared {
    pub(super) registry: Arc<Registry>,
    pub(super) access: Arc<Access>,
    pub(super) lists: Arc<Lists>,
    pub(super) options: Arc<ServerOptions>,
    pub(super) keys: Arc<RwLock<Keys>>,
    pub(super) tls: Option<Arc<RwLock<TlsAcceptor>>>,
    pub(super) websockets: Arc<Semaphore>,
    pub(super) stopping: watch::Receiver<bool>,
}
