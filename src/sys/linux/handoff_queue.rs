//! The queue of the waiters of one host. Only the waiter at its head watches the lock
//! file, so that a release wakes one waiter, not all, and a file server is asked by one.
//!
//! The head has a socket of the abstract namespace (unix(7)), named after the lock. A waiter that comes
//! later connects to it, and so stands in line: the kernel keeps connections in order. The waiter that was
//! at the head keeps the socket while it holds the lock and then passes it on to the next in line
//! (`SCM_RIGHTS`), which is woken by that. If it dies the kernel closes the socket, and all behind
//! it queue up again. There is no file to be left behind, and nothing to break.
//!
//! A place in the queue is a hint, never a right: only the hard link gives the lock. A waiter
//! in line looks at the lock file now and then all the same, for the head may have stopped,
//! or be no linklock at all.
//!
//! Any user of the machine can take the socket's name. So each user has a queue of his own, and
//! nothing is taken from or given to another's process: a socket that another has could be made to
//! block the process that accepts on it.

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
use super::wake_fd::WakeFd;
use crate::sys::fs::process_id;

/// How often to try for a place while others come and go.
const ATTEMPTS: u32 = 8;

/// A place in the queue.
#[derive(Debug)]
pub(crate) enum Place {
    Head(HandoffToken),
    Behind(Queued),
}

/// The place at the head. Dropped, it is passed on to the next in line.
#[derive(Debug)]
pub(crate) struct HandoffToken {
    socket: Unshared<UnixListener>,
    /// A forked child has not the place.
    pid: u32,
    /// For how many turns in a handoffs the lock was passed on within this host.
    pub(crate) handoffs: u64,
}

/// A place in line. If it has just become the first when it is dropped, that is passed on.
#[derive(Debug)]
pub(crate) struct Queued {
    stream: Arc<Unshared<UnixStream>>,
    /// A forked child has not the place.
    pid: u32,
    /// Whether there was word, after which no other comes.
    is_over: bool,
}

/// What is heard in line.
#[derive(Debug)]
pub(crate) enum QueueEvent {
    /// The place at the head is ours.
    Token(HandoffToken),
    /// The waiter at the head has gone without passing it on.
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
                Ok(()) => return HandoffToken::take(socket).ok().map(Place::Head),
                Err(Errno::EADDRINUSE) => {}
                Err(_) => return None,
            }
            match connect(socket.as_raw_fd(), &address) {
                Ok(()) if !is_own(&socket) => return None,
                Ok(()) => return Some(Place::Behind(Queued::on(socket))),
                Err(Errno::ECONNREFUSED) => {} // it is about to listen, or has just gone
                Err(_) => return None,         // EAGAIN: so many are in line that there is no room
            }
        }
        None
    }
}

impl HandoffToken {
    fn take(socket: Unshared<OwnedFd>) -> nix::Result<HandoffToken> {
        listen(&socket, Backlog::MAXCONN)?;
        Ok(HandoffToken::new(socket, 0))
    }

    fn new(socket: Unshared<OwnedFd>, handoffs: u64) -> HandoffToken {
        HandoffToken { socket: socket.into(), pid: process_id(), handoffs }
    }
}

impl Drop for HandoffToken {
    fn drop(&mut self) {
        if self.pid != process_id() {
            return;
        }
        // Some in line may have given up.
        while let Ok((next, _)) = self.socket.accept() {
            let passed = is_own(&next)
                && pass_descriptor(next.as_fd(), self.socket.as_fd(), self.handoffs + 1).is_ok();
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

impl Queued {
    fn on(socket: Unshared<OwnedFd>) -> Queued {
        Queued { stream: Arc::new(socket.into()), pid: process_id(), is_over: false }
    }

    /// Where it can be heard that there is word from the one in front.
    pub(crate) fn wake_fd(&self) -> WakeFd {
        WakeFd::new(self.stream.clone())
    }

    /// The word that has come by now.
    pub(crate) fn event(&mut self) -> QueueEvent {
        let word = match receive_descriptor(self.stream.as_fd()) {
            Ok(Some((socket, handoffs))) => {
                QueueEvent::Token(HandoffToken::new(Unshared::new(socket), handoffs))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return QueueEvent::None,
            Ok(None) | Err(_) => QueueEvent::Gone,
        };
        self.is_over = true;
        word
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        if !self.is_over && self.pid == process_id() {
            self.event();
        }
    }
}

/// Whether a process of the same user is at the other end: the one that began to listen, or connected.
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
        for (handoffs, mut next) in (1..).zip(behind) {
            assert!(matches!(next.event(), QueueEvent::None));
            drop(turn);
            assert!(next.wake_fd().wait(LIMIT), "nothing is to be heard");
            let QueueEvent::Token(passed) = next.event() else { panic!("it was not passed on") };
            assert_eq!(passed.handoffs, handoffs);
            turn = passed;
        }
    }
}
