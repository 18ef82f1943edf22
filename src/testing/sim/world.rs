//! The world of one run: the server, the clients and their processes, and what each process is
//! waiting for. The scheduler moves it on, one step at a time.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::cache::Cache;
use super::constants::{DIR, FENCE, JOURNAL, PATH};
use super::faults::Caching;
use super::network::Network;
use super::safety_checker::{LockFile, SafetyChecker};
use super::server::{Answer, Handle, Request, Server};
use super::trace;
use crate::guard::LockGuard;
use crate::lock::Lock;
use crate::protocol::tenure::Tenure;
use crate::sys::errno;

/// A request, and when it was issued. It is executed within the scenario's delay, unless a
/// delegation is in its way.
#[derive(Clone, Debug)]
pub(super) struct Issued {
    pub(super) request: Request,
    pub(super) at: Duration,
    /// The entries of the directory at that time, for a listing.
    pub(super) listed: Vec<OsString>,
}

/// A read delegation of an inode to a dead client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delegation {
    pub(super) handle: Handle,
    /// The latest time at which the server revokes it.
    pub(super) until: Duration,
}

/// What a process is waiting for.
#[derive(Clone, Debug)]
pub(super) enum Waiting {
    /// For its request to be executed.
    Execution(Issued),
    /// For the answer, which may arrive at any time from now on.
    Answer(Issued, Result<Answer, i32>),
    /// For a point in time.
    Time(Duration),
    /// For a mutex that another thread holds. The process tries again when
    /// [`resumed`](World::resumed) differs from this count.
    Mutex(u64),
    /// For nothing: it has ended.
    Ended,
    Crashed,
}

#[derive(Debug)]
pub(super) struct ProcessState {
    pub(super) name: &'static str,
    pub(super) client: usize,
    /// The boot of its machine in which it runs, and its process ID there.
    pub(super) boot: u64,
    pub(super) pid: u32,
    /// The process that this is a thread of: itself, for the first thread.
    pub(super) main: usize,
    pub(super) waiting: Waiting,
    /// The inodes that its last two changing requests changed: a reader would have had to come at
    /// just that moment to be given a delegation.
    pub(super) changed: [[Option<Handle>; 2]; 2],
    /// When it may resume, whatever it waits for: until then it is stopped, swapped out or
    /// suspended.
    pub(super) stalled_until: Duration,
}

impl ProcessState {
    /// The boot ID, which identifies this boot of its machine.
    pub(super) fn boot_id(&self) -> u64 {
        (self.client as u64) << 8 | self.boot
    }
}

/// A machine: its own caches, clocks and boots.
#[derive(Debug, Default)]
pub(super) struct Client {
    pub(super) cache: Cache,
    /// What its monotonic clock showed when the run began, or when it booted.
    pub(super) uptime: Duration,
    pub(super) booted_at: Duration,
    /// The error of its date, in seconds.
    pub(super) wall_error: i64,
    pub(super) boot: u64,
}

/// A thread's tenure, as the other threads of its process see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub(super) thread: usize,
    /// Until when it believes its lease to run.
    pub(super) ends: Duration,
}

#[allow(clippy::struct_excessive_bools)] // the choices are independent
#[derive(Debug)]
pub(super) struct World {
    pub(super) now: Duration,
    pub(super) server: Server,
    pub(super) clients: Vec<Client>,
    pub(super) processes: Vec<ProcessState>,
    /// The process that runs. Its inherited memory may name another, since a fork copies all
    /// memory.
    pub(super) running: usize,
    /// How often a process has resumed that did not wait for a mutex.
    pub(super) resumed: u64,
    /// A guard that a forked child has too, or that threads share.
    pub(super) inherited: Option<Arc<LockGuard>>,
    /// A handle that threads share, and which of them holds the lock.
    pub(super) handle: Option<Arc<Lock>>,
    pub(super) turn: Option<Turn>,
    /// A tenure that another thread keeps alive.
    pub(super) tenure: Option<Arc<Tenure>>,
    /// Requests under way that no process waits for, with the process that issued them: those of
    /// processes that have died since, and second copies.
    pub(super) strays: Vec<(usize, Issued)>,
    pub(super) safety: SafetyChecker,
    /// The time within which a request is executed.
    pub(super) delay: Duration,
    /// The delegations that block requests, and the inodes whose delegation was revoked, for which
    /// the server gives no more.
    pub(super) delegations: Vec<Delegation>,
    pub(super) revoked: Vec<Handle>,
    /// Whether delegations are possible, and whether a freshly changed inode may have one.
    pub(super) may_delegate: bool,
    pub(super) delegates_late: bool,
    pub(super) caching: Caching,
    /// Whether a listing of the directory may be out of date.
    pub(super) stale_lists: bool,
    /// Whether the schedule chooses what a listing misses.
    pub(super) partial_lists: bool,
    /// The state of a local file system in its journal, and when it was committed.
    pub(super) journal: Option<(Duration, Server)>,
    /// A lock that was detached, as one process passes it to another: its new holder, and its
    /// claim.
    pub(super) handed_over: Option<(usize, PathBuf)>,
    pub(super) network: Network,
    /// How many files have been opened so far.
    pub(super) opened: u64,
    /// Whether a process that acts for the owner of a lock has begun to unlock it.
    pub(super) attached_unlock: bool,
    /// The readable record of the run, kept only if it is to be shown.
    pub(super) trace: Option<Vec<String>>,
}

