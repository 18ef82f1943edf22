//! The world of one run: the server, the clients and their processes, and what each process is
//! waiting for. The scheduler moves it on, one step at a time.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::cache::Cache;
use super::constants::{DIR, FENCE, JOURNAL, PATH};
use super::faults::Caching;
use super::safety_checker::{LockFile, SafetyChecker};
use super::server::{Answer, Handle, Request, Server};
use super::trace;
use crate::guard::LockGuard;
use crate::protocol::tenure::Tenure;
use crate::sys::errno;

/// A request, and when it was issued. It is executed within the scenario's delay of that, unless a
/// delegation is in its way.
#[derive(Clone, Debug)]
pub(super) struct Issued {
    pub(super) request: Request,
    pub(super) at: Duration,
    /// What the directory had in it then, for one that lists it.
    pub(super) listed: Vec<OsString>,
}

/// A read delegation of an inode whose client is dead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delegation {
    pub(super) handle: Handle,
    /// When the server revokes it at the latest.
    pub(super) until: Duration,
}

/// What a process is waiting for.
#[derive(Clone, Debug)]
pub(super) enum Waiting {
    /// That its request is executed.
    Execution(Issued),
    /// That the answer reaches it: any time from now on.
    Answer(Issued, Result<Answer, i32>),
    /// For a moment to come.
    Time(Duration),
    /// For a mutex that another thread holds: it is tried again once another has gone on, of which
    /// this is the count.
    Mutex(u64),
    /// For nothing any more.
    Ended,
    Crashed,
}

#[derive(Debug)]
pub(super) struct ProcessState {
    pub(super) name: &'static str,
    pub(super) client: usize,
    /// In which boot of its machine it runs, and its number there.
    pub(super) boot: u64,
    pub(super) pid: u32,
    /// The process that this is a thread of: itself, if it is the first.
    pub(super) main: usize,
    pub(super) waiting: Waiting,
    /// What the last two of its requests have changed that changed anything: a reader of that would have
    /// had to come within a moment to be given a delegation.
    pub(super) changed: [[Option<Handle>; 2]; 2],
    /// Until then it does not go on, whatever it waits for: stopped, swapped out, suspended.
    pub(super) stalled_until: Duration,
}

impl ProcessState {
    /// What tells this boot of its machine from all others.
    pub(super) fn boot_id(&self) -> u64 {
        (self.client as u64) << 8 | self.boot
    }
}

/// A machine: its own caches, clocks and boots.
#[derive(Debug, Default)]
pub(super) struct Client {
    pub(super) cache: Cache,
    /// What its monotonic clock showed when the run began, or when it was booted.
    pub(super) uptime: Duration,
    pub(super) booted_at: Duration,
    /// How far its idea of the date is off, in seconds.
    pub(super) wall_error: i64,
    pub(super) boot: u64,
}

