//! The lock on a mailbox, with every errno at every call of every operation.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::fault::{Fault, Op, When};
use super::scene::{LIFETIME, NEXT, PEER, SLOP, Scene, US, host_of, truth};
use super::table::{Counts, drive};
use crate::error::Error;
use crate::guard::LockGuard;
use crate::holder::Obstacle;
use crate::mailbox::{LEASE, MailboxGuard, MailboxLock};
use crate::sys::errno;
use crate::sys::fs::{Fs, Mount};

const SECOND: Duration = Duration::from_secs(1);
/// For how long another's dotlock must rest.
const REST: Duration = Duration::from_secs(60);
/// The longest pause between two looks.
const POLL: Duration = Duration::from_secs(5);

/// One case: what fails in it, and what of it was not as it must be.
#[allow(clippy::struct_excessive_bools)] // each is a choice of its own
struct Case {
    scene: Scene,
    fault: Option<Fault>,
    uses_fcntl: bool,
    /// What was there before anything failed.
    prior: HashSet<PathBuf>,
    /// Whether another holds the mailbox.
    is_contended: bool,
    /// Whether there is a stale dotlock.
    is_taking_over: bool,
    /// Whether an unlock has failed.
    may_be_held: bool,
    problems: Vec<String>,
}

impl Case {
    fn new(mount: Mount, fault: Option<Fault>) -> Case {
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

    fn mailbox(&self) -> PathBuf {
        self.scene.path().with_file_name("joe")
    }

    fn dotlock(&self) -> PathBuf {
        self.scene.path().with_file_name("joe.lock")
    }

    /// The right to take a dotlock over.
    fn breaker(&self) -> PathBuf {
        self.scene.path().with_file_name(".joe.break")
    }

    /// The lock, as a process has it. Only ours fails.
    fn lock_of(&self, pid: u32, uses_fcntl: bool) -> MailboxLock {
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

    fn ours(&self) -> MailboxLock {
        self.lock_of(US, self.uses_fcntl)
    }

    /// Another program makes its dotlock.
    fn make_dotlock(&self, content: &[u8]) {
        let file = self.scene.server.create_new(&self.dotlock(), content, 0o644).unwrap();
        file.attributes().unwrap();
    }

    fn arm(&mut self) {
        self.prior = self.scene.files();
        self.scene.fs.arm(self.fault);
    }

    fn expect(&mut self, so: bool, problem: impl FnOnce() -> String) {
        if !so {
            self.problems.push(problem());
        }
    }

    fn is_passing(&self) -> bool {
        self.fault.is_none_or(|fault| matches!(fault.when, When::At(_)))
    }

    /// Whether a process that was given the mailbox has it, for as long as it believes.
    fn holds(&mut self, doing: &str, guard: &MailboxGuard) {
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
    fn is_unlocked(&mut self, doing: &str) {
        let found = self.lock_of(PEER, true).obstacles();
        let is_free = matches!(&found, Ok(found) if !found.iter().any(is_fcntl));
        self.expect(is_free || self.is_contended, || {
            format!("{doing}: locked by fcntl(2): {found:?}")
        });
    }

    /// Whether an error says what failed, and where; or is one of those that mean something else.
    fn failed(&mut self, doing: &str, error: &Error, was_ours: bool) {
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

    fn lock_and_unlock(&mut self, lock: &MailboxLock) {
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

    fn unlock(&mut self, guard: MailboxGuard) {
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
    fn finish(mut self) -> (Vec<String>, Counts) {
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
    fn could_not_be_removed(&self, path: &Path) -> bool {
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

fn is_fcntl(obstacle: &Obstacle) -> bool {
    matches!(obstacle, Obstacle::Fcntl(_))
}

/// Whether what keeps a process from the mailbox is the fault.
fn is_explained(obstacle: &Obstacle, fault: Fault) -> bool {
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

fn uncontended(case: &mut Case) {
    let lock = case.ours();
    case.arm();
    case.lock_and_unlock(&lock);
}

fn without_mailbox(case: &mut Case) {
    fs::remove_file(case.mailbox()).unwrap();
    uncontended(case);
}

fn without_fcntl(case: &mut Case) {
    case.uses_fcntl = false;
    uncontended(case);
}

/// Another holds it, by both locks or by its dotlock alone.
fn contended(case: &mut Case) {
    contended_by(case, true);
}

fn contended_by_dotlock(case: &mut Case) {
    contended_by(case, false);
}

fn contended_by(case: &mut Case, uses_fcntl: bool) {
    let holder = case.lock_of(PEER, uses_fcntl).lock().unwrap();
    let lock = case.ours();
    case.is_contended = true;
    case.arm();
    match lock.try_lock() {
        Ok(_) => case.problems.push("FALSE SUCCESS: another holds the mailbox".to_owned()),
        Err(error) => case.failed("try_lock", &error, false),
    }
    case.scene.fs.disarm();
    let released = holder.verify().and_then(|()| holder.unlock());
    case.expect(released.is_ok(), || format!("the holder: {released:?}"));
    case.is_contended = false;
}

/// Another holds it at first, and is waited for.
fn awaited(case: &mut Case) {
    let mut holder = Some(case.lock_of(PEER, true).lock().unwrap());
    let lock = case.ours();
    case.arm();
    let mut looks = 0;
    let locked = lock.lock_while(|_| {
        looks += 1;
        if looks == 3 {
            holder = None;
        }
        looks < 100
    });
    match locked {
        Ok(guard) => {
            case.expect(holder.is_none(), || "FALSE SUCCESS: another holds it".to_owned());
            case.holds("lock", &guard);
            case.unlock(guard);
        }
        Err(error) => case.failed("lock", &error, false),
    }
}

/// A dotlock of the dead was seen to rest, and is taken over.
fn stale_dotlock(case: &mut Case) {
    case.make_dotlock(b"0\n");
    take_over(case);
}

/// The same, of a program that writes nothing.
fn empty_dotlock(case: &mut Case) {
    case.make_dotlock(b"");
    take_over(case);
}

/// The same, of a lock file of [`Lock`](crate::Lock)'s kind.
fn stale_lock_file(case: &mut Case) {
    let lock = case.scene.lock_at(&case.dotlock(), PEER);
    case.scene.die(PEER, lock.lock().unwrap());
    take_over(case);
}

fn take_over(case: &mut Case) {
    case.is_taking_over = true;
    let lock = case.ours();
    let refused = lock.try_lock().unwrap_err();
    assert!(refused.is_contention(), "{refused:?}");
    case.scene.pass(REST + SECOND);
    case.arm();
    case.lock_and_unlock(&lock);
}

fn refresh_in_time(case: &mut Case) {
    refresh_after(case, LEASE / 2);
}

/// Another could have taken the mailbox meanwhile.
fn refresh_late(case: &mut Case) {
    refresh_after(case, REST + SECOND);
}

fn refresh_after(case: &mut Case, time: Duration) {
    let guard = case.ours().lock().unwrap();
    case.scene.pass(time);
    case.arm();
    let refreshed = guard.refresh();
    match &refreshed {
        Ok(()) => case.holds("refresh", &guard),
        Err(error) => case.failed("refresh", error, true),
    }
    case.scene.fs.disarm();
    // Only a holder that was not told of its loss may try again.
    if !matches!(refreshed, Err(Error::Lost { .. })) {
        // The right to act on a dotlock may have been left behind, with a lease.
        case.scene.pass(LIFETIME + 2 * SLOP);
        match guard.refresh() {
            Ok(()) => case.holds("refresh again", &guard),
            Err(error) => case.problems.push(format!("refresh again: {error}")),
        }
    }
    case.unlock(guard);
}

fn verify(case: &mut Case) {
    let guard = case.ours().lock().unwrap();
    case.arm();
    match guard.verify() {
        Ok(()) => case.holds("verify", &guard),
        Err(error) => case.failed("verify", &error, true),
    }
    case.scene.fs.disarm();
    case.unlock(guard);
}

fn unlock_in_time(case: &mut Case) {
    unlock_after(case, LEASE / 2);
}

fn unlock_late(case: &mut Case) {
    unlock_after(case, REST + SECOND);
}

fn unlock_after(case: &mut Case, time: Duration) {
    let guard = case.ours().lock().unwrap();
    case.scene.pass(time);
    case.arm();
    case.unlock(guard);
}

/// Another holds it, and we only ask about it.
fn asked_about(case: &mut Case) {
    let holder = case.lock_of(PEER, true).lock().unwrap();
    let lock = case.ours();
    case.arm();
    // The file system itself may say that there is no mailbox, or no dotlock.
    let may_be_gone = case.fault.is_some_and(|fault| fault.errno == errno::ENOENT);
    match lock.obstacles() {
        Ok(found) => {
            let is_true = found.iter().any(is_fcntl) && found.len() == 2;
            case.expect(is_true || may_be_gone, || format!("obstacles: {found:?}"));
        }
        Err(error) => case.failed("obstacles", &error, false),
    }
    case.scene.fs.disarm();
    let released = holder.verify().and_then(|()| holder.unlock());
    case.expect(released.is_ok(), || format!("the holder: {released:?}"));
}

/// Nobody has it, and we only ask.
fn asked_about_nothing(case: &mut Case) {
    let lock = case.ours();
    case.arm();
    match lock.obstacles() {
        Ok(found) => case.expect(found.is_empty(), || format!("obstacles: {found:?}")),
        Err(error) => case.failed("obstacles", &error, false),
    }
}

/// Others of its host see that its process is alive, and can't know that it has no use for it.
#[test]
fn a_right_that_was_not_given_back_is_not_in_our_own_way() {
    let case = Case::new(Mount::Nfs, None);
    let lock = case.ours();
    let rest = || {
        case.make_dotlock(b"0\n");
        assert!(lock.try_lock().unwrap_err().is_contention());
        case.scene.pass(REST + SECOND);
    };
    rest();
    // The first takes the dotlock away.
    let fault = Fault { when: When::At(1), ..Fault::once(Op::Rename, errno::EIO) };
    case.scene.fs.arm(Some(fault));
    lock.lock().unwrap().unlock().unwrap();
    assert!(case.breaker().exists());
    rest();
    lock.try_lock().unwrap().unlock().unwrap();
    assert!(!case.breaker().exists());
}

macro_rules! table {
    ($($name:ident)*) => {
        mod table {
            use super::{Case, drive};

            $(
                #[test]
                fn $name() {
                    drive(|mount, fault| {
                        let mut case = Case::new(mount, fault);
                        super::$name(&mut case);
                        case.finish()
                    });
                }
            )*
        }
    };
}

table! {
    uncontended
    without_mailbox
    without_fcntl
    contended
    contended_by_dotlock
    awaited
    stale_dotlock
    empty_dotlock
    stale_lock_file
    refresh_in_time
    refresh_late
    verify
    unlock_in_time
    unlock_late
    asked_about
    asked_about_nothing
}
