//! A mailbox while it is ours: refresh, verify and release.
//!
//! While the lease runs nobody who keeps to the rules touches the dotlock, so its holder acts
//! directly. Once it is stale, the holder takes the lock that breakers take, and only then acts.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::error::{Error, Successor};
use crate::events;
use crate::guard::LockGuard;
use crate::keep_alive::schedule::Renewable;
use crate::mailbox::context::MailboxContext;
use crate::mailbox::dotlock::OwnDotlock;
use crate::mailbox::mbox_file::MboxFile;
use crate::mailbox::observe::{Observation, describe, observe};

/// For how long other programs respect a dotlock that is not touched: the least patient of them,
/// Mail Avenger, breaks it after 30 s.
pub const LEASE: Duration = Duration::from_secs(30);

/// Both locks on a mailbox, held by this process.
#[derive(Debug)]
pub(crate) struct MailboxTenure {
    pub(crate) context: Arc<MailboxContext>,
    mailbox: Option<MboxFile>,
    /// `None` once it is released.
    dotlock: Mutex<Option<OwnDotlock>>,
    /// Whoever began it: a forked child holds nothing.
    pid: u32,
    /// When the lease ends, in nanoseconds of our clock: can be read while a refresh hangs.
    lease_ends: AtomicU64,
    held: AtomicBool,
    /// What was told of it: nothing before it is handed out.
    pub(crate) told: events::Holding,
}

impl MailboxTenure {
    /// What begins with a dotlock that was made after `began`.
    pub(crate) fn begin(
        context: &Arc<MailboxContext>,
        mailbox: Option<MboxFile>,
        dotlock: OwnDotlock,
        began: Duration,
    ) -> MailboxTenure {
        MailboxTenure {
            context: context.clone(),
            mailbox,
            dotlock: Mutex::new(Some(dotlock)),
            pid: context.core().processes.pid(),
            lease_ends: AtomicU64::new(nanoseconds(began + LEASE)),
            held: AtomicBool::new(true),
            told: events::Holding::default(),
        }
    }

    pub(crate) fn mailbox(&self) -> Option<&MboxFile> {
        self.mailbox.as_ref()
    }

    /// Whether it was not released, by the process that began it.
    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::Acquire) && self.is_ours()
    }

    /// Asked before any lock is taken, which a fork may have left locked.
    pub(crate) fn is_ours(&self) -> bool {
        self.pid == self.context.core().processes.pid()
    }

    fn lease_ends(&self) -> Duration {
        Duration::from_nanos(self.lease_ends.load(Ordering::Acquire))
    }

    /// Whether the dotlock is ours and its lease runs.
    pub(crate) fn verify(&self) -> Result<(), Error> {
        if !self.with_dotlock(|dotlock| dotlock.is_there(&self.context))? {
            return Err(self.told.lost(&self.context.mailbox, self.lost()));
        }
        if self.remaining().is_zero() {
            let (path, ago) = (self.context.mailbox.clone(), self.overdue());
            return Err(Error::Expired { path, ago, error: None });
        }
        Ok(())
    }

    /// Gives both locks back. Whatever comes of it, they are ours no more.
    pub(crate) fn release(&self) -> Result<(), Error> {
        if !self.is_ours() {
            return Err(self.lost());
        }
        self.held.store(false, Ordering::Release);
        let Some(dotlock) = self.lock_dotlock().take() else { return Ok(()) }; // done before
        let removed = self.in_turn(|| dotlock.remove(&self.context));
        let unlocked = self.mailbox().map_or(Ok(()), |mailbox| mailbox.unlock(&self.context));
        let released = match removed {
            Ok(true) => unlocked,
            Ok(false) => Err(self.lost()),
            Err(error) => Err(error),
        };
        let (core, told) = (self.context.core(), released.as_ref().copied());
        self.told.released(core, &self.context.mailbox, self.lease_ends(), told);
        released
    }

    /// [`release`](Self::release), where nobody can be told how it went.
    pub(crate) fn close(&self) {
        if self.is_held() {
            if let Err(error) = self.release() {
                events::not_released(&self.context.mailbox, &error);
            }
        }
    }

    /// Acts directly while the lease runs, and in turn with breakers once it is stale.
    fn in_turn<T>(&self, act: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let is_late = self.remaining().is_zero();
        let turn = is_late.then(|| self.context.breaker.try_lock_for(LEASE)).transpose()?;
        let done = act();
        if let Some(Err(error)) = turn.map(LockGuard::unlock) {
            events::right_not_given_back(&self.context.mailbox, &error);
        }
        done
    }

    /// Does something with the dotlock, unless it was released or never was this process's.
    fn with_dotlock<T>(
        &self,
        act: impl FnOnce(&OwnDotlock) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.is_ours() {
            if let Some(dotlock) = &*self.lock_dotlock() {
                return act(dotlock);
            }
        }
        Err(self.lost())
    }

    fn lock_dotlock(&self) -> MutexGuard<'_, Option<OwnDotlock>> {
        self.dotlock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says who has the mailbox instead.
    fn lost(&self) -> Error {
        let now = match observe(&self.context) {
            Ok(Observation::None) => Successor::Nobody,
            Ok(Observation::LockFile(_, holder)) => Successor::Holder(Box::new(holder)),
            Ok(Observation::Dotlock(attr, kind)) => {
                Successor::Dotlock(Box::new(describe(&self.context, &attr, kind, Duration::ZERO)))
            }
            Ok(Observation::NotALock | Observation::Unreadable(_)) => Successor::Stranger,
            Err(error) => return error,
        };
        Error::Lost { path: self.context.mailbox.clone(), now }
    }
}

impl Renewable for MailboxTenure {
    /// Touches the dotlock and sees that it is still the mailbox's.
    fn refresh(&self) -> Result<(), Error> {
        let refreshed = self.in_turn(|| {
            self.with_dotlock(|dotlock| {
                let began = self.context.core().now();
                dotlock.touch(&self.context)?;
                Ok(dotlock.is_there(&self.context)?.then_some(began + LEASE))
            })
        });
        let ended = self.lease_ends();
        let refreshed = match refreshed {
            Ok(Some(ends)) => {
                self.lease_ends.store(nanoseconds(ends), Ordering::Release);
                Ok(ends)
            }
            Ok(None) => {
                // Whatever was left of it, it is of no use.
                let ends = ended.min(self.context.core().now());
                self.lease_ends.store(nanoseconds(ends), Ordering::Release);
                Err(self.lost())
            }
            Err(error) => Err(error),
        };
        if self.is_held() {
            let (core, told) = (self.context.core(), refreshed.as_ref().copied());
            self.told.refreshed(core, &self.context.mailbox, ended, told);
        }
        refreshed.map(|_| ())
    }

    fn remaining(&self) -> Duration {
        self.lease_ends().saturating_sub(self.context.core().now())
    }

    fn overdue(&self) -> Duration {
        self.context.core().now().saturating_sub(self.lease_ends())
    }

    fn lifetime(&self) -> Duration {
        LEASE
    }

    fn path(&self) -> &Path {
        &self.context.mailbox
    }

    fn is_held(&self) -> bool {
        self.is_held()
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        &self.context.core().clock
    }
}

impl Drop for MailboxTenure {
    fn drop(&mut self) {
        self.close();
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX) // in some 584 years
}
