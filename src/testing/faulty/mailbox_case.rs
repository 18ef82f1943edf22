//! One case of a mailbox: what fails in it, and what of it was not as it must be.

use super::fault::{Fault, Op, When};
use super::scene::{LIFETIME, NEXT, PEER, SLOP, Scene, US, host_of, truth};
use super::table::Counts;
use crate::error::Error;
use crate::guard::LockGuard;
use crate::holder::Obstacle;
use crate::mailbox::{LEASE, MailboxGuard, MailboxLock};
use crate::sys::errno;
use crate::sys::fs::{Fs, Mount};
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) const SECOND: Duration = Duration::from_secs(1);
/// For how long another's dotlock must rest.
pub(super) const REST: Duration = Duration::from_secs(60);
/// The longest pause between two looks.
pub(super) const POLL: Duration = Duration::from_secs(5);

/// One case: what fails in it, and what of it was not as it must be.
#[allow(clippy::struct_excessive_bools)] // each is a choice of its own
pub(super) struct Case {
    pub(super) scene: Scene,
    pub(super) fault: Option<Fault>,
    pub(super) uses_fcntl: bool,
    /// What was there before anything failed.
    pub(super) prior: HashSet<PathBuf>,
    /// Whether another holds the mailbox.
    pub(super) is_contended: bool,
    /// Whether there is a stale dotlock.
    pub(super) is_taking_over: bool,
    /// Whether an unlock has failed.
    pub(super) may_be_held: bool,
    pub(super) problems: Vec<String>,
}

impl Case {
    pub(super) fn new(mount: Mount, fault: Option<Fault>) -> Case {
        let case = Case {
            scene: Scene::new(mount),
            fault,
            uses_fcntl: true,
            prior: HashSet::new(),
            is_contended: false,
            is_taking_over: false,
            may_be_held: false,
            problems: Vec::new(),
        };
        fs::write(case.mailbox(), "").unwrap();
        case
    }

    pub(super) fn mailbox(&self) -> PathBuf {
        self.scene.path().with_file_name("joe")
    }

    pub(super) fn dotlock(&self) -> PathBuf {
        self.scene.path().with_file_name("joe.lock")
    }

    /// The right to take a dotlock over.
    pub(super) fn breaker(&self) -> PathBuf {
        self.scene.path().with_file_name(".joe.break")
    }

    /// The lock, as a process has it. Only ours fails.
    pub(super) fn lock_of(&self, pid: u32, uses_fcntl: bool) -> MailboxLock {
        MailboxLock::options(self.mailbox())
            .clock(self.scene.clock.clone())
            .host_name(host_of(pid))
            .timeout(10 * REST)
            .unchanged_for(REST)
            .polling(POLL / 2, POLL)
            .fcntl(uses_fcntl)
            .build_on(&self.scene.machine_of(pid))
            .unwrap()
    }

    pub(super) fn ours(&self) -> MailboxLock {
        self.lock_of(US, self.uses_fcntl)
    }

    /// Another program makes its dotlock.
    pub(super) fn make_dotlock(&self, content: &[u8]) {
        let file = self.scene.server.create_new(&self.dotlock(), content, 0o644).unwrap();
        file.attributes().unwrap();
    }

    pub(super) fn arm(&mut self) {
        self.prior = self.scene.files();
        self.scene.fs.arm(self.fault);
    }

    pub(super) fn expect(&mut self, so: bool, problem: impl FnOnce() -> String) {
        if !so {
            self.problems.push(problem());
        }
    }

    pub(super) fn is_passing(&self) -> bool {
        self.fault.is_none_or(|fault| matches!(fault.when, When::At(_)))
    }

