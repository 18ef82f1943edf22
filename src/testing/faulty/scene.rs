//! A directory, a lock, its processes, and the true state of its files.

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::fault::{FaultyFs, Quirk};
use super::server::{ManualClock, ServerFs};
use crate::clock::Clock;
use crate::guard::LockGuard;
use crate::lock::Lock;
use crate::model::machine::Machine;
use crate::options::LockOptions;
use crate::sys::fs::{Fs, Mount};
use crate::sys::process::{Life, Process, Processes, Proof};
use crate::sys::udp::UdpNetwork;

pub(super) const LIFETIME: Duration = Duration::from_secs(15);
pub(super) const SLOP: Duration = Duration::from_secs(10);
/// The longest pause between two polls of a lock: long, since each poll is one more call to fail.
pub(super) const POLL: Duration = Duration::from_secs(4);
/// How long an acquisition may wait here, which is far longer than one that succeeds needs.
const LIMIT: Duration = Duration::from_secs(200);

/// Our process: its file system fails.
pub(super) const US: u32 = 100;
/// Another process on our own host, where we can see whether it is alive.
pub(super) const NEIGHBOUR: u32 = 101;
/// A process on another host.
pub(super) const PEER: u32 = 202;
pub(super) const NEXT: u32 = 303;

/// Files beside the lock that do not belong to it, however similar their names.
const STRANGERS: [&str; 7] = [
    "save me",
    "loc",
    "locker",
    "lock|",
    "lock|break|x0000000000000001|none",
    "lock|host|12|x0000000000000001|4",
    "lock2|host|12|x0000000000000001",
];

#[derive(Debug)]
pub(super) struct Scene {
    dir: TempDir,
    strangers: BTreeMap<PathBuf, String>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) server: Arc<ServerFs>,
    /// Our process's view of the server.
    pub(super) fs: Arc<FaultyFs>,
    mount: Mount,
    dead: Arc<Mutex<HashSet<u32>>>,
}

impl Scene {
    pub(super) fn new(mount: Mount) -> Scene {
        Scene::on(mount, |fs| fs)
    }

    /// The same, with a quirk in our view of the server.
    pub(super) fn quirky(mount: Mount, quirk: Quirk) -> Scene {
        Scene::on(mount, |fs| fs.with(quirk))
    }

    fn on(mount: Mount, ours: impl FnOnce(FaultyFs) -> FaultyFs) -> Scene {
        RANDOM.set(0);
        let dir = tempfile::tempdir_in(fast_place()).unwrap();
        for name in STRANGERS {
            let path = dir.path().join(name);
            fs::write(&path, path.as_os_str().as_encoded_bytes()).unwrap();
        }
        let clock = Arc::new(ManualClock::default());
        let server = Arc::new(ServerFs::new(clock.clone()));
        let fs = Arc::new(ours(FaultyFs::new(server.clone(), mount)));
        let dead = Arc::default();
        let mut scene = Scene { strangers: BTreeMap::new(), dir, clock, server, fs, mount, dead };
        scene.strangers = scene.look_at_strangers();
        scene
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join("lock")
    }

    /// A lock in the given process. Only our own process has faults.
    pub(super) fn lock_of(&self, pid: u32) -> Lock {
        self.lock_at(&self.path(), pid)
    }

    /// The same, with fencing tokens.
    pub(super) fn fenced_lock_of(&self, pid: u32) -> Lock {
        let (options, machine) = self.options(&self.path(), pid);
        options.fencing(true).build_on(machine).unwrap()
    }

    /// The same, whose files have this mode.
    pub(super) fn fenced_lock_with_mode(&self, mode: u32, pid: u32) -> Lock {
        let (options, machine) = self.options(&self.path(), pid);
        options.fencing(true).mode(mode).build_on(machine).unwrap()
    }

    /// The same, where a waiter can be woken: measured time then counts.
    pub(super) fn hearing_lock_at(&self, path: &Path, pid: u32) -> Lock {
        let (options, machine) = self.options(path, pid);
        options.build_on(Machine { can_wake: true, ..machine }).unwrap()
    }

    /// The lock, as one of many processes has it that are woken, and share our view of the server.
    pub(super) fn lock_of_crowd(&self, pid: u32) -> Lock {
        let (options, machine) = self.options(&self.path(), pid);
        options.build_on(Machine { can_wake: true, fs: self.fs.clone(), ..machine }).unwrap()
    }

    pub(super) fn lock_at(&self, path: &Path, pid: u32) -> Lock {
        let (options, machine) = self.options(path, pid);
        options.build_on(machine).unwrap()
    }

    pub(super) fn options(&self, path: &Path, pid: u32) -> (LockOptions, Machine) {
        let options = Lock::options(path)
            .host_name(host_of(pid))
            .lifetime(LIFETIME)
            .clock_slop(SLOP)
            .timeout(LIMIT)
            .polling(POLL / 4, POLL);
        (options, self.machine_of(pid))
    }

