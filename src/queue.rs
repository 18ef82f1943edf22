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

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket,
};

use crate::fs::descriptors::{pass_descriptor, receive_descriptor, wait_readable};
use crate::fs::process_id;

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
    socket: UnixListener,
    /// A forked child has a copy of the socket, but not the place.
    pid: u32,
    /// For how many turns in a row the lock was passed on within this host.
    pub(crate) row: u64,
}

/// A place in line.
#[derive(Debug)]
pub(crate) struct Behind {
    stream: UnixStream,
}

/// What waiting in line came to.
#[derive(Debug)]
pub(crate) enum Word {
    /// The place at the head is ours.
    Turn(Turn),
    /// Whoever was at the head has gone without passing it on.
    Gone,
    /// Nothing in all that time.
    None,
}

impl Place {
    /// Queues up for a lock. `None` where there is no queue, or no room in it.
    pub(crate) fn join(queue: u64) -> Option<Place> {
        let address = UnixAddr::new_abstract(format!("linklock-{queue:016x}").as_bytes()).ok()?;
        for _ in 0..ATTEMPTS {
            let socket = unconnected().ok()?;
            match bind(socket.as_raw_fd(), &address) {
                Ok(()) => return Turn::take(socket).ok().map(Place::Head),
                Err(Errno::EADDRINUSE) => {}
                Err(_) => return None,
            }
            match connect(socket.as_raw_fd(), &address) {
                Ok(()) => return Some(Place::Behind(Behind { stream: socket.into() })),
                Err(Errno::ECONNREFUSED) => {} // it is about to listen, or has just gone
                Err(_) => return None,         // EAGAIN: so many are in line that there is no room
            }
        }
        None
    }
}

impl Turn {
    fn take(socket: OwnedFd) -> nix::Result<Turn> {
        listen(&socket, Backlog::MAXCONN)?;
        Ok(Turn { socket: socket.into(), pid: process_id(), row: 0 })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.pid != process_id() {
            return;
        }
        // Some in line may have given up. Where nobody is left, the queue ends with the socket.
        while let Ok((next, _)) = self.socket.accept() {
            if pass_descriptor(next.as_fd(), self.socket.as_fd(), self.row + 1).is_ok() {
                return;
            }
        }
    }
}

impl Behind {
    /// Waits for word from the one in front.
    pub(crate) fn wait(&self, time: Duration) -> Word {
        match wait_readable(self.stream.as_fd(), time) {
            Ok(false) => Word::None,
            Ok(true) => match receive_descriptor(self.stream.as_fd()) {
                Ok(Some((socket, row))) => {
                    Word::Turn(Turn { socket: socket.into(), pid: process_id(), row })
                }
                Ok(None) | Err(_) => Word::Gone,
            },
            Err(_) => Word::Gone,
        }
    }
}

/// A socket on which nothing blocks.
fn unconnected() -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket(AddressFamily::Unix, SockType::Stream, flags, None)
}

#[cfg(test)]
mod tests {
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
        for (row, next) in (1..).zip(behind) {
            assert!(matches!(next.wait(Duration::ZERO), Word::None));
            drop(turn);
            let Word::Turn(passed) = next.wait(LIMIT) else { panic!("it was not passed on") };
            assert_eq!(passed.row, row);
            turn = passed;
        }
    }
}
