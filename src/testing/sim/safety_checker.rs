//! What must hold in every run, whatever the scheduler decides.

use crate::sys::os_str::OsStrExt;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::constants::{BREAKER, DOTLOCK, FENCE, FOREIGN, OTHER_SLOT, PATH, READERS};
use super::server::{Handle, Request, Server};

/// The holder of a lock that was detached, and that no process has adopted yet.
pub(super) const NOBODY: usize = usize::MAX;

/// The holders of the lock, as they themselves see it.
#[derive(Debug, Default)]
pub(super) struct SafetyChecker {
    pub(super) rules: Rules,
    tenures: Vec<Tenure>,
    /// The machine and boot of each process. A thread counts as its process.
    machines: Vec<Option<(usize, u64)>>,
    /// When each process became visibly dead to others on its machine.
    deaths: Vec<Option<Duration>>,
    /// The claims that acquired the lock, in order.
    acquisitions: Vec<PathBuf>,
    /// The fencing tokens: the index of the acquisition, the token, and the process that got it.
    tokens: Vec<(usize, u64, usize)>,
    /// The inode that each process last linked to the mailbox's dotlock.
    pub(super) dotlocks: BTreeMap<usize, Handle>,
    /// Pairs of a process that acts on another's lock, and the holder it acts for.
    attached: Vec<(usize, usize)>,
    /// Lock files that may be broken although their holders are alive.
    broken: Vec<(Handle, PathBuf)>,
    violation: Option<String>,
    /// Why nothing more is promised in this run: a peer has broken a lock by its own rules.
    pub(super) excuse: Option<String>,
}

/// What the safety of a scenario depends on.
#[allow(clippy::struct_excessive_bools)] // the choices are independent
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rules {
    /// A dead process has no requests under way.
    pub(super) local: bool,
    /// How long a process on the same machine must have seen a holder dead.
    pub(super) dead_wait: Duration,
    /// No lock is ever taken over.
    pub(super) never: bool,
    /// Acquisitions get fencing tokens.
    pub(super) fencing: bool,
    /// There is another slot beside the lock.
    pub(super) slots: bool,
    /// There are readers, with locks of their own.
    pub(super) readers: bool,
    /// A RENAME may be executed twice: it then catches another holder's lock file, which is put
    /// back.
    pub(super) may_be_caught: bool,
    /// How the mailbox is locked that takes the place of the lock, if one does.
    pub(super) mailbox: Option<MailboxUse>,
}

/// How a mailbox is locked.
#[derive(Clone, Copy, Debug)]
pub(super) struct MailboxUse {
    pub(super) uses_fcntl: bool,
    /// Whether there is a mailbox already.
    pub(super) exists: bool,
}

/// The lock file of a tenure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LockFile {
    pub(super) handle: Handle,
    /// Whether it names the process that holds it, and says enough to prove it dead.
    pub(super) is_provable: bool,
}

/// What a holder shares the lock with: nobody, or others that only read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Alone,
    Reader,
}

#[derive(Debug)]
struct Tenure {
    process: usize,
    kind: Kind,
    file: Option<LockFile>,
    /// When the lease ends, as the holder sees it.
    ends: Duration,
    over: bool,
}

impl SafetyChecker {
    pub(super) fn new(rules: Rules) -> SafetyChecker {
        SafetyChecker { rules, ..SafetyChecker::default() }
    }

    pub(super) fn joins(&mut self, machine: Option<(usize, u64)>) {
        self.machines.push(machine);
        self.deaths.push(None);
    }

    pub(super) fn is_wrong(&mut self, what: String) {
        if self.excuse.is_none() && self.violation.is_none() {
            self.violation = Some(what);
        }
    }

    pub(super) fn violation(&mut self) -> Option<String> {
        self.violation.take()
    }

    /// A process learns that it holds the lock, or still holds it, for `left`.
    pub(super) fn holds(
        &mut self,
        process: usize,
        file: Option<LockFile>,
        now: Duration,
        left: Duration,
    ) {
        self.has(Kind::Alone, process, file, now, left);
    }

    /// The same for a process that only reads, with a lock file of its own.
    pub(super) fn reads(
        &mut self,
        process: usize,
        file: Option<LockFile>,
        now: Duration,
        left: Duration,
    ) {
        self.has(Kind::Reader, process, file, now, left);
    }

