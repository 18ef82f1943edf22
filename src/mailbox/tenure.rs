//! A mailbox while this process holds it: refresh, verify and release.
//!
//! While the lease runs no program that follows the rules removes the dotlock, so its holder acts
//! directly; but it checks the clock, before it removes the dotlock and after it has refreshed it.
//! After the end of the lease, the holder takes the lock that breakers take, and acts while that
//! lock's lease runs.

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
use crate::mailbox::dotlock::{LEASE, OwnDotlock};
use crate::mailbox::mbox_file::MboxFile;
use crate::mailbox::observe::{Observation, describe, observe};
use crate::mailbox::takeover::in_turn;
use crate::model::lease::nanoseconds;
use crate::protocol::current_tenure::Occupancy;

/// How often a late holder tries to act while it holds the breakers' lock.
const TURNS: u32 = 4;

/// Both locks on a mailbox, held by this process.
#[derive(Debug)]
pub(crate) struct MailboxTenure {
    pub(crate) context: Arc<MailboxContext>,
    mailbox: Option<MboxFile>,
    /// `None` once it is released.
    dotlock: Mutex<Option<OwnDotlock>>,
    /// The process that began it: a forked child holds no lock.
    pid: u32,
    /// When the lease ends, in nanoseconds of our clock: readable while a refresh hangs.
    lease_ends: AtomicU64,
    held: AtomicBool,
    /// The events while it is held: none before the tenure is handed out.
    pub(crate) events: events::Holding,
}

impl MailboxTenure {
    /// The tenure that begins with a dotlock that was made after `began`.
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
            pid: context.core().machine.processes.pid(),
            lease_ends: AtomicU64::new(nanoseconds(began + LEASE)),
            held: AtomicBool::new(true),
            events: events::Holding::default(),
        }
    }

    pub(crate) fn mailbox(&self) -> Option<&MboxFile> {
        self.mailbox.as_ref()
    }

    /// Whether this process began it, and has not released it.
    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::Acquire) && self.is_ours()
    }

    /// Checked before any mutex is locked, since a fork may have left it locked.
    pub(crate) fn is_ours(&self) -> bool {
        self.pid == self.context.core().machine.processes.pid()
    }

    fn lease_ends(&self) -> Duration {
        Duration::from_nanos(self.lease_ends.load(Ordering::Acquire))
    }

    /// Whether the dotlock is ours and its lease runs.
    pub(crate) fn verify(&self) -> Result<(), Error> {
        if !self.with_dotlock(|dotlock| dotlock.is_there(&self.context))? {
            return Err(self.events.lost(&self.context.mailbox, self.lost()));
        }
        if self.remaining().is_zero() {
            return Err(self.expired());
        }
        Ok(())
    }

    /// Releases both locks. The tenure ends even if that fails.
    pub(crate) fn release(&self) -> Result<(), Error> {
        if !self.is_ours() {
            return Err(self.lost());
        }
        self.held.store(false, Ordering::Release);
        let Some(dotlock) = self.lock_dotlock().take() else { return Ok(()) }; // already released
        let removed = self.remove(dotlock);
        let unlocked = self.mailbox().map_or(Ok(()), |mailbox| mailbox.unlock(&self.context));
        let released = match removed {
            Ok(true) => unlocked,
            Ok(false) => Err(self.lost()),
            Err(error) => Err(error),
        };
        let (core, outcome) = (self.context.core(), released.as_ref().copied());
        self.events.released(core, &self.context.mailbox, self.lease_ends(), outcome);
        released
    }

    /// [`release`](Self::release) for a caller that cannot handle the result.
    pub(crate) fn close(&self) {
        if self.is_held() {
            if let Err(error) = self.release() {
                events::not_released(&self.context.mailbox, &error);
            }
        }
    }

    /// Removes the dotlock, and returns whether it was there.
    fn remove(&self, dotlock: OwnDotlock) -> Result<bool, Error> {
        let Some(closed) = dotlock.close(&self.context)? else { return Ok(false) };
        // Only one operation follows the check.
        if !self.remaining().is_zero() {
            return closed.remove(&self.context);
        }
        self.in_turn(|turn| {
            if !closed.is_there(&self.context)? {
                return Ok(Some(false));
            }
            if turn.remaining().is_zero() {
                return Ok(None);
            }
            closed.remove(&self.context).map(Some)
        })
    }

    /// Touches the dotlock, and returns when the lease ends; `None` if it is no longer the
    /// mailbox's.
    fn touch(&self) -> Result<Option<Duration>, Error> {
        if !self.remaining().is_zero() {
            let touched = self.touch_once()?;
            // After a stall another program may be about to remove the dotlock that was just found.
            if !self.remaining().is_zero() {
                return Ok(touched);
            }
        }
        self.in_turn(|turn| {
            let touched = self.touch_once()?;
            Ok((!turn.remaining().is_zero()).then_some(touched))
        })
    }

    fn touch_once(&self) -> Result<Option<Duration>, Error> {
        self.with_dotlock(|dotlock| {
            let began = self.context.core().now();
            dotlock.touch(&self.context)?;
            Ok(dotlock.is_there(&self.context)?.then_some(began + LEASE))
        })
    }

    /// Calls `act` while no breaker can act. `None` from `act`: it took too long to be safe.
    fn in_turn<T>(&self, act: impl Fn(&LockGuard) -> Result<Option<T>, Error>) -> Result<T, Error> {
        for _ in 0..TURNS {
            if let Some(done) = in_turn(&self.context, LEASE, &act)? {
                return Ok(done);
            }
        }
        Err(self.expired())
    }

    fn expired(&self) -> Error {
        Error::Expired { path: self.context.mailbox.clone(), ago: self.overdue(), error: None }
    }

    /// Calls `act` with the dotlock, unless it was released or never was this process's.
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

    /// The error that names the program that has the mailbox instead.
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
    /// Touches the dotlock and checks that it is still the mailbox's.
    fn refresh(&self) -> Result<(), Error> {
        let refreshed = self.touch();
        let ended = self.lease_ends();
        let refreshed = match refreshed {
            Ok(Some(ends)) => {
                self.lease_ends.store(nanoseconds(ends), Ordering::Release);
                Ok(ends)
            }
            Ok(None) => {
                // The rest of the lease is worthless.
                let ends = ended.min(self.context.core().now());
                self.lease_ends.store(nanoseconds(ends), Ordering::Release);
                Err(self.lost())
            }
            Err(error) => Err(error),
        };
        if self.is_held() {
            let (core, outcome) = (self.context.core(), refreshed.as_ref().copied());
            self.events.refreshed(core, &self.context.mailbox, ended, outcome);
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
        &self.context.core().machine.clock
    }
}

impl Occupancy for MailboxTenure {
    fn is_held(&self) -> bool {
        self.is_held()
    }

    fn close(&self) {
        self.close();
    }
}

impl Drop for MailboxTenure {
    fn drop(&mut self) {
        self.close();
    }
}
