//! A process as its script sees it: the operations on the lock, and the checks of their answers.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::constants::{LIFETIME, PATH};
use super::host::SimClock;
use super::nfs_client::SimFs;
use super::safety_checker::NOBODY;
use super::world::{Process, Waiting};
use crate::clock::Clock;
use crate::error::Error;
use crate::guard::LockGuard;
use crate::holder::{Holder, Owner};
use crate::lock::Lock;
use crate::protocol::tenure::Tenure;

pub(super) struct Actor {
    pub(super) process: Process,
    pub(super) lock: Arc<Lock>,
    pub(super) fs: SimFs,
    pub(super) clock: SimClock,
    /// See [`Rules`](super::safety_checker::Rules).
    pub(super) may_be_caught: bool,
    /// Whether requests may fail in this run. An acquisition fails for no other reason.
    pub(super) may_fail: bool,
}

impl Actor {
    pub(super) fn sleep(&self, seconds: u64) {
        self.clock.sleep(Duration::from_secs(seconds));
    }

    /// Acquires the lock, however long that takes.
    pub(super) fn lock(&self) -> Option<LockGuard> {
        self.insist(|| self.lock.lock(), |_| false)
    }

    /// The same, through a handle that threads share.
    pub(super) fn lock_through(&self, lock: &Lock) -> Option<LockGuard> {
        self.insist(|| lock.lock(), |_| false)
    }

    /// The same, with a lifetime of this lock's own.
    pub(super) fn lock_for(&self, lifetime: Duration) -> Option<LockGuard> {
        let mut lock = Lock::clone(&self.lock);
        lock.set_lifetime(lifetime).expect("a lifetime");
        self.insist(|| lock.lock(), |_| false)
    }

    /// Tries until the lock is acquired or cannot be. A process without a timeout fails to acquire
    /// it only because a request failed.
    fn insist(
        &self,
        acquire: impl Fn() -> Result<LockGuard, Error>,
        is_hopeless: impl Fn(&Error) -> bool,
    ) -> Option<LockGuard> {
        loop {
            match acquire() {
                // An administrator has already broken it.
                Ok(guard) if self.is_given_up(&guard) => return Some(guard),
                Ok(guard) => {
                    self.has_token(&guard);
                    self.holds(guard.remaining());
                    return Some(guard);
                }
                Err(error) if self.process.has_crashed() || is_hopeless(&error) => return None,
                Err(error @ Error::Io { .. }) if self.may_fail => {
                    self.process.note(|| format!("gets an error: {error}"));
                }
                Err(error) => {
                    let id = self.process.id;
                    self.process.is_wrong(format!("process {id} gets a wrong answer: {error}"));
                    return None;
                }
            }
        }
    }

    /// Records the fencing token that this process got with the lock.
    fn has_token(&self, guard: &LockGuard) {
        if let Some(token) = guard.token() {
            self.process.note(|| format!("has the fencing token {token}"));
            let claim = guard.claim_path();
            self.process.world().safety.has_token(self.process.id, claim, token);
        }
    }

    /// Records that this process acquired the lock, or extended its lease.
    pub(super) fn holds(&self, left: Duration) {
        self.process.note(|| format!("HOLDS the lock for {left:?}"));
        let mut world = self.process.world();
        let now = world.now;
        let file = world.file_of(self.process.id, Path::new(PATH));
        world.safety.holds(self.process.id, file, now, left);
    }

    /// Refreshes the lock, and returns whether it is still held.
    pub(super) fn refresh(&self, guard: &LockGuard) -> bool {
        self.was_refreshed(guard, &guard.refresh())
    }

    /// The same, with a new lifetime. A process that asks for a shorter lease counts on no more
    /// than that from this moment.
    pub(super) fn refresh_for(&self, guard: &LockGuard, lifetime: Duration) -> bool {
        {
            let mut world = self.process.world();
            let at_most = world.now + lifetime;
            world.safety.shortens(self.process.id, at_most);
        }
        self.was_refreshed(guard, &guard.refresh_for(lifetime))
    }

    fn was_refreshed(&self, guard: &LockGuard, refreshed: &Result<(), Error>) -> bool {
        match refreshed {
            // The holder is promised nothing any more.
            _ if self.is_given_up(guard) => refreshed.is_ok(),
            Ok(()) if !guard.remaining().is_zero() => {
                self.assures(self.has_lock(guard));
                self.holds(guard.remaining());
                true
            }
            Err(Error::Lost { .. }) => self.loses(self.has_lock(guard)),
            // The lease runs for as long as the guard says.
            _ if !guard.remaining().is_zero() => {
                self.holds(guard.remaining());
                true
            }
            _ => true,
        }
    }

