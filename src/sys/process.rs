//! Processes: the identity of this one, and whether another one is provably dead.
//!
//! A pid proves nothing by itself: it is reused, it means another process in another pid namespace,
//! and after a reboot it means nothing. So a claim records three more values, and a process counts
//! as dead only where all of them can be compared.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::sys::fs::process_id;
use crate::sys::os::HAS_PROOF;

/// What is known about the process that holds a lock.
///
/// ```no_run
/// use linklock::{Life, Lock};
///
/// if let Some(holder) = Lock::new("/shared/report.lock")?.holder()? {
///     match holder.life() {
///         Life::Alive => println!("alive"),
///         Life::Dead => println!("dead: the next contender takes the lock over"),
///         _ => println!("unknown: only its lease shows"),
///     }
/// }
/// # Ok::<(), linklock::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Life {
    /// The process runs on this host.
    Alive,
    /// The process ran on this host, in this boot and this pid namespace, and has ended. Or it ran
    /// in an earlier boot of this host, and the lock is on a disk that only this machine uses: on a
    /// local file system of a machine that exports none by NFS.
    Dead,
    /// It cannot be determined here: the process runs on another host or in another container, or
    /// its claim records too little, as flufl.lock's does.
    Unknown,
}

/// A process, as a claim names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// What is needed to prove the process dead one day; `None` if that is not available.
    pub(crate) proof: Option<Proof>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    /// A hash of the boot and the namespaces within which the pid and the start time are valid.
    pub(crate) world: u64,
    /// Clock ticks from boot to the start of the process.
    pub(crate) started: u64,
    /// A hash of the boot alone, if the claim has one.
    pub(crate) boot: Option<u32>,
}

/// How many bits of the hash fit into a claim: 12 hexadecimal digits.
pub(crate) const WORLD_BITS: u32 = 48;

/// What the operating system knows about processes.
pub(crate) trait Processes: Debug + Send + Sync {
    /// The pid of this process. Takes no lock, since a fork may have left it locked.
    fn pid(&self) -> u32;
    /// The number of the calling thread, which no other thread of this process ever has.
    fn thread(&self) -> u64;
    /// This process.
    fn this(&self) -> Process;
    /// A running process of this pid namespace.
    fn find(&self, pid: u32) -> io::Result<Process>;
    fn life(&self, process: &Process) -> Life;
    /// For a process that can only have run on this machine: whether it ended with an earlier boot.
    fn life_by_boot(&self, process: &Process) -> Life;
}

/// [`Processes`] by kill(2) and proc(5).
#[derive(Debug, Default)]
pub(crate) struct PosixProcesses {
    this: Mutex<Option<Process>>,
}

impl Processes for PosixProcesses {
    fn pid(&self) -> u32 {
        process_id()
    }

    fn thread(&self) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        thread_local!(static NUMBER: u64 = NEXT.fetch_add(1, Ordering::Relaxed));
        NUMBER.with(|number| *number)
    }

    fn this(&self) -> Process {
        let pid = self.pid();
        let mut known = self.this.lock().unwrap_or_else(PoisonError::into_inner);
        // A forked child inherits this memory but has another pid.
        match *known {
            Some(process) if process.pid == pid => process,
            _ => *known.insert(Process { pid, proof: proof(pid) }),
        }
    }

    fn find(&self, pid: u32) -> io::Result<Process> {
        match signal_nothing(pid) {
            Err(Errno::ESRCH) => Err(Errno::ESRCH.into()),
            _ => Ok(Process { pid, proof: proof(pid) }),
        }
    }

    fn life(&self, process: &Process) -> Life {
        let (Some(theirs), Some(ours)) = (process.proof, self.this().proof) else {
            return Life::Unknown;
        };
        if theirs.world != ours.world {
            return Life::Unknown;
        }
        // Checked first: with hidepid, /proc hides other users' processes.
        if signal_nothing(process.pid) == Err(Errno::ESRCH) {
            return Life::Dead;
        }
        match Stat::read(process.pid) {
            Some(stat) if stat.ended() || stat.started != theirs.started => Life::Dead,
            _ => Life::Alive,
        }
    }

    fn life_by_boot(&self, process: &Process) -> Life {
        let boot = |process: &Process| process.proof.and_then(|proof| proof.boot);
        life_by_boot(boot(process), boot(&self.this()))
    }
}

