//! The operations that locks are made of, checked one by one.

use std::fs::{self, File, FileTimes, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use linklock::{Error, Life, Lock};
#[cfg(target_os = "linux")]
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::finding::{Finding, Grade};
use super::scratch::Scratch;
use crate::cleaned::cleaned;
use crate::time;

/// Below this, an offset is only the time that it takes to ask the server.
const SAME: f64 = 0.05;
/// A clock difference that an administrator should look into; locks do not depend on it.
const ODD_OFFSET: f64 = 5.0;
/// A date that is off by more than this, in seconds, is a different date.
const COARSE: f64 = 2.0;
/// Above this, acquiring and releasing a lock is slow for any file system.
const SLOW: Duration = Duration::from_millis(200);
const ROUNDS: usize = 20;

/// The result of a check, or the error that prevented it.
pub(super) type Found = Result<(Grade, String), String>;

/// Checks that a lock repeats, or can do without: if it is acquired and released, none of these is bad.
const TRIED_BY_LOCK: [&str; 7] =
    ["removal", "names", "exclusive create", "hard links", "time stamps", "rename", "notification"];

type Check = (&'static str, fn(&Scratch) -> Found);

pub(super) fn all(scratch: &Scratch, lock_works: bool) -> Vec<Finding> {
    let checks: [Check; 12] = [
        ("cleaning", cleaning),
        ("removal", removal),
        ("readable", readable),
        ("names", names),
        ("exclusive create", exclusive_create),
        ("hard links", hard_links),
        ("time stamps", time_stamps),
        ("rename", rename),
        ("notification", notification),
        ("clock", clock),
        ("dead holders", dead_holders),
        ("speed", speed),
    ];
    let mut findings: Vec<_> =
        checks.map(|(name, check)| finding(name, check(scratch))).into_iter().collect();
    if lock_works {
        for finding in findings.iter_mut().filter(|it| TRIED_BY_LOCK.contains(&it.check)) {
            finding.grade = finding.grade.min(Grade::Note);
        }
    }
    findings
}

pub(super) fn finding(check: &'static str, found: Found) -> Finding {
    match found {
        Ok((grade, text)) => Finding { check, grade, text },
        Err(text) => Finding { check, grade: Grade::Bad, text },
    }
}

/// In a sticky directory only root can remove another user's files.
pub(super) fn sticky(dir: &Path) -> Option<Finding> {
    const STICKY: u32 = 0o1000;
    dir.metadata().ok().filter(|it| it.mode() & STICKY != 0)?;
    let text =
        "sticky: a lock that one user has left can be broken only by that user and root".to_owned();
    Some(Finding { check: "permissions", grade: Grade::Note, text })
}

fn good(text: &str) -> (Grade, String) {
    (Grade::Good, text.to_owned())
}

/// An error with the operation that failed.
pub(super) fn to(act: &str) -> impl FnOnce(io::Error) -> String {
    move |error| format!("failed to {act}: {error}")
}

pub(super) fn create(path: &Path) -> io::Result<File> {
    let create = || OpenOptions::new().write(true).create_new(true).open(path);
    for _ in 0..20 {
        match create() {
            // Linux's SMB client returns this for a file that was used by another name a moment
            // ago.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                let _ = fs::remove_file(path);
                std::thread::sleep(Duration::from_millis(100));
            }
            created => return created,
        }
    }
    create()
}

fn look(path: &Path) -> Result<Metadata, String> {
    path.symlink_metadata().map_err(to("get the attributes of a file"))
}

/// Whether old files are removed here, by systemd-tmpfiles for example.
#[allow(clippy::unnecessary_wraps)] // like all checks
fn cleaning(scratch: &Scratch) -> Found {
    let note = |dir| {
        let text = format!(
            "files in {dir} are removed by age or at boot: also the counter of --fence, after which \
             tokens begin at 1 again"
        );
        (Grade::Note, text)
    };
    Ok(cleaned(scratch.dir()).map_or_else(|| good("nothing is known to remove old files"), note))
}

/// Checked in the directory itself: a new directory in it would not be append-only.
fn removal(scratch: &Scratch) -> Found {
    let mut path = scratch.dir().as_os_str().to_owned();
    path.push(".file");
    create(Path::new(&path)).map_err(to("create a file"))?;
    fs::remove_file(&path).map_err(to("remove a file (is the directory append-only?)"))?;
    Ok(good("files can be removed"))
}

/// A user who may not read a lock file sees that the lock is held, but not by which process.
fn readable(scratch: &Scratch) -> Found {
    let path = scratch.path("readable");
    create(&path).map_err(to("create a file"))?;
    let mode = look(&path)?.mode() & 0o777;
    Ok(if mode & 0o044 == 0o044 {
        good("by every user")
    } else {
        let text = format!(
            "lock files get mode {mode:04o} here, by this umask or a default ACL: other users cannot see \
             which process holds a lock"
        );
        (Grade::Note, text)
    })
}

/// A lock's longest file name is that of a claim: the lock's name, the host's, a number and 60
/// bytes more.
fn names(scratch: &Scratch) -> Found {
    let answer = nix::sys::statvfs::statvfs(scratch.dir());
    let most = answer.map_err(|errno| format!("failed to ask for the longest name: {errno}"))?;
    match most.name_max() {
        255.. => Ok(good("up to 255 bytes")),
        most => Ok((
            Grade::Note,
            format!("only up to {most} bytes: locks with long names are refused here"),
        )),
    }
}

fn exclusive_create(scratch: &Scratch) -> Found {
    let path = scratch.path("file");
    create(&path).map_err(to("create a file"))?;
    match create(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Ok(good("a file is made once"))
        }
        Err(error) => Err(format!("a second creation fails with: {error}")),
        Ok(_) => Err("an existing file is created again".to_owned()),
    }
}

