//! Systems on which nothing can wake a waiter have no use for hints.

use std::net::Ipv4Addr;
use std::path::Path;

use crate::sys::hint_socket::{HintNetwork, HintSocket};

/// A network without hints.
#[derive(Debug, Default)]
pub(crate) struct UdpNetwork;

impl HintNetwork for UdpNetwork {
    fn local_address(&self, _dir: &Path) -> Option<Ipv4Addr> {
        None
    }

    fn open(&self, _address: Ipv4Addr) -> Option<Box<dyn HintSocket>> {
        None
    }
}
