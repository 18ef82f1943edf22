//! The world of one run: the server, the clients and their processes, and what each process is
//! waiting for. The scheduler moves it on, one step at a time.

use std::cell::Cell;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::client::Cache;
use super::monitor::Monitor;
use super::server::{Answer, Handle, Request, Server};
use crate::fs::{Attr, Clock};
use crate::process::{Life, Process as ProcessId, Processes, Proof};

/// What a process is waiting for.
#[derive(Clone, Debug)]
pub(super) enum Waiting {
    /// That its request is executed. A request is executed within the slop of being issued: that
    /// is the assumption.
    Execution {
        request: Request,
        issued: Duration,
    },
    /// That the answer reaches it: any time from now on.
    Answer(Result<Answer, i32>),
    /// For a moment to come.
    Time(Duration),
    /// For nothing any more.
    Ended,
    Crashed,
}

#[derive(Debug)]
pub(super) struct ProcessState {
    pub(super) name: &'static str,
    pub(super) client: usize,
    pub(super) waiting: Waiting,
}

/// Of what clients may use what they have cached, although it has changed since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Caching {
    #[default]
    Nothing,
    Names,
    /// Attributes and contents too: nothing is forced from the server.
    Everything,
}

/// A machine: its own caches, clocks and boots.
#[derive(Debug, Default)]
pub(super) struct Client {
    pub(super) cache: Cache,
    /// What its monotonic clock showed when the run began.
    pub(super) uptime: Duration,
    /// How far its idea of the date is off, in seconds.
    pub(super) wall_error: i64,
    pub(super) boot: u64,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) now: Duration,
    pub(super) server: Server,
    pub(super) clients: Vec<Client>,
    pub(super) processes: Vec<ProcessState>,
    pub(super) monitor: Monitor,
    pub(super) caching: Caching,
    /// The readable record of the run, kept only when it is to be shown.
    pub(super) trace: Option<Vec<String>>,
}

/// A process's way to its world.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) world: Arc<Mutex<World>>,
    pub(super) id: usize,
}

impl World {
    pub(super) fn new(clients: Vec<Client>, caching: Caching, trace: bool) -> World {
        World {
            now: Duration::ZERO,
            server: Server::new(),
            clients,
            processes: Vec::new(),
            monitor: Monitor::default(),
            caching,
            trace: trace.then(Vec::new),
        }
    }

    pub(super) fn note(&mut self, process: usize, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let name = self.processes[process].name;
            trace.push(format!("{:>9.3} s  {name:<8} {}", self.now.as_secs_f64(), what()));
        }
    }

    /// Executes a request of a process, and tells its client what the reply says of the directory.
    pub(super) fn execute(&mut self, process: usize, request: &Request) -> Result<Answer, i32> {
        let before = self.server.changes;
        let answer = self.server.execute(request, self.now);
        let after = self.server.changes;
        let client = self.processes[process].client;
        let cache = &mut self.clients[client].cache;
        if after != before {
            cache.changed(before, after);
        }
        // What the kernel learns of names it learns whoever lives to see it, and in this order.
        match (request, &answer) {
            (Request::Lookup(path) | Request::Create(path), Ok(Answer::Attr(handle, _))) => {
                cache.learn(path, Some(*handle), self.now);
            }
            (Request::Lookup(path), Err(libc::ENOENT)) => cache.learn(path, None, self.now),
            (Request::Link(handle, to), Ok(_)) => cache.learn(to, Some(*handle), self.now),
            (Request::Link(_, path) | Request::Remove(path), _) => cache.forget(path),
            (Request::Rename(from, to), _) => {
                cache.forget(from);
                cache.forget(to);
            }
            _ => {}
        }
        self.note(process, || show(request, &answer));
        answer
    }
}

/// One line of a trace.
fn show(request: &Request, answer: &Result<Answer, i32>) -> String {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let asked = match request {
        Request::Lookup(path) => format!("looks up {}", name(path)),
        Request::GetAttr(handle) => format!("asks for the attributes of {handle}"),
        Request::Read(handle) => format!("reads {handle}"),
        Request::Create(path) => format!("creates {}", name(path)),
        Request::Write(handle, _) => format!("writes {handle}"),
        Request::SetMtime(handle, _) => format!("touches {handle}"),
        Request::Link(handle, to) => format!("links {handle} to {}", name(to)),
        Request::Rename(from, to) => format!("renames {} to {}", name(from), name(to)),
        Request::Remove(path) => format!("removes {}", name(path)),
        Request::List => "lists the directory".to_owned(),
    };
    match answer {
        Ok(Answer::Attr(handle, attr)) => format!("{asked}: {handle}, {} links", attr.nlink),
        Ok(_) => asked,
        Err(errno) => format!("{asked}: {}", nix::errno::Errno::from_raw(*errno)),
    }
}

