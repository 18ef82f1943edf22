//! What all test programs share: a look at a directory, locks of other programs, processes, clocks,
//! waiting, skipping, and the exclusion checker. The tests of the command and of Relukko use it
//! through a link.

#![allow(dead_code, unused_imports)] // each test program uses a part of it

pub(crate) mod again;
pub(crate) mod child;
pub(crate) mod clock;
pub(crate) mod crowd;
pub(crate) mod disk;
pub(crate) mod elsewhere;
pub(crate) mod exclusion;
#[cfg(target_os = "linux")]
pub(crate) mod fuse;
pub(crate) mod line;
pub(crate) mod process;
pub(crate) mod python;
pub(crate) mod say;
pub(crate) mod wait;
pub(crate) mod worker;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use linklock::Lock;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use tempfile::{TempDir, tempdir};

pub(crate) use again::this_test;
pub(crate) use say::skip;
pub(crate) use wait::wait_until;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// An example, built like the tests, next to them.
pub(crate) fn example(name: &str) -> std::process::Command {
    std::process::Command::new(built(&["--example", name], &format!("examples/{name}")))
}

/// What these arguments have Cargo build, as the tests are, at its place beside them.
pub(crate) fn built(what: &[&str], place: &str) -> PathBuf {
    // TARGET/PROFILE/deps/...
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let mut build = std::process::Command::new(env!("CARGO"));
    build.args(["build", "--quiet"]).args(what).arg("--target-dir");
    build.arg(profile.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR"));
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    assert!(build.status().unwrap().success());
    profile.join(place)
}

/// The names in a directory, sorted.
pub(crate) fn names(dir: &Path) -> Vec<OsString> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

/// The claims, and whatever else is beside a lock file under its name.
pub(crate) fn beside(lock: &Path) -> Vec<PathBuf> {
    let own = [lock.file_name().unwrap().as_encoded_bytes(), b"|"].concat();
    let dir = lock.parent().unwrap();
    let names = names(dir).into_iter();
    names
        .filter(|name| name.as_encoded_bytes().starts_with(&own))
        .map(|name| dir.join(name))
        .collect()
}

/// A directory tree, so that any change to it shows: every write, touch, chmod, link and rename
/// changes a file's ctime. (A directory's own times show no more than its entries.)
pub(crate) fn snapshot(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    for name in names(dir) {
        let path = dir.join(name);
        let meta = fs::symlink_metadata(&path).unwrap();
        let what = format!("inode {}, mode {:o}", meta.ino(), meta.mode());
        if meta.is_dir() {
            all.extend(snapshot(&path));
            all.insert(path, what);
        } else {
            let changed = format!("changed at {}.{:09}", meta.ctime(), meta.ctime_nsec());
            all.insert(path, format!("{what}, {changed}"));
        }
    }
    all
}

/// Locks as flufl.lock on another host would. The holder can't be proven dead. Returns the claim.
pub(crate) fn lock_like_flufl(lock: &Path, expires_at: SystemTime) -> PathBuf {
    let claim = claim_like_flufl(lock, "elsewhere|4711|815", expires_at);
    fs::hard_link(&claim, lock).unwrap();
    claim
}

/// Makes a claim as flufl.lock would: `who` is host, pid and number.
pub(crate) fn claim_like_flufl(lock: &Path, who: &str, expires_at: SystemTime) -> PathBuf {
    let mut claim = lock.as_os_str().to_owned();
    claim.push("|");
    claim.push(who);
    fs::write(&claim, claim.as_encoded_bytes()).unwrap();
    set_lease_end(Path::new(&claim), expires_at);
    claim.into()
}

/// Moves the end of a lease, as if time had passed. By name: the owner of a file may do so without
/// the permission to open it.
pub(crate) fn set_lease_end(file: &Path, expires_at: SystemTime) {
    let mtime = expires_at.duration_since(SystemTime::UNIX_EPOCH).unwrap().into();
    let (atime, flags) = (TimeSpec::UTIME_OMIT, UtimensatFlags::NoFollowSymlink);
    utimensat(AT_FDCWD, file, &atime, &mtime, flags).unwrap();
}

/// A lock in a directory of its own.
pub(crate) fn fresh() -> (TempDir, Lock) {
    let dir = tempdir().unwrap();
    let lock = Lock::new(dir.path().join("lock")).unwrap();
    (dir, lock)
}

/// The end of a lease that is over for long enough, whatever the slop.
pub(crate) fn long_ago() -> SystemTime {
    SystemTime::now() - 48 * HOUR // flufl.lock's claims are kept for a day before they are swept
}

pub(crate) fn far_off() -> SystemTime {
    SystemTime::now() + HOUR
}

pub(crate) fn same_inode(one: &Path, other: &Path) -> bool {
    let id = |path| fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    id(one).is_some() && id(one) == id(other)
}