fn hard_links(scratch: &Scratch) -> Found {
    let (file, link, other) = (scratch.path("linked"), scratch.path("link"), scratch.path("other"));
    create(&file).and_then(|_| create(&other)).map_err(to("create a file"))?;
    fs::hard_link(&file, &link).map_err(to("make a hard link"))?;
    match fs::hard_link(&other, &link) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(format!("a link to a name that is taken fails with: {error}")),
        Ok(()) => return Err("a link replaces a name that is taken".to_owned()),
    }
    // These attributes may come from a cache. `lock` checks whether a lock can use the links.
    let (one, two) = (look(&file)?, look(&link)?);
    if (one.dev(), one.ino()) != (two.dev(), two.ino()) {
        return Ok((Grade::Note, "the two names of a file have different inodes".to_owned()));
    }
    if (one.nlink(), two.nlink()) != (2, 2) {
        let count = one.nlink();
        return Ok((Grade::Note, format!("a file with two names has a link count of {count}")));
    }
    fs::remove_file(&link).map_err(to("remove a link"))?;
    match look(&file)?.nlink() {
        1 => Ok(good("made only once, and counted")),
        count => Ok((Grade::Note, format!("a file with one name has a link count of {count}"))),
    }
}

/// Sets a date as a lease does: both times, since some file systems set both or neither. `lock`
/// checks whether the date that is kept is good enough.
fn stamped(path: &Path, since_1970: Duration) -> Result<(f64, u32), String> {
    let wanted = SystemTime::UNIX_EPOCH + since_1970;
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    let file = file.map_err(to("create a file"))?;
    let times = FileTimes::new().set_accessed(wanted).set_modified(wanted);
    file.set_times(times).map_err(to("set a time stamp"))?;
    drop(file);
    let kept = look(path)?.modified().map_err(to("read a time stamp"))?;
    let nanoseconds =
        kept.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    Ok((time::signed_seconds(wanted, kept).abs(), nanoseconds))
}

fn time_stamps(scratch: &Scratch) -> Found {
    let (path, nanoseconds) = (scratch.path("stamped"), 123_456_789);
    let (off, kept) = stamped(&path, Duration::new(2_000_000_000, nanoseconds))?;
    let (off_later, _) = stamped(&path, Duration::new(4_000_000_000, nanoseconds))?;
    if off <= COARSE && off_later > COARSE {
        return Ok((Grade::Note, "they end in 2038: no lease can end later".to_owned()));
    }
    match kept {
        _ if off > COARSE => Ok((
            Grade::Note,
            format!("a time stamp differs by {off:.0} s from the one that was set"),
        )),
        123_456_789 => Ok(good("to the nanosecond")),
        123_456_700 => Ok(good("to 100 nanoseconds")),
        123_456_000 => Ok(good("to the microsecond")),
        _ => Ok((
            Grade::Note,
            format!("not exact: it differs by {off:.3} s; use much longer lifetimes"),
        )),
    }
}