fn life_by_boot(theirs: Option<u32>, ours: Option<u32>) -> Life {
    match (theirs, ours) {
        (Some(theirs), Some(ours)) if theirs != ours => Life::Dead,
        _ => Life::Unknown,
    }
}

fn signal_nothing(pid: u32) -> nix::Result<()> {
    match i32::try_from(pid) {
        // Zero and negative numbers name process groups, not processes.
        Ok(pid) if pid > 0 => kill(Pid::from_raw(pid), None),
        _ => Err(Errno::ESRCH),
    }
}

fn proof(pid: u32) -> Option<Proof> {
    if !HAS_PROOF {
        return None;
    }
    let boot = boot()?;
    let (world, started) = (world(&boot)?, Stat::read(pid)?.started);
    Some(Proof { world, started, boot: Some(boot_of(&boot)) })
}

/// The kernel's id for this boot.
fn boot() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(boot.trim().to_owned())
}

/// A hash of the boot, the pid namespace and the time namespace (which shifts start times).
fn world(boot: &str) -> Option<u64> {
    // Without a /proc of our own pid namespace (`unshare --pid`), none of the following is about
    // us.
    let own = std::fs::read_link("/proc/self").ok()?;
    if own.to_str()?.parse() != Ok(std::process::id()) {
        return None;
    }
    let pids = std::fs::read_link("/proc/self/ns/pid").ok()?;
    let times = std::fs::read_link("/proc/self/ns/time").unwrap_or_default();
    Some(world_of(boot, &pids, &times))
}

/// A hash of the boot: a claim has room for 8 hexadecimal digits of it.
pub(crate) fn boot_of(boot: &str) -> u32 {
    u32::try_from(hash([boot.as_bytes()]) >> u32::BITS).unwrap_or_default()
}

/// Two processes with the same world can determine whether the other is alive.
pub(crate) fn world_of(boot: &str, pids: &Path, times: &Path) -> u64 {
    let text = format!("{boot}\n{}\n{}", pids.display(), times.display());
    hash([text.as_bytes()]) >> (u64::BITS - WORLD_BITS)
}

/// FNV-1a, since std guarantees no hash that is the same in every build.
pub(crate) fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    parts.into_iter().flatten().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

/// The fields used of /proc/PID/stat, see proc(5).
pub(crate) struct Stat {
    state: char,
    threads: u64,
    /// Clock ticks from boot to the start of the process.
    pub(crate) started: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Stat> {
        let mut line = [0; 1024]; // read in one piece, about 300 bytes
        let length = File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut line).ok()?;
        Stat::parse(&line[..length])
    }

    pub(crate) fn parse(line: &[u8]) -> Option<Stat> {
        // The second field is the command in parentheses, which may itself contain blanks and
        // parentheses.
        let end = line.iter().rposition(|byte| *byte == b')')?;
        let line = std::str::from_utf8(&line[end + 1..]).ok()?;
        let mut fields = line.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?; // field 3
        let threads = fields.nth(16)?.parse().ok()?; // field 20
        let started = fields.nth(1)?.parse().ok()?; // field 22
        Some(Stat { state, threads, started })
    }

    /// Dead but not yet waited for. A thread-group leader that ended before its threads looks the
    /// same, except for the number of threads.
    pub(crate) fn ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x') && self.threads <= 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_group_number_is_not_a_pid() {
        for pid in [0, u32::MAX, 1 << 31] {
            assert_eq!(signal_nothing(pid), Err(Errno::ESRCH), "{pid}");
        }
    }

    #[test]
    fn a_command_that_looks_like_the_rest_of_the_line_is_parsed() {
        let fields = "S 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 7 0 12345 1";
        let stat = Stat::parse(format!("42 (a) Z 9 (b) {fields}").as_bytes()).unwrap();
        assert_eq!((stat.state, stat.threads, stat.started), ('S', 7, 12345));
        assert!(Stat::parse(b"42 (short) S 1").is_none());
        assert!(Stat::parse(b"").is_none());
    }
}