    /// Refreshes the lock from its keep-alive thread, and returns whether that thread should
    /// continue.
    pub(super) fn keep_alive(&self, tenure: &Tenure) -> bool {
        let refreshed = tenure.refresh();
        if !tenure.is_held() {
            return false; // another thread has begun to unlock it, and this one stops
        }
        let has_lock = self.is_lock_file(&tenure.claim().path);
        match refreshed {
            Err(Error::Lost { .. }) => return self.loses(has_lock),
            Ok(()) if !tenure.remaining().is_zero() => self.assures(has_lock),
            _ => {}
        }
        tenure.acknowledge_waiters();
        if !tenure.remaining().is_zero() {
            self.holds(tenure.remaining());
        }
        true
    }

    /// Attaches to a lock that was handed over, once there is one.
    pub(super) fn attach(&self) -> Option<(usize, LockGuard)> {
        let (holder, claim) = self.waits_for(|| self.process.world().handed_over.clone())?;
        self.process.world().safety.attaches(self.process.id, holder);
        Some((holder, self.lock.attach(&claim).ok()?))
    }

    /// Refreshes a lock for its owner, for a minute, and returns whether to continue.
    pub(super) fn refresh_attached(&self, holder: usize, guard: &LockGuard) -> bool {
        let refreshed = guard.refresh_for(Duration::from_secs(60));
        let left = guard.remaining();
        let world = self.process.world();
        if !world.runs(holder) {
            return true; // a dead owner's lock may be taken over, whatever others do for it
        }
        if world.attached_unlock {
            return false; // another process that acts for the owner released it: this one has no promise
        }
        let (now, file) = (world.now, world.file_of(holder, Path::new(PATH)));
        drop(world);
        let has_lock = self.has_lock(guard);
        match refreshed {
            Err(Error::Lost { .. }) => return self.loses(has_lock),
            Ok(()) if !left.is_zero() => self.assures(has_lock),
            _ => return true, // too late now, but perhaps not the next time
        }
        self.process.note(|| format!("REFRESHES the lock of its owner, for {left:?}"));
        self.process.world().safety.holds(holder, file, now, left);
        true
    }

    /// Unlocks on behalf of the owner.
    pub(super) fn unlock_attached(&self, holder: usize, guard: LockGuard) {
        let mut world = self.process.world();
        world.attached_unlock = true;
        world.safety.ends(holder);
        drop(world);
        let _ = guard.unlock();
    }

    /// Breaks the incarnation that holds the lock now, even if its holder is alive, and no other.
    pub(super) fn break_held(&self) {
        let mut target: Option<PathBuf> = None;
        let broken = self.lock.break_file_if(|_, holder| {
            let Some(claim) = holder.map(Holder::claim_path) else { return false };
            let mut world = self.process.world();
            match (&target, world.server.find(claim)) {
                (Some(target), _) => target == claim,
                (None, Some(file)) => {
                    world.safety.may_break(file, claim);
                    target = Some(claim.to_owned());
                    true
                }
                (None, None) => false,
            }
        });
        self.process.note(|| format!("has broken the lock: {:?}", broken.is_ok()));
    }

    fn is_given_up(&self, guard: &LockGuard) -> bool {
        self.process.world().safety.is_given_up(guard.claim_path())
    }

    /// Verifies that the lock is held, and returns whether it still is.
    pub(super) fn verify(&self, guard: &LockGuard) -> bool {
        match guard.verify() {
            verified if self.is_given_up(guard) => verified.is_ok(),
            Ok(()) if !guard.remaining().is_zero() => {
                self.process.note(|| "is assured that it holds the lock".to_owned());
                self.assures(self.has_lock(guard));
                true
            }
            Err(Error::Lost { .. }) => self.loses(self.has_lock(guard)),
            _ => true,
        }
    }

    pub(super) fn unlock(&self, guard: LockGuard) {
        self.process.note(|| "begins to unlock".to_owned());
        self.process.world().safety.ends(self.process.id);
        let is_promised = !self.is_given_up(&guard);
        let has_lock = self.has_lock(&guard);
        if guard.unlock().is_ok() && is_promised {
            self.assures(has_lock);
        }
    }

