//! Descriptors that a forked child does not inherit.
//!
//! When a process dies, the kernel closes its descriptors; that is how the other end of a socket
//! learns of the death. But a child that was forked in the meantime and does not exec has a copy of
//! each descriptor for as long as it lives. So in the child these descriptors are replaced by an
//! unconnected socket. pthread_atfork(3) does this, so it does not happen in a child made by the
//! bare system call clone(2).

use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// One bit for each of the first 65,536 descriptors; any above those are inherited.
static UNSHARED: [AtomicU64; 1024] = [const { AtomicU64::new(0) }; 1024];

/// A value with a descriptor that a forked child does not inherit. Wrap the descriptor as soon as
/// it exists: a child forked before that has a copy.
#[derive(Debug)]
pub(crate) struct Unshared<T: AsFd> {
    mark: Mark, // dropped first: once the descriptor is closed its number may be reused
    it: T,
}

impl<T: AsFd> Unshared<T> {
    pub(crate) fn new(it: T) -> Unshared<T> {
        let mark = Mark::set(it.as_fd().as_raw_fd());
        Unshared { mark, it }
    }

    /// The same descriptor, as another type.
    pub(crate) fn into<U: AsFd + From<T>>(self) -> Unshared<U> {
        Unshared { mark: self.mark, it: self.it.into() }
    }
}

/// The bit of a descriptor, set while this exists.
#[derive(Debug)]
struct Mark(RawFd);

impl Mark {
    fn set(descriptor: RawFd) -> Mark {
        hear_of_forks();
        let (word, bit) = place(descriptor);
        word.fetch_or(bit, Ordering::Relaxed);
        Mark(descriptor)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let (word, bit) = place(self.0);
        word.fetch_and(!bit, Ordering::Relaxed);
    }
}

impl<T: AsFd> Deref for Unshared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.it
    }
}

impl<T: AsFd> AsFd for Unshared<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.it.as_fd()
    }
}

/// The location of a descriptor's bit; for a descriptor that is too high, an arbitrary word and no
/// bit.
fn place(descriptor: RawFd) -> (&'static AtomicU64, u64) {
    let number = usize::try_from(descriptor).unwrap_or(usize::MAX);
    match UNSHARED.get(number / 64) {
        Some(word) => (word, 1 << (number % 64)),
        None => (&UNSHARED[0], 0),
    }
}

fn hear_of_forks() {
    static HEARS: AtomicBool = AtomicBool::new(false);
    if !HEARS.load(Ordering::Acquire) {
        // SAFETY: the handler lives as long as the program, and only does what is safe after a
        // fork.
        #[allow(unsafe_code)]
        unsafe {
            libc::pthread_atfork(None, None, Some(replace));
        }
        // Set only now: another thread may fork in the meantime, and its child must see that the
        // handler is not registered yet. Registering it twice is harmless.
        HEARS.store(true, Ordering::Release);
    }
}

/// Runs in the child, which has only this thread. It may do no more than a signal handler: other
/// threads of the parent may have held any of the C library's locks.
extern "C" fn replace() {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
    let mut unconnected = None;
    for (word, bits) in UNSHARED.iter().enumerate() {
        let mut left = bits.swap(0, Ordering::Relaxed); // from now on they are the child's own
        while left != 0 {
            let descriptor = word * 64 + left.trailing_zeros() as usize;
            left &= left - 1;
            // SAFETY: socket(2) takes numbers only.
            #[allow(unsafe_code)]
            let with =
                *unconnected.get_or_insert_with(|| unsafe { libc::socket(libc::AF_UNIX, kind, 0) });
            // SAFETY: the owner of this descriptor still has a socket, and its number is not freed.
            #[allow(unsafe_code)]
            unsafe {
                libc::dup3(with, RawFd::try_from(descriptor).unwrap_or(-1), libc::O_CLOEXEC);
            }
        }
    }
    if let Some(unconnected) = unconnected {
        // SAFETY: it was created above, and nothing else owns it.
        #[allow(unsafe_code)]
        unsafe {
            libc::close(unconnected);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// The number of a closed descriptor may be reused by any other.
    #[test]
    fn a_descriptor_that_is_closed_has_no_bit() {
        let (one, mut other) = UnixStream::pair().unwrap();
        let one = Unshared::new(one);
        let (word, bit) = place(one.as_raw_fd());
        assert_ne!(word.load(Ordering::Relaxed) & bit, 0);
        drop(one);
        assert_eq!(other.read(&mut [0]).unwrap(), 0, "the descriptor is closed");
        assert_eq!(word.load(Ordering::Relaxed) & bit, 0);
    }

    #[test]
    fn there_is_room_for_any_descriptor() {
        for (descriptor, has_bit) in [(0, true), (65_535, true), (65_536, false), (-1, false)] {
            assert_eq!(place(descriptor).1 != 0, has_bit, "{descriptor}");
        }
    }
}
