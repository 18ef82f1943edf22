//! The sockets for wake-up hints, as a process uses them.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

use super::network::Datagram;
use super::world::{Process, Waiting, World};
use crate::model::hint::Hint;
use crate::sys::hint_socket::{HintNetwork, HintSocket};
use crate::sys::wake_fd::WakeFd;

impl World {
    /// A datagram arrives, or is lost if the socket is gone. It ends a pause of its receiver.
    pub(super) fn deliver(&mut self, number: usize) {
        let datagram = self.network.datagrams.remove(number);
        let Some((owner, arrived)) = self.network.sockets.get_mut(&datagram.to) else { return };
        let owner = *owner;
        arrived.push(datagram);
        if self.network.listening.contains(&owner) {
            if let Waiting::Time(until) = &mut self.processes[owner].waiting {
                *until = self.now.min(*until);
            }
        }
        self.note(owner, || "receives a datagram".to_owned());
    }
}

/// The network as one process sees it.
#[derive(Debug)]
pub(super) struct SimNetwork(pub(super) Process);

impl HintNetwork for SimNetwork {
    fn local_address(&self, _dir: &Path) -> Option<Ipv4Addr> {
        let world = self.0.world();
        let machine = world.processes[world.running].client;
        Some(Ipv4Addr::new(10, 0, 0, u8::try_from(machine + 1).unwrap_or_default()))
    }

    fn open(&self, address: Ipv4Addr) -> Option<Box<dyn HintSocket>> {
        let mut world = self.0.world();
        let running = world.running;
        world.network.last_port += 1;
        let address = SocketAddrV4::new(address, world.network.last_port);
        world.network.sockets.insert(address, (running, Vec::new()));
        Some(Box::new(SimSocket { process: self.0.clone(), address }))
    }
}

#[derive(Debug)]
struct SimSocket {
    process: Process,
    address: SocketAddrV4,
}

impl HintSocket for SimSocket {
    fn address(&self) -> SocketAddrV4 {
        self.address
    }

    fn send(&self, to: SocketAddrV4, datagram: &[u8]) {
        if self.process.has_crashed() {
            return;
        }
        let mut world = self.process.world();
        let running = world.running;
        world.note(running, || format!("sends {:?} to {to}", Hint::decode(datagram)));
        world.network.send(Datagram { from: self.address, to, content: datagram.to_vec() });
    }

    fn receive(&self) -> Option<(SocketAddrV4, Vec<u8>)> {
        let mut world = self.process.world();
        let (_, arrived) = world.network.sockets.get_mut(&self.address)?;
        (!arrived.is_empty()).then(|| arrived.remove(0)).map(|first| (first.from, first.content))
    }

    /// The pause that begins now ends when a datagram arrives; one that has arrived already ends it at
    /// once.
    fn wake_fd(&self) -> Option<WakeFd> {
        let mut world = self.process.world();
        let running = world.running;
        world.network.listening.insert(running);
        None
    }
}

impl Drop for SimSocket {
    fn drop(&mut self) {
        self.process.world().network.sockets.remove(&self.address);
    }
}
