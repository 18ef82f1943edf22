//! The network as wake-up hints see it: a test can put another in its place.

use std::fmt::Debug;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

use super::wake_fd::WakeFd;

/// Opens sockets for hints.
pub(crate) trait HintNetwork: Debug + Send + Sync {
    /// The address of this machine by which it reaches the server of the directory's file system.
    /// `None` if that has no server, or none with an IPv4 address.
    fn local_address(&self, dir: &Path) -> Option<Ipv4Addr>;
    /// A socket on this address, with a port that no other socket has.
    fn open(&self, address: Ipv4Addr) -> Option<Box<dyn HintSocket>>;
}

/// A socket for datagrams, which may be lost. No method blocks.
pub(crate) trait HintSocket: Debug + Send + Sync {
    fn address(&self) -> SocketAddrV4;
    /// Sends a datagram, if that is possible now.
    fn send(&self, to: SocketAddrV4, datagram: &[u8]);
    /// The next datagram that has arrived, and its sender.
    fn receive(&self) -> Option<(SocketAddrV4, Vec<u8>)>;
    /// A descriptor that becomes readable when a datagram arrives. `None` where nothing can wake a
    /// waiter, or where the pause that begins now ends by itself.
    fn wake_fd(&self) -> Option<WakeFd>;
}
