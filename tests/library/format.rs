//! The files follow the guide's chapter `format`. These tests check that from outside: they take
//! apart what the library writes, and write what it has to read, by code that was written after the
//! chapter and shares nothing with the library. (The chapter's test vectors are checked in
//! `src/guide.rs`.)

use std::ffi::OsStr;
use std::fs::{self, hard_link, symlink_metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::kit::again::alone;
use crate::kit::clock::ManualClock;
use crate::kit::wait::LIMIT;
use crate::kit::{beside, far_off, fresh, long_ago, names, same_inode, set_lease_end};
use linklock::{Error, Format, Life, Lock, Owner};
use nix::sys::stat::{Mode, umask};
use tempfile::tempdir;

/// A claim's name, taken apart.
struct Name {
    host: String,
    pid: String,
    nonce: String,
}

fn take_apart(claim: &Path) -> Name {
    let name = claim.file_name().unwrap().to_str().unwrap();
    let fields: Vec<_> = name.split('|').map(str::to_owned).collect();
    let [_base, host, pid, nonce] = fields.try_into().expect("four fields");
    Name { host, pid, nonce }
}

/// `random`, and `world`, `started` and `boot` if present.
fn parts(nonce: &str) -> (&str, Option<(&str, &str, &str)>) {
    let rest = nonce.strip_prefix('x').expect("it is one of this library's");
    let (random, rest) = rest.split_at(16);
    let proof = rest.strip_prefix('w').map(|rest| {
        let (world, rest) = rest.split_once('s').unwrap();
        let (started, boot) = rest.split_once('k').unwrap();
        (world, started, boot)
    });
    let all = [Some(random), proof.map(|it| it.0), proof.map(|it| it.1), proof.map(|it| it.2)];
    for digits in all.into_iter().flatten() {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        assert!(digits.bytes().all(is_hex), "{nonce}");
    }
    (random, proof)
}

fn fnv_1a(text: &str) -> u64 {
    let mut hash: u64 = 14_695_981_039_346_656_037;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(1_099_511_628_211);
    }
    hash
}

/// The date of a claim, in the server's time.
fn lease_end(path: &Path) -> Duration {
    let time = symlink_metadata(path).unwrap().modified().unwrap();
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

/// Writes a claim as the chapter describes it, beside the lock file.
fn claim_by_hand(lock: &Path, who: &str, ends: SystemTime) -> PathBuf {
    let claim = PathBuf::from(format!("{}|{who}", lock.display()));
    fs::write(&claim, claim.as_os_str().as_bytes()).unwrap();
    set_lease_end(&claim, ends);
    claim
}

#[test]
fn a_claims_name_follows_the_format() {
    let (_dir, lock) = fresh();
    let guard = lock.lock().unwrap();
    let name = take_apart(guard.claim_path());
    assert_eq!(name.host, lock.host_name().to_str().unwrap());
    assert_eq!(name.pid, std::process::id().to_string());
    let (random, proof) = parts(&name.nonce);
    if let Ok(boot) = fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        let link = |name| {
            let link = fs::read_link(format!("/proc/self/ns/{name}")).unwrap_or_default();
            link.to_str().unwrap().to_owned()
        };
        let world = fnv_1a(&format!("{}\n{}\n{}", boot.trim(), link("pid"), link("time")));
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        let (_, after_command) = stat.rsplit_once(") ").unwrap();
        let started: u64 = after_command.split(' ').nth(22 - 3).unwrap().parse().unwrap();
        let hashes =
            (format!("{:012x}", world >> 16), format!("{:08x}", fnv_1a(boot.trim()) >> 32));
        let expected = (&*hashes.0, &*format!("{started:x}"), &*hashes.1);
        assert_eq!(proof, Some(expected));
    }
    drop(guard);
    let again = lock.lock().unwrap();
    assert_ne!(parts(&take_apart(again.claim_path()).nonce).0, random);
}

#[cfg(target_os = "linux")]
#[test]
fn a_claim_says_where_its_process_can_be_asked_for_hints() {
    use std::net::{Ipv4Addr, UdpSocket};

    let (dir, plain) = fresh();
    let options = Lock::options(dir.path().join("lock")).wake_hints(true);
    let nowhere = options.clone().build().unwrap().lock().unwrap();
    assert!(!take_apart(nowhere.claim_path()).nonce.contains('u'), "the mount has no server");
    drop(nowhere);
    let guard = options.wake_address(Ipv4Addr::LOCALHOST).build().unwrap().lock().unwrap();
    let nonce = take_apart(guard.claim_path()).nonce;
    let (rest, address) = nonce.split_once('u').unwrap();
    parts(rest);
    let (ip, port) = address.split_at(8);
    assert_eq!(ip, "7f000001");
    let port = u16::from_str_radix(port, 16).unwrap();
    let taken = UdpSocket::bind((Ipv4Addr::LOCALHOST, port));
    assert!(taken.is_err(), "it has no socket there");
    assert_eq!(plain.holder().unwrap().expect("it is held").life(), Life::Alive);
}

#[test]
fn a_claim_names_no_process_if_only_its_lease_counts() {
    let (_dir, lock) = fresh();
    let claim = lock.lock().unwrap().detach(Owner::Lease).unwrap();
    let name = take_apart(&claim);
    assert_eq!((&*name.pid, parts(&name.nonce).1), ("1", None));
    lock.adopt(claim).unwrap().unlock().unwrap();
}