    /// Whether a process that was given the mailbox has it, for as long as it believes.
    pub(super) fn holds(&mut self, doing: &str, guard: &MailboxGuard) {
        let left = guard.remaining();
        self.expect(!left.is_zero(), || format!("{doing}: FALSE SUCCESS: no lease"));
        match truth(&self.dotlock()) {
            None => self.problems.push(format!("{doing}: FALSE SUCCESS: no dotlock")),
            Some((_, touched)) => {
                let is_enough = touched + LEASE >= self.scene.server_time() + left;
                self.expect(is_enough, || format!("{doing}: the dotlock was touched too long ago"));
            }
        }
        let content = fs::read(self.dotlock()).unwrap_or_default();
        self.expect(content == b"0\n", || format!("{doing}: the dotlock says {content:?}"));
        let refused = self.lock_of(PEER, false).try_lock();
        let is_refused = matches!(&refused, Err(error) if error.is_contention());
        self.expect(is_refused, || format!("{doing}: FALSE SUCCESS: a peer: {refused:?}"));
        if self.uses_fcntl && self.mailbox().exists() {
            let refused = self.lock_of(PEER, true).try_lock();
            let is_refused = matches!(
                &refused,
                Err(Error::Held { obstacle, .. }) if matches!(**obstacle, Obstacle::Fcntl(_))
            );
            self.expect(is_refused, || format!("{doing}: not locked by fcntl(2): {refused:?}"));
        }
    }

    /// Nobody has the mailbox by fcntl(2).
    pub(super) fn is_unlocked(&mut self, doing: &str) {
        let found = self.lock_of(PEER, true).obstacles();
        let is_free = matches!(&found, Ok(found) if !found.iter().any(is_fcntl));
        self.expect(is_free || self.is_contended, || {
            format!("{doing}: locked by fcntl(2): {found:?}")
        });
    }

    /// Whether an error says what failed, and where; or is one of those that mean something else.
    pub(super) fn failed(&mut self, doing: &str, error: &Error, was_ours: bool) {
        let Some(fault) = self.fault else {
            let is_expected = self.is_contended && error.is_contention();
            return self.expect(is_expected, || format!("{doing}: undisturbed: {error}"));
        };
        let is_right = match error {
            Error::Io { operation, path, error: cause } => {
                let failures = self.scene.fs.failures();
                *operation == fault.op.operation()
                    && cause.raw_os_error() == Some(fault.errno)
                    && failures.iter().any(|failure| {
                        // An open dotlock is known by its first name.
                        let first_name = failure.paths[0].to_string_lossy().contains("|aside|");
                        failure.paths.contains(path) || first_name && *path == self.dotlock()
                    })
            }
            Error::Denied { error: cause, .. } => {
                matches!(fault.op, Op::Create | Op::Open)
                    && cause.raw_os_error() == Some(fault.errno)
            }
            Error::Held { obstacle, .. } | Error::TimedOut { obstacle, .. } => {
                // A breaker that can't give its right back is in its own way; and the file system
                // itself may say that there is nothing to take over.
                let is_hindered = fault.op == Op::Rename || fault.errno == errno::ENOENT;
                let is_dotlock = matches!(**obstacle, Obstacle::Dotlock(_) | Obstacle::Holder(_));
                self.is_contended
                    || is_explained(obstacle, fault)
                    || self.is_taking_over && is_hindered && is_dotlock
            }
            Error::NoHardLinks { error, .. } => {
                fault.op == Op::Link
                    && error.as_ref().and_then(io::Error::raw_os_error) == Some(fault.errno)
            }
            Error::UnsupportedFileSystem { error, .. } => {
                [Op::Create, Op::Rename, Op::Unlink].contains(&fault.op)
                    && error.as_ref().and_then(io::Error::raw_os_error) == Some(fault.errno)
            }
            // The file system itself says that the dotlock is gone.
            Error::Lost { .. } => {
                !was_ours || [errno::ENOENT, errno::ESTALE].contains(&fault.errno)
            }
            _ => false,
        };
        let dir = self.scene.path().with_file_name("");
        let message = error.to_string().replace(&*dir.to_string_lossy(), "");
        self.expect(is_right, || format!("{doing}: WRONG ERROR: {message}"));
    }

    pub(super) fn lock_and_unlock(&mut self, lock: &MailboxLock) {
        match lock.lock() {
            Ok(guard) => {
                self.holds("lock", &guard);
                self.unlock(guard);
            }
            Err(error) => {
                self.failed("lock", &error, false);
                self.is_unlocked("lock");
            }
        }
    }

