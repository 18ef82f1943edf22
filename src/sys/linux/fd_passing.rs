//! Waiting for descriptors, and passing one to another process.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use nix::sys::time::TimeSpec;

/// Blocks until one of the descriptors is readable, or for `time`. Returns the index of the first that
/// is readable.
pub(crate) fn wait_readable<'a>(
    descriptors: impl Iterator<Item = BorrowedFd<'a>>,
    time: Duration,
) -> io::Result<Option<usize>> {
    let polled = descriptors.map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN));
    let mut polled: Vec<_> = polled.collect();
    let longest = Duration::from_secs(i32::MAX as u64 / 1000);
    let time = TimeSpec::from_duration(time.min(longest));
    match ppoll(&mut polled, Some(time), None) {
        Ok(0) | Err(Errno::EINTR) => Ok(None), // a signal is like a sleep that ends early
        Ok(_) => Ok(polled.iter().position(|one| one.any().unwrap_or(true))),
        Err(errno) => Err(errno.into()),
    }
}

/// Sends a descriptor and a number through a socket; never blocks.
pub(crate) fn pass_descriptor(
    socket: BorrowedFd<'_>,
    passed: BorrowedFd<'_>,
    number: u64,
) -> io::Result<()> {
    let passed = [passed.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&passed)];
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    let number = number.to_le_bytes();
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(&number)], &rights, flags, None)?;
    Ok(())
}

/// The descriptor and the number received through a socket; `None` if the peer has closed it.
pub(crate) fn receive_descriptor(socket: BorrowedFd<'_>) -> io::Result<Option<(OwnedFd, u64)>> {
    let mut number = [0; 8];
    let mut room = nix::cmsg_space!([RawFd; 1]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
    let mut buffers = [IoSliceMut::new(&mut number)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut buffers, Some(&mut room), flags)?;
    let received = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::ScmRights(received) => received.first().copied(),
        _ => None,
    });
    // SAFETY: recvmsg(2) has just created this descriptor, and only this code owns it.
    #[allow(unsafe_code)]
    let received = received.map(|descriptor| unsafe { OwnedFd::from_raw_fd(descriptor) });
    Ok(received.map(|descriptor| (descriptor, u64::from_le_bytes(number))))
}
