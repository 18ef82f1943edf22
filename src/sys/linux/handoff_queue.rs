//! The queue of those on one host who wait for a lock. Only whoever is at its head watches the lock
//! file, so that a release wakes one waiter, not all, and a file server is asked by one.
//!
//! The head has a socket of the abstract namespace (unix(7)), named after the lock. Whoever comes
//! later connects to it, and so stands in line: the kernel keeps connections in order. Whoever was
//! at the head keeps the socket while it holds the lock and then passes it on to the next in line
//! (`SCM_RIGHTS`), which is woken by that. If it dies the kernel closes the socket, and all behind
//! it queue up anew. There is no file to be left behind, and nothing to break.
//!
//! A place in the queue is a hint, never a right: the lock is had by the hard link alone. Whoever
//! stands in line looks at the lock file now and then all the same, for the head may have stopped,
//! or be no linklock at all.
//!
//! Any user of the machine can take the socket's name. So each user has a queue of his own, and
//! nothing is taken from or given to another's process: a socket that another has could be made to
//! block whoever accepts on it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, Shutdown, SockFlag, SockType, UnixAddr, bind, connect, getsockopt,
    listen, shutdown, socket, sockopt::PeerCredentials,
};
use nix::unistd::geteuid;

use super::fd_passing::{pass_descriptor, receive_descriptor};
use super::unshared::Unshared;
use super::wake_fd::Ear;
use crate::sys::fs::process_id;

/// How often to try for a place while others come and go.
const ATTEMPTS: u32 = 8;

/// A place in the queue.
#[derive(Debug)]
pub(crate) enum Place {
    Head(Turn),
    Behind(Behind),
}

/// The place at the head. Dropped, it is passed on to the next in line.
#[derive(Debug)]
pub(crate) struct Turn {
    socket: Unshared<UnixListener>,
    /// A forked child has not the place.
    pid: u32,
    /// For how many turns in a row the lock was passed on within this host.
    pub(crate) row: u64,
}

/// A place in line. Whoever drops it when it has just become the first passes that on.
#[derive(Debug)]
pub(crate) struct Behind {
    stream: Arc<Unshared<UnixStream>>,
    /// A forked child has not the place.
    pid: u32,
    /// Whether there was word, after which no other comes.
    is_over: bool,
}

/// What is heard in line.
#[derive(Debug)]
pub(crate) enum Word {
    /// The place at the head is ours.
    Turn(Turn),
    /// Whoever was at the head has gone without passing it on.
    Gone,
    /// Nothing yet.
    None,
}

impl Place {
    /// Queues up for a lock. `None` where there is no queue, or no room in it.
    pub(crate) fn join(queue: u64) -> Option<Place> {
        let name = format!("linklock-{}-{queue:016x}", geteuid());
        let address = UnixAddr::new_abstract(name.as_bytes()).ok()?;
        for _ in 0..ATTEMPTS {
            let socket = unconnected().ok()?;
            match bind(socket.as_raw_fd(), &address) {
                Ok(()) => return Turn::take(socket).ok().map(Place::Head),
                Err(Errno::EADDRINUSE) => {}
                Err(_) => return None,
            }
            match connect(socket.as_raw_fd(), &address) {
                Ok(()) if !is_own(&socket) => return None,
                Ok(()) => return Some(Place::Behind(Behind::on(socket))),
                Err(Errno::ECONNREFUSED) => {} // it is about to listen, or has just gone
                Err(_) => return None,         // EAGAIN: so many are in line that there is no room
            }
        }
        None
    }
}

impl Turn {
    fn take(socket: Unshared<OwnedFd>) -> nix::Result<Turn> {
        listen(&socket, Backlog::MAXCONN)?;
        Ok(Turn::new(socket, 0))
    }

    fn new(socket: Unshared<OwnedFd>, row: u64) -> Turn {
        Turn { socket: socket.into(), pid: process_id(), row }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.pid != process_id() {
            return;
        }
        // Some in line may have given up.
        while let Ok((next, _)) = self.socket.accept() {
            let passed = is_own(&next)
                && pass_descriptor(next.as_fd(), self.socket.as_fd(), self.row + 1).is_ok();
            if passed {
                return;
            }
        }
        // Nobody is left, and the queue ends with the socket. A child that the C library knows nothing
        // of may have a copy, where nobody is to queue up any more; who has just done so does it again.
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
        while self.socket.accept().is_ok() {}
    }
}

impl Behind {
    fn on(socket: Unshared<OwnedFd>) -> Behind {
        Behind { stream: Arc::new(socket.into()), pid: process_id(), is_over: false }
    }

    /// Where it can be heard that there is word from the one in front.
    pub(crate) fn ear(&self) -> Ear {
        Ear::new(self.stream.clone())
    }

    /// The word that has come by now.
    pub(crate) fn word(&mut self) -> Word {
        let word = match receive_descriptor(self.stream.as_fd()) {
            Ok(Some((socket, row))) => Word::Turn(Turn::new(Unshared::new(socket), row)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Word::None,
            Ok(None) | Err(_) => Word::Gone,
        };
        self.is_over = true;
        word
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        if !self.is_over && self.pid == process_id() {
            self.word();
        }
    }
}

/// Whether a process of the same user is at the other end: whoever began to listen, or connected.
fn is_own(socket: &impl AsFd) -> bool {
    let peer = getsockopt(socket, PeerCredentials);
    peer.is_ok_and(|peer| peer.uid() == geteuid().as_raw())
}

/// A socket on which nothing blocks.
fn unconnected() -> nix::Result<Unshared<OwnedFd>> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket(AddressFamily::Unix, SockType::Stream, flags, None).map(Unshared::new)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[test]
    fn turns_are_counted_from_one_to_the_next() {
        let queue = 0x1234_5678_9ABC_0000 | u64::from(process_id());
        let Some(Place::Head(mut turn)) = Place::join(queue) else { panic!("it is in use") };
        let behind = [(); 3].map(|()| match Place::join(queue) {
            Some(Place::Behind(behind)) => behind,
            other => panic!("{other:?}"),
        });
        for (row, mut next) in (1..).zip(behind) {
            assert!(matches!(next.word(), Word::None));
            drop(turn);
            assert!(next.ear().listen(LIMIT), "nothing is to be heard");
            let Word::Turn(passed) = next.word() else { panic!("it was not passed on") };
            assert_eq!(passed.row, row);
            turn = passed;
        }
    }
}