    /// Unlocks a lock that others may end at the same time.
    pub(super) fn end(&self, guard: &LockGuard) {
        self.process.note(|| "begins to end its tenure".to_owned());
        self.process.world().safety.ends(self.process.id);
        let ended = guard.end();
        self.process.note(|| format!("has ended its tenure: {:?}", ended.ok()));
    }

    /// Hands the lock over to an adopter, or leaves it to its lease.
    pub(super) fn hand_over(&self, guard: LockGuard, owner: Owner) {
        let began = self.process.world().now;
        self.process.note(|| format!("hands the lock over to {owner:?}"));
        self.process.world().safety.ends(self.process.id);
        let Ok(claim) = guard.detach(owner) else { return };
        let mut world = self.process.world();
        let holder = match owner {
            Owner::Process(pid) => world.neighbour(self.process.id, pid),
            Owner::Lease => None,
        };
        let (now, file) =
            (world.now, holder.and_then(|holder| world.file_of(holder, Path::new(PATH))));
        // The lease began before the call did.
        let left = (began + LIFETIME).saturating_sub(now);
        // If the owner has died by now, its lock may already have been taken over.
        if holder.is_none_or(|holder| world.runs(holder)) {
            world.safety.holds(holder.unwrap_or(NOBODY), file, now, left);
        }
        let holder = holder.unwrap_or(NOBODY);
        world.handed_over = Some((holder, claim));
    }

    /// Adopts a lock that was handed over, once there is one.
    pub(super) fn adopt(&self) -> Option<LockGuard> {
        self.adopt_what(|| self.process.world().handed_over.take())
    }

    /// The same, although another process may adopt it too.
    pub(super) fn adopt_too(&self) -> Option<LockGuard> {
        self.adopt_what(|| self.process.world().handed_over.clone())
    }

    /// Waits a while for `find` to find something.
    pub(super) fn waits_for<T>(&self, find: impl Fn() -> Option<T>) -> Option<T> {
        for _ in 0..10 {
            let found = find();
            if found.is_some() || self.process.has_crashed() {
                return found;
            }
            self.sleep(2);
        }
        find()
    }

    fn adopt_what(&self, handed_over: impl Fn() -> Option<(usize, PathBuf)>) -> Option<LockGuard> {
        let (holder, claim) = self.waits_for(handed_over)?;
        self.process.world().safety.ends(holder);
        // That claim may still hold the lock while other processes are in its seats.
        let may_be = |error: &Error| error.is_lost() || matches!(error, Error::Held { .. });
        self.insist(|| self.lock.adopt(&claim), may_be)
    }

    /// Sweeps, and checks that only leftovers are removed.
    pub(super) fn sweep(&self) {
        if let Ok(swept) = self.lock.sweep() {
            self.process.note(|| format!("has swept {} files", swept.len()));
        }
    }

    /// Dies, even while it holds the lock.
    pub(super) fn die(&self) {
        let mut world = self.process.world();
        world.processes[self.process.id].waiting = Waiting::Crashed;
        world.server.release_locks(self.process.id);
        let now = world.now;
        world.safety.dies(self.process.id, now);
    }

    /// Whether the lock file is really this process's.
    fn has_lock(&self, guard: &LockGuard) -> bool {
        self.is_lock_file(guard.claim_path())
    }

    /// Whether the lock file is linked to this claim.
    fn is_lock_file(&self, claim: &Path) -> bool {
        let claim = claim.as_os_str().as_encoded_bytes();
        match self.process.world().server.content(Path::new(PATH)) {
            Some(content) => content == claim,
            // A rename that is executed twice catches another holder's lock file, and puts it back.
            None => self.may_be_caught,
        }
    }

    /// A process may learn that it holds the lock only if it does.
    fn assures(&self, has_lock: bool) {
        if !has_lock {
            let id = self.process.id;
            self.process.is_wrong(format!("process {id} did not learn that it lost the lock"));
        }
    }

    /// A process may learn that it lost the lock only if it did.
    fn loses(&self, has_lock: bool) -> bool {
        self.process.note(|| "learns that it LOST the lock".to_owned());
        // After a power cut that left no content, and with the claim gone, the holder is unknown.
        let is_known = self.process.world().server.tells_holder();
        if has_lock && !self.may_be_caught && is_known {
            let id = self.process.id;
            self.process.is_wrong(format!("process {id} learned of a loss, but holds the lock"));
        }
        self.process.world().safety.ends(self.process.id);
        false
    }
}