    fn has(
        &mut self,
        kind: Kind,
        process: usize,
        file: Option<LockFile>,
        now: Duration,
        left: Duration,
    ) {
        let is_excluded = |other: &Tenure| {
            other.process != process && (kind == Kind::Alone || other.kind == Kind::Alone)
        };
        let others = self.tenures.iter().filter(|other| is_excluded(other));
        // A process that stalled in its acquisition knows that it holds nothing.
        if let Some(other) = others.filter(|_| !left.is_zero()).find(|it| self.is_live(it, now)) {
            let (first, ends) = (other.process, other.ends);
            self.is_wrong(format!(
                "process {process} holds the lock at {now:?} while the lease of process {first} \
                 runs until {ends:?}"
            ));
        }
        if !left.is_zero() {
            self.tenures.iter_mut().filter(|other| is_excluded(other)).for_each(|it| {
                it.over = true; // taken over
            });
        }
        // The lock file is then not known to be its own either.
        let file = file.filter(|_| !left.is_zero());
        let ends = now + left;
        match self.tenures.iter_mut().rfind(|tenure| tenure.process == process) {
            Some(last) if !last.over => (last.ends, last.file) = (ends, file),
            _ => self.tenures.push(Tenure { process, kind, file, ends, over: false }),
        }
    }

    /// A process asks for a lease that ends at `ends`, which may be before its current one does.
    pub(super) fn shortens(&mut self, process: usize, ends: Duration) {
        for tenure in self.tenures.iter_mut().filter(|tenure| tenure.process == process) {
            tenure.ends = tenure.ends.min(ends);
        }
    }

    /// This claim has been linked to the lock file.
    pub(super) fn acquires(&mut self, claim: &[u8]) {
        self.acquisitions.push(OsStr::from_bytes(claim).into());
    }

    /// A process got a fencing token for its tenure: tokens grow in the order of acquisition.
    pub(super) fn has_token(&mut self, process: usize, claim: &Path, token: u64) {
        let Some(rank) = self.acquisitions.iter().rposition(|acquired| acquired == claim) else {
            return self.is_wrong(format!("process {process} never had the lock"));
        };
        let is_wrong = |&&(other, given, _): &&(usize, u64, usize)| {
            given == token || (given < token) != (other < rank)
        };
        if let Some((_, given, other)) = self.tokens.iter().find(is_wrong) {
            let order = "against the order of acquisition";
            self.is_wrong(format!(
                "process {process} has the fencing token {token}, and process {other} {given}, \
                 {order}"
            ));
        }
        self.tokens.push((rank, token, process));
    }

    /// Whether the lock must not be taken from this holder.
    fn is_live(&self, tenure: &Tenure, now: Duration) -> bool {
        let is_dead =
            self.seen_dead(tenure).is_some_and(|since| now >= since + self.rules.dead_wait);
        !tenure.over
            && !self.is_broken(tenure)
            && (self.rules.never || now < tenure.ends)
            && !is_dead
    }

    fn is_broken(&self, tenure: &Tenure) -> bool {
        let is_it = |held: LockFile| self.broken.iter().any(|(file, _)| *file == held.handle);
        tenure.file.is_some_and(is_it)
    }

    /// When another process on its machine could first see this holder dead, if the lock file says
    /// enough to prove it.
    fn seen_dead(&self, tenure: &Tenure) -> Option<Duration> {
        tenure.file.filter(|file| file.is_provable)?;
        let machine = self.machines.get(tenure.process)?.as_ref()?;
        let there = self.machines.iter().flatten().filter(|other| *other == machine).count();
        self.deaths[tenure.process].filter(|_| there > 1)
    }

    /// From now on this process acts on the lock for that holder.
    pub(super) fn attaches(&mut self, process: usize, holder: usize) {
        self.attached.push((process, holder));
    }

    /// This lock file's tenure may be broken, and its holder is promised nothing any more.
    pub(super) fn may_break(&mut self, file: Handle, claim: &Path) {
        self.broken.push((file, claim.into()));
    }

    /// Whether the lock with this claim may have been broken.
    pub(super) fn is_given_up(&self, claim: &Path) -> bool {
        self.broken.iter().any(|(_, broken)| broken == claim)
    }