#[test]
fn a_claim_contains_its_path_and_is_dated_the_end_of_its_lease() {
    alone!(); // the umask is the whole process's
    let (_dir, lock) = fresh();
    let guard = lock.lock().unwrap();
    let claim = guard.claim_path();
    assert_eq!(fs::read(claim).unwrap(), claim.as_os_str().as_bytes());
    let attributes = symlink_metadata(claim).unwrap();
    let mask = umask(Mode::empty());
    umask(mask);
    assert_eq!(attributes.permissions().mode() & 0o7777, 0o666 & !mask.bits());
    assert!(same_inode(claim, lock.path()));
    assert_eq!(attributes.nlink(), 2);

    // After a refresh, which changes only the mtime, and the ctime with it.
    guard.refresh().unwrap();
    let ends = lease_end(claim);
    assert_eq!(ends.subsec_nanos() % 1000, 0, "whole microseconds");
    let attributes = symlink_metadata(claim).unwrap();
    let (seconds, nanoseconds) = (attributes.ctime(), attributes.ctime_nsec());
    let touched = Duration::new(seconds.try_into().unwrap(), nanoseconds.try_into().unwrap());
    // The server's time stamps may be some clock ticks behind; and this process may be slow.
    let (early, late) = (Duration::from_secs(1), LIMIT);
    assert!(ends + early >= touched + lock.lifetime(), "{ends:?} {touched:?}");
    assert!(ends <= touched + lock.lifetime() + late, "{ends:?} {touched:?}");
}

#[test]
fn a_lock_that_another_implementation_has_taken_is_respected() {
    let (_dir, lock) = fresh();
    for (nonce, format) in [
        ("x0123456789abcdef", Format::Linklock),
        ("x0123456789abcdefw0123456789abs1f4", Format::Linklock),
        ("y1", Format::Linklock), // of a future form
        ("8150815", Format::FluflLock),
    ] {
        let claim = claim_by_hand(lock.path(), &format!("mars|4711|{nonce}"), far_off());
        hard_link(&claim, lock.path()).unwrap();
        let error = lock.try_lock().unwrap_err();
        let holder = error.holder().expect("it is held");
        assert_eq!((holder.host(), holder.pid()), (OsStr::new("mars"), 4711));
        assert_eq!((holder.format(), holder.life()), (format, Life::Unknown));
        assert_eq!(holder.claim_path(), claim);
        fs::remove_file(lock.path()).unwrap();
        fs::remove_file(claim).unwrap();
    }
}

/// Takes over a stale lock within this wait, while claims of others occupy so many of the first
/// seats of this key. They have just got there, and may act for 15 seconds.
#[track_caller]
fn take_over(nonce: &str, key: &str, seats: usize, wait: Duration) -> Result<(), Error> {
    let dir = tempdir().unwrap();
    let lock = Lock::options(dir.path().join("lock")).clock(ManualClock::new()).build().unwrap();
    let claim = claim_by_hand(lock.path(), &format!("mars|4711|{nonce}"), long_ago());
    hard_link(&claim, lock.path()).unwrap();
    for number in 0..seats {
        let breaker = claim_by_hand(lock.path(), &format!("venus|{number}|x{number}"), far_off());
        let seat = format!("{}|break|{key}|{number}", lock.path().display());
        hard_link(breaker, seat).unwrap();
    }
    let taken = lock.try_lock_for(wait);
    let is_seat = |path: &PathBuf| path.to_string_lossy().contains("|break|");
    let seats_left = beside(lock.path()).iter().filter(|path| is_seat(path)).count();
    let Ok(guard) = taken else {
        assert!(same_inode(lock.path(), &claim), "it was touched");
        assert_eq!(seats_left, seats, "none is removed while the lock file is what it was");
        return taken.map(drop);
    };
    assert!(!claim.exists());
    let are_its_own = key.contains(nonce);
    assert_eq!(seats_left, if are_its_own { 0 } else { seats });
    guard.unlock()?;
    assert!(!lock.path().exists());
    drop(dir);
    Ok(())
}

#[test]
fn a_breaker_in_its_seat_goes_first_and_is_passed_over_when_the_seat_expires() {
    // The seat's lease, and the clock slop.
    const SEAT: Duration = Duration::from_secs(15 + 10);
    for (nonce, key) in [("x0123456789abcdef", "x0123456789abcdef"), ("8150815", "n8150815")] {
        take_over(nonce, key, 0, Duration::ZERO).unwrap();
        for seats in 1..3 {
            let error = take_over(nonce, key, seats, SEAT / 2).unwrap_err();
            assert!(error.is_contention(), "{error:?}");
            take_over(nonce, key, seats, SEAT * 3).unwrap();
        }
        // A seat of another tenure does not count.
        take_over(nonce, "x1", 1, Duration::ZERO).unwrap();
    }
}

#[test]
fn counting_goes_on_from_a_counter_set_by_hand() {
    let (dir, _) = fresh();
    let path = dir.path().join("numbered");
    let lock = Lock::options(&path).fencing(true).build().unwrap();
    assert_eq!(lock.lock().unwrap().token(), Some(1));
    let fence = dir.path().join("numbered.fence");
    assert_eq!(names(&fence), ["1"]);
    fs::rename(fence.join("1"), fence.join("41")).unwrap();
    fs::write(fence.join("0099"), "").unwrap(); // no counter
    assert_eq!(lock.lock().unwrap().token(), Some(42));
    assert_eq!(names(&fence), ["0099", "42"]);
}