    pub(super) fn unlock(&mut self, guard: MailboxGuard) {
        let was_ours = truth(&self.dotlock()).is_some();
        match guard.unlock() {
            Ok(()) => {
                let is_gone = truth(&self.dotlock()).is_none();
                self.expect(is_gone, || "unlock: FALSE SUCCESS: the dotlock is there".to_owned());
                self.expect(was_ours, || "unlock: FALSE SUCCESS: it was not ours".to_owned());
            }
            Err(error) => {
                self.may_be_held = true;
                self.failed("unlock", &error, was_ours);
            }
        }
        self.is_unlocked("unlock");
    }

    /// What must be so once the operations no longer fail: nothing is left behind, the next comer has
    /// the mailbox in time, and nothing else was touched.
    pub(super) fn finish(mut self) -> (Vec<String>, Counts) {
        let counts = Op::ALL.map(|op| self.scene.fs.count(op));
        self.scene.fs.disarm();
        self.expect(!self.scene.fs.gave_up(), || "NEVER ENDS while the fault lasts".to_owned());
        for left in self.scene.files().difference(&self.prior.clone()) {
            let name = left.file_name().unwrap().to_string_lossy().into_owned();
            // A right that can't be given back ends with its lease.
            let is_excused = self.could_not_be_removed(left)
                || *left == self.breaker()
                || *left == self.dotlock() && (self.may_be_held || !self.is_passing());
            self.expect(is_excused, || format!("LEFT BEHIND: {name}"));
        }
        let next = self.lock_of(NEXT, true);
        match next.try_lock_for(REST + LIFETIME + 2 * SLOP + 4 * POLL) {
            Ok(guard) => {
                self.holds("the next", &guard);
                let released = guard.unlock();
                self.expect(released.is_ok(), || format!("the next can't unlock: {released:?}"));
            }
            Err(error) => self.problems.push(format!("THE NEXT CAN'T LOCK: {error}")),
        }
        self.scene.pass(10 * REST);
        let swept = [self.breaker(), self.dotlock()].map(|path| {
            let lock = self.scene.lock_at(&path, NEXT);
            lock.lock().and_then(LockGuard::unlock).and_then(|()| lock.sweep())
        });
        let left: Vec<_> =
            self.scene.files().into_iter().filter(|path| *path != self.mailbox()).collect();
        self.expect(left.is_empty(), || format!("NEVER GOES: {left:?}, swept {swept:?}"));
        let hurt = self.scene.hurt_strangers();
        self.expect(hurt.is_none(), || hurt.unwrap_or_default());
        (self.problems, counts)
    }

    /// Whether this very file could not be removed; or was made although the file system said that it
    /// was not, and so has a name that nobody knows to be taken; or may be another's for all that can
    /// be seen while looks go on failing.
    pub(super) fn could_not_be_removed(&self, path: &Path) -> bool {
        let Some(fault) = self.fault else { return false };
        let failures = self.scene.fs.failures();
        let mut concerned = failures.iter().filter(|failure| failure.paths[0] == path);
        match fault.op {
            Op::Unlink => concerned.any(|failure| !failure.executed),
            Op::Create => concerned.any(|failure| failure.executed),
            Op::Stat => {
                let is_hidden = !self.is_passing() || fault.errno == errno::ENOENT;
                is_hidden && concerned.next().is_some()
            }
            _ => false,
        }
    }
}

pub(super) fn is_fcntl(obstacle: &Obstacle) -> bool {
    matches!(obstacle, Obstacle::Fcntl(_))
}

/// Whether what keeps a process from the mailbox is the fault.
pub(super) fn is_explained(obstacle: &Obstacle, fault: Fault) -> bool {
    let kind = io::Error::from_raw_os_error(fault.errno).kind();
    match obstacle {
        Obstacle::CannotBreakDotlock(_, error) | Obstacle::CannotBreak(_, error) => {
            error.kind() == kind
        }
        // EEXIST: the dotlock is there, and the file system says that it is not.
        Obstacle::Unreadable(error) => {
            error.raw_os_error() == Some(fault.errno)
                || error.raw_os_error() == Some(errno::EEXIST)
                || error.raw_os_error() == Some(errno::EAGAIN)
        }
        _ => false,
    }
}