#[allow(clippy::struct_excessive_bools)] // each is a choice of its own
#[derive(Debug)]
pub(super) struct World {
    pub(super) now: Duration,
    pub(super) server: Server,
    pub(super) clients: Vec<Client>,
    pub(super) processes: Vec<ProcessState>,
    /// The process that runs. What it has inherited from its parent says another: a fork copies all
    /// memory.
    pub(super) running: usize,
    /// How often a process has gone on that did not wait for a mutex.
    pub(super) resumed: u64,
    /// A guard that a child has too, whose process has forked, or that threads share.
    pub(super) inherited: Option<Arc<LockGuard>>,
    /// A tenure that another thread keeps alive.
    pub(super) tenure: Option<Arc<Tenure>>,
    /// Requests under way that nobody waits for, and who has issued them: of those who have died
    /// since, and second copies.
    pub(super) strays: Vec<(usize, Issued)>,
    pub(super) safety: SafetyChecker,
    /// Within which time a request is executed.
    pub(super) delay: Duration,
    /// Delegations in the way of requests, and the inodes of those that were revoked, for which the
    /// server gives no more.
    pub(super) delegations: Vec<Delegation>,
    pub(super) revoked: Vec<Handle>,
    /// Whether there can be any, and of what was changed a moment ago.
    pub(super) may_delegate: bool,
    pub(super) delegates_late: bool,
    pub(super) caching: Caching,
    /// Whether the directory may be listed as it was a while ago.
    pub(super) stale_lists: bool,
    /// Whether what a listing misses is the schedule's choice.
    pub(super) partial_lists: bool,
    /// What a journal has of a local file system, and since when.
    pub(super) journal: Option<(Duration, Server)>,
    /// A lock that was detached, as one process tells another: whose it is now, and its claim.
    pub(super) handed_over: Option<(usize, PathBuf)>,
    /// How many files were opened so far.
    pub(super) opened: u64,
    /// Whether one of those who act for the owner of a lock has begun to unlock it.
    pub(super) attached_unlock: bool,
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
    pub(super) fn note(&mut self, process: usize, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let name = self.processes[process].name;
            trace.push(format!("{:>9.3} s  {name:<8} {}", self.now.as_secs_f64(), what()));
        }
    }

    /// Executes a request of a process, and tells its client what the reply says of the directory.
    pub(super) fn execute(&mut self, process: usize, request: &Request) -> Result<Answer, i32> {
        self.safety.sees(self.processes[process].main, request, &self.server, self.now);
        if self.may_delegate {
            let changed = self.server.changed_by(request);
            if changed[0].is_some() {
                let last = &mut self.processes[process].changed;
                *last = [changed, last[0]];
            }
        }
        let before = self.server.changes;
        let answer = self.server.execute(request, self.now);
        let after = self.server.changes;
        let client = self.processes[process].client;
        let cache = &mut self.clients[client].cache;
        if after != before {
            cache.changed(before, after);
        }
        // A directory that was listed is there, whatever the client believed of its name.
        if let (Request::List(dir), Ok(_)) = (request, &answer) {
            cache.forget(dir);
        }
        // Its own changes of a directory, and attributes that it asks for, show a client that a list
        // is out of date. Lists of the lock's own directory are believed in some scenarios only.
        match (request, &answer) {
            (Request::List(dir), Ok(Answer::Names(names))) if self.stale_lists => {
                cache.learn_list(dir, names.clone(), self.now);
            }
            (Request::List(dir), Ok(Answer::Names(names))) if dir.as_os_str() == FENCE => {
                cache.learn_list(dir, names.clone(), self.now);
            }
            (Request::Lookup(path) | Request::Rename(_, path) | Request::Remove(path), Ok(_))
                if is_in_fence(path) =>
            {
                cache.forget_list(Path::new(FENCE));
            }
            (Request::GetAttr(handle), Ok(_))
                if self.server.find(Path::new(FENCE)) == Some(*handle) =>
            {
                cache.forget_list(Path::new(FENCE));
            }
            _ => {}
        }
        if self.stale_lists && after != before {
            cache.forget_list(Path::new(DIR));
        }
        // The kernel learns of names even if the process has died, and in this order.
        match (request, &answer) {
            (
                Request::Lookup(path) | Request::Create(path) | Request::CreateNew(path),
                Ok(Answer::Attr(handle, _)),
            ) => {
                cache.learn(path, Some(*handle), self.now);
            }
            (Request::Lookup(path), Err(errno::ENOENT)) => cache.learn(path, None, self.now),
            (Request::Link(handle, to), Ok(_)) => cache.learn(to, Some(*handle), self.now),
            (Request::Link(_, path) | Request::Remove(path), _) => cache.forget(path),
            (Request::Rename(from, to), _) => {
                cache.forget(from);
                cache.forget(to);
            }
            _ => {}
        }
        if matches!(request, Request::Link(_, to) | Request::Rename(_, to) if to.as_os_str() == PATH)
        {
            if let (Ok(_), Some(claim)) = (&answer, self.server.content(Path::new(PATH))) {
                self.safety.acquires(claim);
            }
        }
        self.note(process, || trace::executed(request, &answer));
        answer
    }

    /// Whether a delegation is in the way of a request.
    pub(super) fn is_held_back(&self, request: &Request) -> bool {
        let is_delegated =
            |handle: &Handle| self.delegations.iter().any(|held| held.handle == *handle);
        !self.delegations.is_empty()
            && self.server.changed_by(request).iter().flatten().any(is_delegated)
    }

    /// What this process asks for would change this inode, of which a dead client may have a
    /// delegation.
    pub(super) fn can_be_delegated(&self, process: usize, request: &Request) -> Option<Handle> {
        let last = &self.processes[process].changed;
        let is_free = |handle: &Handle| {
            let was_changed = last.iter().flatten().any(|changed| changed.as_ref() == Some(handle));
            (self.delegates_late || !was_changed) && !self.revoked.contains(handle)
        };
        let changed = self.server.changed_by(request);
        changed.into_iter().flatten().find(is_free).filter(|_| !self.is_held_back(request))
    }

    /// The server gives a delegation up: what has waited for that goes on.
    pub(super) fn revoke(&mut self, number: usize) {
        let Delegation { handle, .. } = self.delegations.remove(number);
        self.revoked.push(handle);
        let World { server, processes, strays, now, .. } = self;
        let pending = processes.iter_mut().filter_map(|state| match &mut state.waiting {
            Waiting::Execution(issued) => Some(issued),
            _ => None,
        });
        for issued in pending.chain(strays.iter_mut().map(|(_, issued)| issued)) {
            if server.changed_by(&issued.request).contains(&Some(handle)) {
                issued.at = *now;
            }
        }
    }

    /// The journal is committed, if it is time for that.
    pub(super) fn commit(&mut self) {
        if let Some((since, kept)) = &mut self.journal {
            if self.now >= *since + JOURNAL {
                (*since, *kept) = (self.now, self.server.clone());
            }
        }
    }

    /// The lock file, and whether it says of this process what proves it dead one day.
    pub(super) fn lock_file(&self, process: usize) -> Option<LockFile> {
        let lock = Path::new(PATH);
        let state = &self.processes[process];
        let (pid, boot) = (format!("|{}|x", state.pid), format!("w{:012x}s", state.boot_id()));
        let content = String::from_utf8_lossy(self.server.content(lock)?);
        let is_provable = content.contains(&pid) && content.contains(&boot);
        Some(LockFile { handle: self.server.find(lock)?, is_provable })
    }

    /// The process of that number in this boot of the machine of another.
    pub(super) fn neighbour(&self, of: usize, pid: u32) -> Option<usize> {
        let own = &self.processes[of];
        self.processes
            .iter()
            .position(|state| (state.client, state.boot, state.pid) == (own.client, own.boot, pid))
    }

    pub(super) fn named(&self, name: &str) -> usize {
        let id = self.processes.iter().position(|state| state.name == name);
        id.unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// The threads of a process that run.
    pub(super) fn threads_of(&self, id: usize) -> Vec<usize> {
        let main = self.processes[id].main;
        let threads = (0..self.processes.len()).filter(|other| self.processes[*other].main == main);
        threads.filter(|thread| self.runs(*thread)).collect()
    }

    pub(super) fn runs(&self, process: usize) -> bool {
        let state = self.processes.get(process);
        state.is_some_and(|it| !matches!(it.waiting, Waiting::Ended | Waiting::Crashed))
    }

    /// Ends a process in the middle of whatever it does. What it has asked for may be executed
    /// after its death.
    pub(super) fn crash(&mut self, id: usize, request_survives: bool) {
        let state = &mut self.processes[id];
        let waiting = std::mem::replace(&mut state.waiting, Waiting::Crashed);
        self.server.release_locks(id);
        match waiting {
            // A client whose process is dead sees to it that a lock is not left behind.
            Waiting::Execution(Issued { request: Request::Lock(..), .. }) => {}
            Waiting::Execution(issued) if request_survives => self.strays.push((id, issued)),
            _ => {}
        }
        self.safety.dies(id, self.now);
    }
}

