//! What must hold, whichever operation fails.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::fault::{Fault, Op, When};
use super::scene::{LIFETIME, NEXT, POLL, SLOP, Scene, truth};
use crate::error::Error;
use crate::guard::LockGuard;
use crate::holder::Obstacle;
use crate::sys::errno;

/// One case: the fault, and the problems that it caused.
#[derive(Debug)]
pub(super) struct Check<'a> {
    pub(super) scene: &'a Scene,
    fault: Option<Fault>,
    /// The files that existed before the fault was armed.
    prior: HashSet<PathBuf>,
    /// Whether another process, which is alive, holds the lock.
    pub(super) is_contended: bool,
    pub(super) problems: Vec<String>,
}

impl<'a> Check<'a> {
    pub(super) fn new(scene: &'a Scene, fault: Option<Fault>) -> Check<'a> {
        let (prior, problems) = (HashSet::new(), Vec::new());
        Check { scene, fault, prior, is_contended: false, problems }
    }

    /// Operations fail from now on.
    pub(super) fn arm(&mut self) {
        self.prior = self.scene.files();
        self.scene.fs.arm(self.fault);
    }

    pub(super) fn expect(&mut self, so: bool, problem: impl FnOnce() -> String) {
        if !so {
            self.problems.push(problem());
        }
    }

    /// Checks that a process has the lock for as long as its guard says.
    pub(super) fn holds(&mut self, doing: &str, guard: &LockGuard) {
        let scene = self.scene;
        self.expect(truth(guard.claim_path()).is_some(), || format!("{doing}: no claim"));
        match scene.lease_end(guard.claim_path()) {
            None => self.problems.push(format!("{doing}: FALSE SUCCESS: L is not our claim")),
            Some(ends) => {
                let left = guard.remaining();
                self.expect(!left.is_zero(), || format!("{doing}: FALSE SUCCESS: no lease"));
                let promised = scene.server_time() + left;
                self.expect(ends >= promised, || format!("{doing}: L's lease ends before ours"));
            }
        }
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
                let message = error.to_string();
                *operation == fault.op.operation()
                    && cause.raw_os_error() == Some(fault.errno)
                    && failures.iter().any(|failure| failure.paths.contains(path))
                    && message.contains(&path.display().to_string())
                    && message.contains(&operation.to_string())
            }
            Error::Held { obstacle, .. } | Error::TimedOut { obstacle, .. } => {
                self.is_contended || is_explained(obstacle, fault)
            }
            Error::NoHardLinks { error, .. } => {
                // Such an error would mislead about a temporary failure.
                let may_pass =
                    [errno::EINTR, errno::ENOSPC, errno::EDQUOT, errno::ESTALE, errno::ETIMEDOUT];
                let is_it = error.as_ref().is_some_and(|it| it.raw_os_error() == Some(fault.errno));
                fault.op == Op::Link && is_it && !may_pass.contains(&fault.errno)
            }
            Error::UnsupportedFileSystem { error, .. } => {
                let is_it = error.as_ref().is_some_and(|it| it.raw_os_error() == Some(fault.errno));
                let may_pass = errno::may_pass(&io::Error::from_raw_os_error(fault.errno));
                let is_refusal = match fault.op {
                    Op::Link => fault.errno == errno::ENAMETOOLONG,
                    Op::Create | Op::MakeDir | Op::Touch | Op::Rename | Op::Unlink => !may_pass,
                    _ => false,
                };
                is_it && is_refusal
            }
            // The file system itself claims that the lock file, or the claim, is not there.
            Error::Lost { .. } => !was_ours || fault.errno == errno::ENOENT,
            _ => false,
        };
        let dir = self.scene.path().with_file_name("");
        let message = error.to_string().replace(&*dir.to_string_lossy(), "");
        self.expect(is_right, || format!("{doing}: WRONG ERROR: {message}"));
    }

    /// Checks what a call reports about a lock that another process holds: `None` means that it is
    /// free.
    pub(super) fn says(&mut self, doing: &str, said: Result<Option<bool>, Error>) {
        // The file system itself may claim that there is no lock file.
        let may_be_gone = self.fault.is_some_and(|fault| fault.errno == errno::ENOENT);
        match said {
            Ok(Some(is_true)) => self.expect(is_true, || format!("{doing}: A FALSEHOOD")),
            Ok(None) => self.expect(may_be_gone, || format!("{doing}: WRONG: the lock is free")),
            Err(error) => self.failed(doing, &error, false),
        }
    }

    /// What must hold once operations no longer fail: no file is left behind, the next process gets
    /// the lock in time, and no other file was touched.
    pub(super) fn finish(mut self) -> Vec<String> {
        let scene = self.scene;
        scene.fs.disarm();
        self.expect(!scene.fs.gave_up(), || "NEVER ENDS while the fault lasts".to_owned());
        for left in scene.files().difference(&self.prior.clone()) {
            let name = left.file_name().unwrap().to_string_lossy().into_owned();
            let excused = *left == scene.path() || self.could_not_be_removed(left);
            self.expect(excused, || format!("LEFT BEHIND: {name}"));
        }
        let limit = LIFETIME + SLOP + 2 * POLL;
        let next = scene.lock_of(NEXT);
        match next.try_lock_for(limit) {
            Ok(guard) => {
                self.holds("the next process", &guard);
                let released = guard.unlock();
                self.expect(released.is_ok(), || {
                    format!("the next process can't unlock: {released:?}")
                });
            }
            Err(error) => self.problems.push(format!("THE NEXT PROCESS CAN'T LOCK: {error}")),
        }
        scene.pass(LIFETIME + SLOP + Duration::from_secs(1));
        let swept = next.sweep();
        let left = scene.files();
        self.expect(left.is_empty(), || format!("NEVER GOES: {left:?}, swept {swept:?}"));
        let hurt = scene.hurt_strangers();
        self.expect(hurt.is_none(), || hurt.unwrap_or_default());
        self.problems
    }

    /// Whether this very file could not be removed, or was made although the file system reported
    /// that it was not, so that its process does not know of it.
    fn could_not_be_removed(&self, path: &Path) -> bool {
        let Some(fault) = self.fault else { return false };
        let failures = self.scene.fs.failures();
        // A directory cannot be removed while it has entries.
        let mut concerned = failures.iter().filter(|failure| failure.paths[0].starts_with(path));
        match fault.op {
            Op::Unlink | Op::RemoveDir => concerned.any(|failure| !failure.executed),
            Op::Create => concerned.any(|failure| failure.executed),
            // A file that was put aside, or has the name of an ended tenure's claim, may be another
            // process's. Only a stat would show, and stats go on failing, or report that there is
            // no file.
            Op::Stat => {
                let is_hidden = !self.is_passing() || fault.errno == errno::ENOENT;
                let is_seat = path.to_string_lossy().contains("|break|");
                let is_aside = path.to_string_lossy().contains("|aside|");
                is_hidden && (is_aside || !is_seat && concerned.next().is_some())
            }
            _ => false,
        }
    }

    /// Whether the failure is over once an operation has failed.
    pub(super) fn is_passing(&self) -> bool {
        self.fault.is_none_or(|fault| matches!(fault.when, When::At(_)))
    }
}

/// Whether the fault explains the obstacle.
fn is_explained(obstacle: &Obstacle, fault: Fault) -> bool {
    match obstacle {
        Obstacle::CannotBreak(_, error)
        | Obstacle::Unreadable(error)
        | Obstacle::ReadDenied(_, error) => {
            // EEXIST: the lock file exists, and the file system claims that it does not.
            error.raw_os_error() == Some(fault.errno)
                || error.raw_os_error() == Some(errno::EEXIST)
                    && matches!(fault.op, Op::Stat | Op::Read | Op::Rename)
        }
        Obstacle::NotALock => fault.op == Op::Read && fault.errno == errno::ELOOP,
        _ => false,
    }
}
