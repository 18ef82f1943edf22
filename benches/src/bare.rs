//! The floor: the bare system calls, without checks.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::fcntl::AT_FDCWD;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::stat::{UtimensatFlags, futimens, utimensat};
use nix::sys::time::TimeSpec;

use crate::ways::Lockable;

/// The files of both kinds.
#[derive(Debug)]
struct Names {
    lock: PathBuf,
    claim: PathBuf,
    time: TimeSpec,
}

impl Names {
    fn new(lock: &Path) -> Names {
        let claim = Names::claim(lock, 1_000_000_000);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        Names { lock: lock.into(), claim, time: TimeSpec::from_duration(now) }
    }

    fn claim(lock: &Path, nonce: u64) -> PathBuf {
        format!("{}|host.example.org|12345|xb3782547cde5s78a2c{nonce:x}", lock.display()).into()
    }

    fn rename(&mut self, nonce: u64) {
        self.claim = Names::claim(&self.lock, nonce);
    }

    fn make_claim(&self) -> File {
        OpenOptions::new().write(true).create_new(true).open(&self.claim).expect("open")
    }
}

/// The seven system calls that the format needs: open, write, utimensat, close, link; and unlink
/// twice.
#[derive(Debug)]
pub struct Whole {
    names: Names,
    extra: Extra,
    turns: u64,
}

/// The calls besides the seven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// Nothing.
    None,
    /// Two stat calls, which show the server's time and the lock's owner: nine calls.
    Looks,
    /// Those, and a name that no claim had before: the kernel has not cached it, not even as
    /// missing.
    LooksAndNewName,
}

impl Whole {
    /// The calls, on the file system of this lock file.
    #[must_use]
    pub fn new(lock: &Path, extra: Extra) -> Whole {
        Whole { names: Names::new(lock), extra, turns: 1_000_000_000 }
    }
}

impl Lockable for Whole {
    fn lock(&mut self) {
        if self.extra == Extra::LooksAndNewName {
            self.turns += 1;
            self.names.rename(self.turns);
        }
        let Names { lock, claim, time } = &self.names;
        let mut file = self.names.make_claim();
        if self.extra != Extra::None {
            file.metadata().expect("fstat");
        }
        file.write_all(claim.as_os_str().as_encoded_bytes()).expect("write");
        futimens(&file, time, time).expect("utimensat");
        drop(file);
        fs::hard_link(claim, lock).expect("link");
    }

    fn unlock(&mut self) {
        let Names { lock, claim, .. } = &self.names;
        if self.extra != Extra::None {
            fs::symlink_metadata(lock).expect("stat");
        }
        fs::remove_file(lock).expect("unlink");
        fs::remove_file(claim).expect("unlink");
    }
}

/// The three system calls where the claim is kept: utimensat and link; unlink.
#[derive(Debug)]
pub struct Kept(Names);

impl Kept {
    /// The calls, on the file system of this lock file.
    #[must_use]
    pub fn new(lock: &Path) -> Kept {
        let names = Names::new(lock);
        drop(names.make_claim());
        Kept(names)
    }
}

impl Lockable for Kept {
    fn lock(&mut self) {
        let Names { lock, claim, time } = &self.0;
        let no_follow = UtimensatFlags::NoFollowSymlink;
        utimensat(AT_FDCWD, claim, time, time, no_follow).expect("utimensat");
        fs::hard_link(claim, lock).expect("link");
    }

    fn unlock(&mut self) {
        fs::remove_file(&self.0.lock).expect("unlink");
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0.claim);
    }
}

/// The bare loop of a waiter that inotify(7) wakes, over the same files: link, and where the lock is
/// held, watch it, link once more, and sleep until something has happened to it. The claim is made
/// before it waits, and removed first at the release.
#[derive(Debug)]
pub struct Loop {
    names: Names,
    keep: bool,
    inotify: Inotify,
    turns: u64,
}

impl Loop {
    /// The loop, on the file system of this lock file; its claims are new each time, or kept.
    ///
    /// # Panics
    ///
    /// If there is no inotify(7).
    #[must_use]
    pub fn new(lock: &Path, keep: bool) -> Loop {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK);
        let inotify = inotify.expect("an instance");
        let first = u64::from(std::process::id()) << 32; // others contend for the same lock
        let mut bare = Loop { names: Names::new(lock), keep, inotify, turns: first };
        bare.names.rename(first);
        if keep {
            bare.make_claim();
        }
        bare
    }

    fn make_claim(&self) {
        let Names { claim, time, .. } = &self.names;
        let mut file = self.names.make_claim();
        file.write_all(claim.as_os_str().as_encoded_bytes()).expect("write");
        futimens(&file, time, time).expect("utimensat");
    }

    /// Whether the lock is ours now.
    fn link(&self) -> bool {
        match fs::hard_link(&self.names.claim, &self.names.lock) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            Err(error) => panic!("link: {error}"),
        }
    }

    /// Watches the lock file, unless it is gone.
    fn watch(&self) {
        let changes = AddWatchFlags::IN_ATTRIB | AddWatchFlags::IN_DELETE_SELF;
        let _ = self.inotify.add_watch(&self.names.lock, changes);
    }
}

impl Lockable for Loop {
    fn lock(&mut self) {
        if !self.keep {
            self.turns += 1;
            self.names.rename(self.turns);
            self.make_claim();
        }
        while !self.link() {
            self.watch();
            if self.link() {
                break;
            }
            let mut polled = [PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN)];
            poll(&mut polled, PollTimeout::NONE).expect("poll");
            let _ = self.inotify.read_events();
        }
    }

    fn unlock(&mut self) {
        let Names { lock, claim, .. } = &self.names;
        if !self.keep {
            fs::remove_file(claim).expect("unlink");
        }
        fs::remove_file(lock).expect("unlink");
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        if self.keep {
            let _ = fs::remove_file(&self.names.claim);
        }
    }
}