    /// A process begins to release the lock, or has learned that it lost it.
    pub(super) fn ends(&mut self, process: usize) {
        for tenure in self.tenures.iter_mut().filter(|tenure| tenure.process == process) {
            tenure.over = true;
        }
    }

    pub(super) fn dies(&mut self, process: usize, now: Duration) {
        self.deaths[process].get_or_insert(now);
    }

    /// A machine reboots: a process that was not seen dead for long enough by then never will be.
    pub(super) fn reboots(&mut self, client: usize, boot: u64, now: Duration) {
        let dead_wait = self.rules.dead_wait;
        for (machine, death) in self.machines.iter().zip(&mut self.deaths) {
            if *machine == Some((client, boot)) {
                *death = death.filter(|since| now >= *since + dead_wait);
            }
        }
    }

    pub(super) fn tenures(&self) -> usize {
        self.tenures.len()
    }

    /// The machine and boot in which the lock file's holder is visibly dead, if it is.
    pub(super) fn deathbed(&self, file: Handle) -> Option<(usize, u64)> {
        let has_it =
            |it: &&Tenure| it.file.is_some_and(|held| held.handle == file && held.is_provable);
        let last = self.tenures.iter().rfind(|it| it.kind == Kind::Alone).filter(has_it)?;
        self.deaths.get(last.process).copied().flatten()?;
        self.machines.get(last.process).copied().flatten()
    }

    /// The server executes a request of a process, which must not take a live lock away, and must
    /// touch only the lock's own names.
    pub(super) fn sees(
        &mut self,
        process: usize,
        request: &Request,
        server: &Server,
        now: Duration,
    ) {
        let path = if self.rules.mailbox.is_some() { DOTLOCK } else { PATH };
        let lock = Path::new(path);
        if let Request::Link(handle, to) = request {
            if to == lock {
                self.dotlocks.insert(process, *handle);
            }
        }
        let (removed, made) = match request {
            Request::Create(path)
            | Request::CreateNew(path)
            | Request::MakeDir(path)
            | Request::Link(_, path) => (None, Some(path)),
            Request::Remove(path) | Request::RemoveDir(path) => (Some(path), None),
            Request::Rename(from, to) => (Some(from), Some(to)),
            Request::Lookup(_)
            | Request::GetAttr(_)
            | Request::Read(_)
            | Request::Write(..)
            | Request::SetMtime(..)
            | Request::SetAtime(_)
            | Request::TouchNow(_)
            | Request::Close(_)
            | Request::List(_)
            | Request::Lock(..)
            | Request::Unlock(_)
            | Request::TestLock(..) => return,
        };
        for path in [removed, made].into_iter().flatten() {
            if !self.is_own(path) {
                self.is_wrong(format!("process {process} touches {}", path.display()));
            }
        }
        let replaces = matches!(request, Request::Rename(_, to) if to == lock);
        if removed.is_none_or(|path| path != lock) && !replaces || self.rules.may_be_caught {
            return;
        }
        let file = server.find(lock);
        let attached = self.attached.iter().find(|(other, _)| *other == process);
        let process = attached.map_or(process, |(_, holder)| *holder);
        let is_robbed = |it: &Tenure| {
            it.process != process && it.file.is_some_and(|held| Some(held.handle) == file)
        };
        let robbed = self.tenures.iter().find(|it| is_robbed(it) && self.is_live(it, now));
        if let Some(Tenure { process: holder, ends, .. }) = robbed {
            self.is_wrong(format!(
                "process {process} takes the lock away at {now:?} from process {holder}, whose \
                 lease runs until {ends:?}"
            ));
        }
        self.tenures.iter_mut().filter(|it| is_robbed(it)).for_each(|it| it.over = true);
    }

    /// Whether this name belongs to the lock.
    fn is_own(&self, path: &Path) -> bool {
        let name = path.as_os_str().as_encoded_bytes();
        let begins = |own: &str| name.starts_with(own.as_bytes());
        if self.rules.mailbox.is_some() {
            return path.as_os_str() == DOTLOCK || begins(BREAKER) || begins(FOREIGN);
        }
        let is_locks = |lock: &str| {
            let rest = name.strip_prefix(lock.as_bytes());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"|"))
        };
        is_locks(PATH)
            || is_locks(OTHER_SLOT) && self.rules.slots
            || begins(READERS) && self.rules.readers
            || begins(FENCE) && self.rules.fencing
    }
}