fn is_in_fence(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().starts_with(FENCE.as_bytes())
}

impl Process {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has_crashed(&self) -> bool {
        let world = self.world();
        matches!(world.processes[world.running].waiting, Waiting::Crashed)
    }

    /// Lets the scheduler go on until what this waits for has come.
    pub(super) fn wait(&self, waiting: Waiting) {
        let mut world = self.world();
        let running = world.running;
        world.processes[running].waiting = waiting;
        drop(world);
        // The scoped way would need the stack's handle in here, which is borrowed.
        #[allow(deprecated)]
        generator::yield_with(());
        if self.has_crashed() {
            // Without a word: no panic that a hook would hear of.
            std::panic::resume_unwind(Box::new(generator::Error::Cancel));
        }
    }

    /// Issues a request and waits for its answer. The dead ask for nothing.
    pub(super) fn ask(&self, request: Request) -> Result<Answer, i32> {
        if self.has_crashed() {
            return Err(errno::EIO);
        }
        let world = self.world();
        let listed = match &request {
            Request::List(dir) if world.partial_lists => world.server.list(dir),
            _ => Vec::new(),
        };
        let at = world.now;
        drop(world);
        self.wait(Waiting::Execution(Issued { request, at, listed }));
        let now = Waiting::Time(Duration::ZERO);
        let mut world = self.world();
        let running = world.running;
        match std::mem::replace(&mut world.processes[running].waiting, now) {
            Waiting::Answer(_, answer) => answer,
            other => unreachable!("went on while waiting for {other:?}"),
        }
    }

    pub(super) fn note(&self, what: impl FnOnce() -> String) {
        self.world().note(self.id, what);
    }

    /// What must not be has happened.
    pub(super) fn is_wrong(&self, what: String) {
        self.world().safety.is_wrong(what);
    }
}