/// A process's handle on its world.
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

    /// Executes a request of a process, and updates its client's cache from the reply.
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
        // A directory that was listed exists, whatever the client had cached for its name.
        if let (Request::List(dir), Ok(_)) = (request, &answer) {
            cache.forget(dir);
        }
        // A client learns that a list is out of date from its own changes of the directory, and
        // from attributes that it asks for. Only some scenarios trust cached lists of the lock's
        // own directory.
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
        // The kernel updates its cache of names even if the process has died, and in this order.
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

    /// Whether a delegation blocks a request.
    pub(super) fn is_held_back(&self, request: &Request) -> bool {
        let is_delegated =
            |handle: &Handle| self.delegations.iter().any(|held| held.handle == *handle);
        !self.delegations.is_empty()
            && self.server.changed_by(request).iter().flatten().any(is_delegated)
    }

    /// The inode that this process's request would change, if a dead client may have a delegation
    /// of it.
    pub(super) fn can_be_delegated(&self, process: usize, request: &Request) -> Option<Handle> {
        let last = &self.processes[process].changed;
        let is_free = |handle: &Handle| {
            let was_changed = last.iter().flatten().any(|changed| changed.as_ref() == Some(handle));
            (self.delegates_late || !was_changed) && !self.revoked.contains(handle)
        };
        let changed = self.server.changed_by(request);
        changed.into_iter().flatten().find(is_free).filter(|_| !self.is_held_back(request))
    }

    /// The server revokes a delegation, and the requests that waited for that proceed.
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

    /// Commits the journal when it is due.
    pub(super) fn commit(&mut self) {
        if let Some((since, kept)) = &mut self.journal {
            if self.now >= *since + JOURNAL {
                (*since, *kept) = (self.now, self.server.clone());
            }
        }
    }

    /// The lock file with this path, and whether it says enough to prove this process dead one day.
    pub(super) fn file_of(&self, process: usize, lock: &Path) -> Option<LockFile> {
        let state = &self.processes[process];
        let (pid, boot) = (format!("|{}|x", state.pid), format!("w{:012x}s", state.boot_id()));
        let content = String::from_utf8_lossy(self.server.content(lock)?);
        let is_provable = content.contains(&pid) && content.contains(&boot);
        Some(LockFile { handle: self.server.find(lock)?, is_provable })
    }

    /// The process with that ID in this boot of the machine of another process.
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

    /// The running threads of a process.
    pub(super) fn threads_of(&self, id: usize) -> Vec<usize> {
        let main = self.processes[id].main;
        let threads = (0..self.processes.len()).filter(|other| self.processes[*other].main == main);
        threads.filter(|thread| self.runs(*thread)).collect()
    }

    pub(super) fn runs(&self, process: usize) -> bool {
        let state = self.processes.get(process);
        state.is_some_and(|it| !matches!(it.waiting, Waiting::Ended | Waiting::Crashed))
    }

    /// Ends a process wherever it is. Its last request may be executed after its death.
    pub(super) fn crash(&mut self, id: usize, request_survives: bool) {
        let state = &mut self.processes[id];
        let waiting = std::mem::replace(&mut state.waiting, Waiting::Crashed);
        self.server.release_locks(id);
        match waiting {
            // The client of a dead process makes sure that no lock is left behind.
            Waiting::Execution(Issued { request: Request::Lock(..), .. }) => {}
            Waiting::Execution(issued) if request_survives => self.strays.push((id, issued)),
            Waiting::Execution(_)
            | Waiting::Answer(..)
            | Waiting::Time(_)
            | Waiting::Mutex(_)
            | Waiting::Ended
            | Waiting::Crashed => {}
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

    /// Yields to the scheduler until the wait is over.
    pub(super) fn wait(&self, waiting: Waiting) {
        let mut world = self.world();
        let running = world.running;
        world.processes[running].waiting = waiting;
        drop(world);
        // The scoped way would need the stack's handle here, which is borrowed.
        #[allow(deprecated)]
        generator::yield_with(());
        if self.has_crashed() {
            // Unwinds without a panic, which would call a hook.
            std::panic::resume_unwind(Box::new(generator::Error::Cancel));
        }
    }

    /// Issues a request and waits for its answer. A dead process issues none.
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

    /// Records a violation.
    pub(super) fn is_wrong(&self, what: String) {
        self.world().safety.is_wrong(what);
    }
}
