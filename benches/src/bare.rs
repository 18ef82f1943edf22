//! The floor: the bare system calls. Nothing is checked, and nothing made up that could be.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, futimens, utimensat};
use nix::sys::time::TimeSpec;

use crate::ways::Lockable;

/// What both kinds work on.
#[derive(Debug)]
struct Names {
    lock: PathBuf,
    claim: PathBuf,
    time: TimeSpec,
}

impl Names {
    fn new(lock: &Path) -> Names {
        let claim = format!("{}|host.example.org|12345|1234567890123456789", lock.display());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        Names { lock: lock.into(), claim: claim.into(), time: TimeSpec::from_duration(now) }
    }

    fn make_claim(&self) -> File {
        OpenOptions::new().write(true).create_new(true).open(&self.claim).expect("open")
    }
}

/// The seven system calls that the format needs: open, write, utimensat, close, link; and two times
/// unlink. With two looks at the claim, which tell the server's time and whose the lock is, nine.
#[derive(Debug)]
pub struct Whole {
    names: Names,
    looks: bool,
}

impl Whole {
    /// The calls, on the file system of this lock file.
    #[must_use]
    pub fn new(lock: &Path, looks: bool) -> Whole {
        Whole { names: Names::new(lock), looks }
    }
}

impl Lockable for Whole {
    fn lock(&mut self) {
        let Names { lock, claim, time } = &self.names;
        let mut file = self.names.make_claim();
        if self.looks {
            file.metadata().expect("fstat");
        }
        file.write_all(claim.as_os_str().as_encoded_bytes()).expect("write");
        futimens(&file, time, time).expect("utimensat");
        drop(file);
        fs::hard_link(claim, lock).expect("link");
    }

    fn unlock(&mut self) {
        let Names { lock, claim, .. } = &self.names;
        if self.looks {
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
