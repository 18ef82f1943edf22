//! Wake-up hints by UDP.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::path::Path;
use std::sync::Arc;

use super::mount_table;
use super::unshared::Unshared;
use super::wake_fd::WakeFd;
use crate::sys::hint_socket::{HintNetwork, HintSocket};

/// More than any hint has.
const LONGEST: usize = 1024;

/// The machine's network.
#[derive(Debug, Default)]
pub(crate) struct UdpNetwork;

/// A socket that a forked child does not inherit.
#[derive(Debug)]
struct UdpHints {
    socket: Arc<Unshared<UdpSocket>>,
    address: SocketAddrV4,
}

impl HintNetwork for UdpNetwork {
    fn local_address(&self, dir: &Path) -> Option<Ipv4Addr> {
        const ANY_PORT: u16 = 2049; // nothing is sent there
        let server: Ipv4Addr = mount_table::server_of(dir)?.parse().ok()?;
        let probe = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        probe.connect((server, ANY_PORT)).ok()?; // chooses the address, by the table of routes
        match probe.local_addr().ok()? {
            SocketAddr::V4(address) => Some(*address.ip()),
            SocketAddr::V6(_) => None,
        }
    }

    fn open(&self, address: Ipv4Addr) -> Option<Box<dyn HintSocket>> {
        let socket = Unshared::new(UdpSocket::bind((address, 0)).ok()?);
        socket.set_nonblocking(true).ok()?;
        let SocketAddr::V4(address) = socket.local_addr().ok()? else { return None };
        Some(Box::new(UdpHints { socket: Arc::new(socket), address }))
    }
}

impl HintSocket for UdpHints {
    fn address(&self) -> SocketAddrV4 {
        self.address
    }

    fn send(&self, to: SocketAddrV4, datagram: &[u8]) {
        let _ = self.socket.send_to(datagram, to);
    }

    fn receive(&self) -> Option<(SocketAddrV4, Vec<u8>)> {
        let mut room = [0; LONGEST];
        match self.socket.recv_from(&mut room) {
            Ok((length, SocketAddr::V4(from))) => Some((from, room[..length].to_vec())),
            _ => None,
        }
    }

    fn wake_fd(&self) -> Option<WakeFd> {
        Some(WakeFd::new(self.socket.clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_datagram_wakes_its_receiver_and_names_its_sender() {
        let open = || UdpNetwork.open(Ipv4Addr::LOCALHOST).expect("there is a loopback interface");
        let (one, other) = (open(), open());
        let wake_fd = one.wake_fd().unwrap();
        let these = [wake_fd];
        assert_eq!(WakeFd::wait(&these, Duration::ZERO), None);
        assert_eq!(one.receive(), None);
        other.send(one.address(), b"hello");
        let woken = WakeFd::wait(&these, Duration::from_secs(30));
        assert_eq!(woken, Some(0), "nothing has arrived");
        assert_eq!(one.receive(), Some((other.address(), b"hello".to_vec())));
        assert_eq!(one.receive(), None);
    }

    #[test]
    fn a_file_system_without_a_server_has_no_address() {
        assert_eq!(UdpNetwork.local_address(Path::new("/proc/self")), None);
    }
}
