//! The server's address, and what the client sends with every request.

use std::time::Duration;

use ureq::Proxy;
use ureq::http::{HeaderName, HeaderValue};

use super::tls::Tls;

/// The server may have closed a connection that was idle for longer than this.
pub(super) const LONGEST_IDLE: Duration = Duration::from_secs(5);

pub(super) const USER_AGENT: &str = concat!("linklock-relukko/", env!("CARGO_PKG_VERSION"));

#[derive(Debug)]
pub(super) struct Endpoint {
    /// Without a trailing slash.
    pub(super) base: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) tls: Tls,
    pub(super) proxy: Option<Proxy>,
}

impl Endpoint {
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}