impl Process {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has_crashed(&self) -> bool {
        matches!(self.world().processes[self.id].waiting, Waiting::Crashed)
    }

    /// Lets the scheduler go on until what this waits for has come.
    fn wait(&self, waiting: Waiting) {
        self.world().processes[self.id].waiting = waiting;
        // The scoped way would need the stack's handle in here, which is borrowed.
        #[allow(deprecated)]
        generator::yield_with(());
    }

    /// Issues a request and waits for its answer. The dead ask for nothing.
    pub(super) fn ask(&self, request: Request) -> Result<Answer, i32> {
        if self.has_crashed() {
            return Err(libc::EIO);
        }
        let issued = self.world().now;
        self.wait(Waiting::Execution { request, issued });
        match self.world().processes[self.id].waiting.clone() {
            Waiting::Answer(answer) => answer,
            other => unreachable!("went on while waiting for {other:?}"),
        }
    }

    /// What this process's client has cached of a name, if the scheduler lets it use that.
    #[allow(clippy::option_option)] // that a name leads nowhere may be cached too
    pub(super) fn cached(&self, path: &Path) -> Option<Option<Handle>> {
        let world = self.world();
        let client = world.processes[self.id].client;
        let cached = world.clients[client].cache.get(path, world.now)?;
        let usable = cached == world.server.find(path) || world.caching != Caching::Nothing;
        usable.then_some(cached)
    }

    /// What this process's client has cached of an inode, if that may be used.
    pub(super) fn cached_inode(&self, handle: Handle) -> Option<(Attr, Vec<u8>)> {
        let world = self.world();
        let client = world.processes[self.id].client;
        let cached = world.clients[client].cache.inode(handle, world.now);
        cached.filter(|_| world.caching == Caching::Everything)
    }

    pub(super) fn learn_inode(&self, handle: Handle, read: (Attr, Vec<u8>)) {
        let mut world = self.world();
        let (client, now) = (world.processes[self.id].client, world.now);
        world.clients[client].cache.learn_inode(handle, read, now);
    }

    pub(super) fn forget(&self, path: &Path) {
        let mut world = self.world();
        let client = world.processes[self.id].client;
        world.clients[client].cache.forget(path);
    }

    pub(super) fn note(&self, what: &str) {
        self.world().note(self.id, || what.to_owned());
    }
}

/// A process's clocks.
#[derive(Clone, Debug)]
pub(super) struct SimClock(pub(super) Process);

impl Clock for SimClock {
    fn now(&self) -> Duration {
        let world = self.0.world();
        world.clients[world.processes[self.0.id].client].uptime + world.now
    }

    fn wall(&self) -> SystemTime {
        let world = self.0.world();
        let error = world.clients[world.processes[self.0.id].client].wall_error;
        let off = Duration::from_secs(error.unsigned_abs());
        let right = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + world.now;
        if error < 0 { right - off } else { right + off }
    }

    fn sleep(&self, time: Duration) {
        if !self.0.has_crashed() {
            let until = self.0.world().now.saturating_add(time);
            self.0.wait(Waiting::Time(until));
        }
    }
}

/// What the machine of a process knows of processes.
#[derive(Clone, Debug)]
pub(super) struct SimProcesses(pub(super) Process);

impl SimProcesses {
    fn process(&self, id: usize) -> ProcessId {
        let world = self.0.world();
        let client = world.processes[id].client;
        let world = (client as u64) << 8 | world.clients[client].boot;
        let pid = u32::try_from(id).unwrap_or_default() + 100;
        ProcessId { pid, proof: Some(Proof { world, started: 1 }) }
    }
}

impl Processes for SimProcesses {
    fn pid(&self) -> u32 {
        // The memory of a crashed process is torn down like a forked child's: nothing is released.
        if self.0.has_crashed() { 0 } else { self.process(self.0.id).pid }
    }

    fn this(&self) -> ProcessId {
        self.process(self.0.id)
    }

    fn find(&self, _pid: u32) -> std::io::Result<ProcessId> {
        Err(std::io::ErrorKind::NotFound.into())
    }

    fn life(&self, process: &ProcessId) -> Life {
        if process.proof.map(|proof| proof.world) != self.this().proof.map(|proof| proof.world) {
            return Life::Unknown;
        }
        let world = self.0.world();
        match world.processes.get(process.pid as usize - 100).map(|state| &state.waiting) {
            Some(Waiting::Ended | Waiting::Crashed) | None => Life::Dead,
            Some(_) => Life::Alive,
        }
    }
}

thread_local! {
    static RANDOM: Cell<u64> = const { Cell::new(0) };
}

/// Begins the random numbers of a run, the same for each.
pub(super) fn seed_random() {
    RANDOM.set(0);
}

/// A random number of the run: `SplitMix64`.
pub(super) fn random() -> u64 {
    let state = RANDOM.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
    RANDOM.set(state);
    super::schedule::mix(state)
}