    /// The machine of a process. Only our own file system has faults.
    pub(super) fn machine_of(&self, pid: u32) -> Machine {
        let fs: Arc<dyn Fs> = match pid {
            US => self.fs.clone(),
            _ => Arc::new(FaultyFs::new(self.server.clone(), self.mount)),
        };
        Machine {
            fs,
            clock: self.clock.clone(),
            processes: Arc::new(Cast { pid, dead: self.dead.clone() }),
            random,
            network: Arc::new(UdpNetwork),
            can_wake: false,
        }
    }

    pub(super) fn pass(&self, time: Duration) {
        self.clock.sleep(time);
    }

    /// Ends a process.
    pub(super) fn kill(&self, pid: u32) {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner).insert(pid);
    }

    /// Ends the process that has this guard, and drops the guard with it.
    pub(super) fn die(&self, pid: u32, guard: LockGuard) {
        self.kill(pid);
        drop(guard); // as in a forked child, no lock is released
    }

    pub(super) fn server_time(&self) -> SystemTime {
        self.clock.wall()
    }

    /// When the lease of the lock file ends, if it is linked to this claim.
    pub(super) fn lease_end(&self, claim: &Path) -> Option<SystemTime> {
        let (lock, ends) = truth(&self.path())?;
        // A claim that was removed is still named by the lock file.
        let is_claim = match truth(claim) {
            Some((inode, _)) => inode == lock,
            None => fs::read(self.path()).unwrap() == claim.as_os_str().as_encoded_bytes(),
        };
        is_claim.then_some(ends)
    }

    /// The lock's own files, with the lock file but without the fence directory, which stays.
    pub(super) fn files(&self) -> HashSet<PathBuf> {
        let all = fs::read_dir(self.dir.path()).unwrap();
        let paths = all.map(|entry| entry.unwrap().path());
        let is_own = |path: &PathBuf| !self.strangers.contains_key(path) && *path != self.fence();
        paths.filter(is_own).collect()
    }

    /// The directory of the fencing counter.
    pub(super) fn fence(&self) -> PathBuf {
        self.dir.path().join("lock.fence")
    }

    /// The changes of the unrelated files, if any.
    pub(super) fn hurt_strangers(&self) -> Option<String> {
        let now = self.look_at_strangers();
        (now != self.strangers).then(|| format!("strangers: {now:?}, were {:?}", self.strangers))
    }

    fn look_at_strangers(&self) -> BTreeMap<PathBuf, String> {
        let names = STRANGERS;
        let paths = names.map(|name| self.dir.path().join(name));
        let look = |path: PathBuf| {
            let meta = fs::metadata(&path).ok();
            let seen = meta.map(|meta| {
                (meta.ino(), meta.nlink(), meta.mtime_nsec(), meta.ctime_nsec(), meta.len())
            });
            (path, format!("{seen:?}"))
        };
        paths.map(look).into()
    }
}

/// The host name of a process.
pub(super) fn host_of(pid: u32) -> String {
    format!("host{}", pid / 100)
}

/// The inode number and the mtime of a file, as they really are.
pub(super) fn truth(path: &Path) -> Option<(u64, SystemTime)> {
    let meta = fs::symlink_metadata(path).ok()?;
    Some((meta.ino(), meta.modified().unwrap()))
}

/// A directory in memory, where possible: tens of thousands of scenes are slow on a disk.
fn fast_place() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}

/// The processes of a scene, as one of them sees them.
#[derive(Debug)]
struct Cast {
    pid: u32,
    dead: Arc<Mutex<HashSet<u32>>>,
}

impl Cast {
    fn is_dead(&self, pid: u32) -> bool {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner).contains(&pid)
    }
}

impl Processes for Cast {
    fn pid(&self) -> u32 {
        if self.is_dead(self.pid) { 0 } else { self.pid }
    }

    fn thread(&self) -> u64 {
        0
    }

    fn this(&self) -> Process {
        let world = u64::from(self.pid / 100);
        Process { pid: self.pid, proof: Some(Proof { world, started: 1, boot: None }) }
    }

    fn find(&self, pid: u32) -> io::Result<Process> {
        Ok(Process { pid, ..self.this() })
    }

    fn life(&self, process: &Process) -> Life {
        if process.proof != self.this().proof {
            Life::Unknown
        } else if self.is_dead(process.pid) {
            Life::Dead
        } else {
            Life::Alive
        }
    }

    fn life_by_boot(&self, _process: &Process) -> Life {
        Life::Unknown
    }
}

thread_local! {
    static RANDOM: Cell<u64> = const { Cell::new(0) };
}

/// Random numbers, the same in every scene: `SplitMix64`.
fn random() -> u64 {
    let state = RANDOM.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
    RANDOM.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
