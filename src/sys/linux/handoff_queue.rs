//! The queue of one host's waiters. Only the waiter at its head watches the lock file, so a release
//! wakes one waiter instead of all, and only one of them polls the file server.
//!
//! The head listens on a socket in the abstract namespace (unix(7)), named after the lock. A later
//! waiter connects to it and is thereby queued: the kernel keeps connections in order. The head
//! keeps the socket while it holds the lock, unless the lock was free when it came: then the next
//! waiter is the head at once. After the release it passes the socket to the next waiter in the queue
//! (`SCM_RIGHTS`), which wakes that waiter. If the head dies, the kernel closes the socket, and all
//! waiters behind it queue up again. No file can be left behind, and nothing has to be broken.
//!
//! A place in the queue is a hint, never a right: only the hard link acquires the lock. A queued
//! waiter still checks the lock file now and then, because the head may be stopped, or may not be a
//! linklock process at all.
//!
//! Any user of the machine can bind the socket's name. So each user has a separate queue, and
//! nothing is accepted from or given to another user's process: a process that accepts on a socket
//! can be made to block by another user who also holds it.

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

/// How often to try to join while other waiters come and go.
const ATTEMPTS: u32 = 8;

/// A place in the queue.
#[derive(Debug)]
pub(crate) enum Place {
    Head(HandoffToken),
    Behind(Queued),
}

/// The place at the head. Dropping it passes it on to the next waiter in the queue.
#[derive(Debug)]
pub(crate) struct HandoffToken {
    socket: Unshared<UnixListener>,
    /// What it came by. It is closed with the token, when nobody waits for that.
    _received_on: Option<Arc<Unshared<UnixStream>>>,
    /// A forked child does not own the place.
    pid: u32,
    /// How many times in a row the lock has been passed on within this host.
    pub(crate) handoffs: u64,
}

/// A place in the queue behind the head. If it is handed the head's place just as it is dropped, it
/// passes that on.
#[derive(Debug)]
pub(crate) struct Queued {
    stream: Arc<Unshared<UnixStream>>,
    /// A forked child does not own the place.
    pid: u32,
    /// Whether the final event has arrived; no other follows it.
    is_over: bool,
}

/// An event that a queued waiter can receive.
#[derive(Debug)]
pub(crate) enum QueueEvent {
    /// The place at the head is ours.
    Token(HandoffToken),
    /// The waiter at the head is gone, and has not passed on its place.
    Gone,
    /// No event yet.
    None,
}

impl Place {
    /// Joins the queue for a lock. `None` where there is no queue, or no room in it.
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
                Err(_) => return None,         // EAGAIN: the queue is full
            }
        }
        None
    }
}

impl HandoffToken {
    fn take(socket: Unshared<OwnedFd>) -> nix::Result<HandoffToken> {
        listen(&socket, Backlog::MAXCONN)?;
        Ok(HandoffToken::new(socket, None, 0))
    }

    fn new(
        socket: Unshared<OwnedFd>,
        received_on: Option<Arc<Unshared<UnixStream>>>,
        handoffs: u64,
    ) -> HandoffToken {
        let (socket, pid) = (socket.into(), process_id());
        HandoffToken { socket, _received_on: received_on, pid, handoffs }
    }
}

impl Drop for HandoffToken {
    fn drop(&mut self) {
        if self.pid != process_id() {
            return;
        }
        // Some queued waiters may have given up.
        while let Ok((next, _)) = self.socket.accept() {
            let passed = is_own(&next)
                && pass_descriptor(next.as_fd(), self.socket.as_fd(), self.handoffs + 1).is_ok();
            if passed {
                return;
            }
        }
        // No waiter is left, and the queue ends with the socket. A child that was made without the
        // C library may have a copy of the socket; the shutdown keeps waiters from queueing up
        // there. A waiter that has just connected is closed, and joins again.
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
        while self.socket.accept().is_ok() {}
    }
}

impl Queued {
    fn on(socket: Unshared<OwnedFd>) -> Queued {
        Queued { stream: Arc::new(socket.into()), pid: process_id(), is_over: false }
    }

    /// A descriptor that becomes readable when an event from the head arrives.
    pub(crate) fn wake_fd(&self) -> WakeFd {
        WakeFd::new(self.stream.clone())
    }

    /// The event that has arrived by now, if any.
    pub(crate) fn event(&mut self) -> QueueEvent {
        let word = match receive_descriptor(self.stream.as_fd()) {
            Ok(Some((socket, handoffs))) => {
                let received_on = Some(self.stream.clone());
                let token = HandoffToken::new(Unshared::new(socket), received_on, handoffs);
                QueueEvent::Token(token)
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

/// Whether the peer, that is the process that called listen(2) or connect(2), belongs to the same
/// user.
fn is_own(socket: &impl AsFd) -> bool {
    let peer = getsockopt(socket, PeerCredentials);
    peer.is_ok_and(|peer| peer.uid() == geteuid().as_raw())
}

/// A non-blocking socket.
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
    fn handoffs_are_counted_from_one_waiter_to_the_next() {
        let queue = 0x1234_5678_9ABC_0000 | u64::from(process_id());
        let Some(Place::Head(mut turn)) = Place::join(queue) else { panic!("the queue is in use") };
        let behind = [(); 3].map(|()| match Place::join(queue) {
            Some(Place::Behind(behind)) => behind,
            other => panic!("{other:?}"),
        });
        for (handoffs, mut next) in (1..).zip(behind) {
            assert!(matches!(next.event(), QueueEvent::None));
            drop(turn);
            assert!(WakeFd::wait(&[next.wake_fd()], LIMIT).is_some(), "no event arrived");
            let QueueEvent::Token(passed) = next.event() else {
                panic!("the place was not passed on")
            };
            assert_eq!(passed.handoffs, handoffs);
            turn = passed;
        }
    }
}
