//! One case of a mailbox: the fault, and the problems that it caused.

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
/// How long another program's dotlock must be unchanged before it is taken over.
pub(super) const REST: Duration = Duration::from_secs(60);
/// The longest pause between two polls.
pub(super) const POLL: Duration = Duration::from_secs(5);

/// One case: the fault, and the problems that it caused.
#[allow(clippy::struct_excessive_bools)] // the choices are independent
pub(super) struct Case {
    pub(super) scene: Scene,
    pub(super) fault: Option<Fault>,
    pub(super) uses_fcntl: bool,
    /// The files that existed before the fault was armed.
    pub(super) prior: HashSet<PathBuf>,
    /// Whether another program holds the mailbox.
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

    /// The file of the right to take over a dotlock.
    pub(super) fn breaker(&self) -> PathBuf {
        self.scene.path().with_file_name(".joe.break")
    }

    /// A lock in the given process. Only our own process has faults.
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

    /// Makes the dotlock of another program.
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

    /// Checks that a process that got the mailbox has it, for as long as its guard says.
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

    /// Checks that no process has the mailbox locked by fcntl(2).
    pub(super) fn is_unlocked(&mut self, doing: &str) {
        let found = self.lock_of(PEER, true).obstacles();
        let is_free = matches!(&found, Ok(found) if !found.iter().any(is_fcntl));
        self.expect(is_free || self.is_contended, || {
            format!("{doing}: locked by fcntl(2): {found:?}")
        });
    }

    /// Checks that an error says what failed, and where, or is one with another meaning.
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
                        // Errors name an open dotlock by its first name.
                        let first_name = failure.paths[0].to_string_lossy().contains("|aside|");
                        failure.paths.contains(path) || first_name && *path == self.dotlock()
                    })
            }
            Error::Denied { error: cause, .. } => {
                matches!(fault.op, Op::Create | Op::Open)
                    && cause.raw_os_error() == Some(fault.errno)
            }
            Error::Held { obstacle, .. } | Error::TimedOut { obstacle, .. } => {
                // A breaker that cannot give its right back blocks itself; and the file system
                // itself may claim that there is no dotlock to take over.
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
                [Op::Create, Op::Link, Op::Rename, Op::Unlink].contains(&fault.op)
                    && error.as_ref().and_then(io::Error::raw_os_error) == Some(fault.errno)
            }
            // The file system itself claims that the dotlock is gone.
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

    /// What must hold once operations no longer fail: no file is left behind, the next program gets
    /// the mailbox in time, and no other file was touched.
    pub(super) fn finish(mut self) -> (Vec<String>, Counts) {
        let counts = Op::ALL.map(|op| self.scene.fs.count(op));
        self.scene.fs.disarm();
        self.expect(!self.scene.fs.gave_up(), || "NEVER ENDS while the fault lasts".to_owned());
        for left in self.scene.files().difference(&self.prior.clone()) {
            let name = left.file_name().unwrap().to_string_lossy().into_owned();
            // A right that cannot be given back ends with its lease.
            let is_excused = self.could_not_be_removed(left)
                || *left == self.breaker()
                || *left == self.dotlock() && (self.may_be_held || !self.is_passing());
            self.expect(is_excused, || format!("LEFT BEHIND: {name}"));
        }
        let next = self.lock_of(NEXT, true);
        match next.try_lock_for(REST + LIFETIME + 2 * SLOP + 4 * POLL) {
            Ok(guard) => {
                self.holds("the next program", &guard);
                let released = guard.unlock();
                self.expect(released.is_ok(), || {
                    format!("the next program can't unlock: {released:?}")
                });
            }
            Err(error) => self.problems.push(format!("THE NEXT PROGRAM CAN'T LOCK: {error}")),
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

    /// Whether this very file could not be removed, or was made although the file system reported
    /// that it was not, so that its process does not know of it, or may be another process's as
    /// long as stats go on failing.
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

/// Whether the fault explains what keeps a process from the mailbox.
pub(super) fn is_explained(obstacle: &Obstacle, fault: Fault) -> bool {
    let kind = io::Error::from_raw_os_error(fault.errno).kind();
    match obstacle {
        Obstacle::CannotBreakDotlock(_, error) | Obstacle::CannotBreak(_, error) => {
            error.kind() == kind
        }
        // EEXIST: the dotlock exists, and the file system claims that it does not.
        Obstacle::Unreadable(error) => {
            error.raw_os_error() == Some(fault.errno)
                || error.raw_os_error() == Some(errno::EEXIST)
                || error.raw_os_error() == Some(errno::EAGAIN)
        }
        _ => false,
    }
}