fn rename(scratch: &Scratch) -> Found {
    let (from, to_path) = (scratch.path("from"), scratch.path("to"));
    create(&from).and_then(|_| create(&to_path)).map_err(to("create a file"))?;
    let before = look(&from)?;
    fs::rename(&from, &to_path).map_err(to("rename a file"))?;
    if look(&to_path)?.ino() == before.ino() && !from.exists() {
        Ok(good("replaces an existing file, and keeps the file's identity"))
    } else {
        Err("a renamed file becomes another file".to_owned())
    }
}

/// Matters for speed only: without it, waiters poll.
#[cfg(target_os = "linux")]
fn notification(scratch: &Scratch) -> Found {
    let path = scratch.path("watched");
    create(&path).map_err(to("create a file"))?;
    let watched = || -> nix::Result<bool> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        inotify.add_watch(&path, AddWatchFlags::IN_ATTRIB | AddWatchFlags::IN_DELETE_SELF)?;
        fs::remove_file(&path).map_err(|_| nix::errno::Errno::EIO)?;
        Ok(inotify.read_events().is_ok_and(|events| !events.is_empty()))
    };
    match watched() {
        Ok(true) => Ok(good("inotify reports changes made by this machine")),
        Ok(false) => Ok((Grade::Note, "inotify reports nothing: waiters poll".to_owned())),
        Err(errno) => Ok((Grade::Note, format!("no inotify ({errno}): waiters poll"))),
    }
}

#[cfg(not(target_os = "linux"))]
#[allow(clippy::unnecessary_wraps)] // as all checks are
fn notification(_: &Scratch) -> Found {
    Ok((Grade::Note, "this system has no inotify: waiters poll".to_owned()))
}

/// Acquires and releases a lock in the directory itself: the verdict, by the lock's own checks.
pub(super) fn lock(path: &Path) -> Result<(), Error> {
    let guard = Lock::new(path)?.try_lock()?;
    guard.refresh()?;
    match Lock::new(path)?.try_lock() {
        Err(error) if error.is_contention() => {}
        other => return other.map(drop),
    }
    guard.verify()?;
    guard.unlock()
}

/// What the lock has left behind, or that it has left nothing.
pub(super) fn after_lock(path: &Path) -> Found {
    let (dir, name) = (path.parent().unwrap_or(path), path.file_name().unwrap_or_default());
    let name = name.as_encoded_bytes();
    let is_its = |entry: &fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(name);
    let entries = fs::read_dir(dir).map_err(to("list the directory"))?;
    match entries.flatten().find(is_its) {
        None => Ok(good("acquired, refreshed, refused to another and released")),
        Some(left) => Err(format!("{} was left behind", left.path().display())),
    }
}

fn clock(scratch: &Scratch) -> Found {
    let lock = Lock::new(scratch.path("timed")).map_err(|error| error.to_string())?;
    let server = lock.server_time().map_err(|error| error.to_string())?;
    let offset = time::signed_seconds(server, SystemTime::now());
    let text = if offset.abs() < SAME {
        format!("agrees with this machine's (within {} ms)", SAME * 1000.0)
    } else {
        format!("the file server's is {offset:+.1} s from this machine's")
    };
    if offset.abs() < ODD_OFFSET {
        Ok((Grade::Good, text))
    } else {
        let whose = "linklock uses the server's, but flufl.lock and dotlocks do not; if each machine \
                     stamps files by its own clock, all clocks must agree";
        Ok((Grade::Note, format!("{text}: {whose}")))
    }
}

fn dead_holders(scratch: &Scratch) -> Found {
    let tried = || -> Result<Option<Life>, Error> {
        let _guard = Lock::new(scratch.path("alive"))?.try_lock()?;
        let holder = Lock::new(scratch.path("alive"))?.holder()?;
        Ok(holder.map(|holder| holder.life()))
    };
    match tried().map_err(|error| error.to_string())? {
        Some(Life::Alive) => {
            Ok(good("detected at once on this host, without waiting for the lease"))
        }
        _ => Ok((
            Grade::Note,
            "cannot be detected here (no /proc): their leases must end first".to_owned(),
        )),
    }
}

fn speed(scratch: &Scratch) -> Found {
    let lock = Lock::new(scratch.path("timed")).map_err(|error| error.to_string())?;
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        lock.try_lock().and_then(linklock::LockGuard::unlock).map_err(|error| error.to_string())?;
        times.push(begun.elapsed());
    }
    times.sort();
    let median = times[ROUNDS / 2];
    let text = format!("{:.3} ms to acquire and release a lock", median.as_secs_f64() * 1000.0);
    Ok((if median < SLOW { Grade::Good } else { Grade::Note }, text))
}
