//! Observing another program's dotlock, repeatedly, and deciding whether it may be taken over.

use std::io;
use std::time::Duration;

use crate::dotlock::{DOTLOCK_MAX, Dotlock, DotlockKind};
use crate::error::{Error, Operation};
use crate::holder::{Holder, Obstacle};
use crate::mailbox::context::MailboxContext;
use crate::mailbox::dotlock::is_unchanged;
use crate::policy::StalePolicy;
use crate::sys::errno::{self, is_gone, is_unreadable};
use crate::sys::fs::Attr;
use crate::sys::process::Life;

/// One observation of a dotlock.
#[derive(Debug)]
pub(crate) enum Observation {
    None,
    /// A mail program's dotlock.
    Dotlock(Attr, DotlockKind),
    /// A lock file of [`Lock`](crate::Lock)'s kind.
    LockFile(Attr, Holder),
    NotALock,
    Unreadable(io::Error),
}

/// The attributes that change while a program works on a mailbox, since it touches the dotlock or
/// writes to the mailbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    pub(crate) dotlock: Attr,
    mailbox: Option<Attr>,
}

impl Snapshot {
    fn take(context: &MailboxContext, dotlock: Attr) -> Result<Snapshot, Error> {
        Ok(Snapshot { dotlock, mailbox: context.find_mailbox()? })
    }

    fn is_unchanged(&self, now: &Snapshot) -> bool {
        is_unchanged(&self.dotlock, &now.dotlock) && self.mailbox == now.mailbox
    }
}

/// Remembers since when a handle has observed the dotlock and the mailbox unchanged.
#[derive(Debug, Default)]
pub(crate) struct MailboxObserver {
    seen: Option<(Snapshot, Duration)>,
}

/// What a contender may do about another program's dotlock.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Nothing: it is gone.
    Gone,
    /// Take it over.
    Stale(StaleDotlock),
    Wait(Obstacle),
}

/// A dotlock that may be taken over.
#[derive(Debug)]
pub(crate) struct StaleDotlock {
    pub(crate) snapshot: Snapshot,
    pub(crate) what: Occupant,
}

#[cfg(test)]
impl StaleDotlock {
    /// The present dotlock, as if it had been found stale.
    pub(crate) fn now(context: &MailboxContext) -> StaleDotlock {
        let mut observer = MailboxObserver::default();
        let Ok(Verdict::Wait(Obstacle::Dotlock(dotlock))) = observer.observe(context) else {
            panic!("no dotlock that would have to be waited for");
        };
        let (snapshot, _) = observer.seen.expect("it was observed");
        StaleDotlock { snapshot, what: Occupant::Dotlock(dotlock) }
    }
}

/// The rules by which a dotlock is taken over.
#[derive(Debug)]
pub(crate) enum Occupant {
    Dotlock(Dotlock),
    LockFile(Holder),
}

impl Occupant {
    fn unchanged_for(self, unchanged_for: Duration) -> Occupant {
        match self {
            Occupant::Dotlock(dotlock) => Occupant::Dotlock(Dotlock { unchanged_for, ..dotlock }),
            Occupant::LockFile(holder) => Occupant::LockFile(holder),
        }
    }

    /// Whether it may be taken over.
    fn is_stale(&self, context: &MailboxContext, has_rested: bool) -> bool {
        match (self, context.stale) {
            (_, StalePolicy::Never) => false,
            (Occupant::Dotlock(dotlock), policy) => match (dotlock.life, policy) {
                (Life::Alive, _) => false,
                (Life::Dead, StalePolicy::ExpiredOrDead) => true,
                (Life::Dead | Life::Unknown, _) => has_rested,
            },
            (Occupant::LockFile(holder), StalePolicy::Expired | StalePolicy::ExpiredOrDead) => {
                has_rested && is_lease_over(context, holder)
            }
        }
    }

    pub(crate) fn obstacle(self) -> Obstacle {
        match self {
            Occupant::Dotlock(dotlock) => Obstacle::Dotlock(dotlock),
            Occupant::LockFile(holder) => Obstacle::Holder(holder),
        }
    }

    pub(crate) fn forbidden(self, error: io::Error) -> Obstacle {
        match self {
            Occupant::Dotlock(dotlock) => Obstacle::CannotBreakDotlock(dotlock, error),
            Occupant::LockFile(holder) => Obstacle::CannotBreak(holder, error),
        }
    }
}

/// Observes the mailbox's dotlock, by attributes forced from the server and by its content.
pub(crate) fn observe(context: &MailboxContext) -> Result<Observation, Error> {
    let core = context.core();
    let Some(attr) = core.machine.find(&context.dotlock)? else { return Ok(Observation::None) };
    if !attr.is_file() {
        return Ok(Observation::NotALock);
    }
    // An empty dotlock need not be opened: only root may open mutt's.
    let content = if attr.size == 0 {
        Vec::new()
    } else {
        match core.machine.retry_estale(|| core.machine.fs.read(&context.dotlock, DOTLOCK_MAX + 1))
        {
            Ok((read, content)) if read == attr => content,
            Ok(_) => {
                return Ok(Observation::Unreadable(errno::try_again()));
            }
            Err(error) if is_gone(&error) => return Ok(Observation::None),
            Err(error) if is_unreadable(&error) => return Ok(Observation::Unreadable(error)),
            Err(error) => return Err(Error::io(Operation::Read, &context.dotlock)(error)),
        }
    };
    match DotlockKind::parse(&content, attr.permissions) {
        Some(kind) => Ok(Observation::Dotlock(attr, kind)),
        None => look_for_lease(context, attr),
    }
}

fn look_for_lease(context: &MailboxContext, attr: Attr) -> Result<Observation, Error> {
    let holder = match &context.leased {
        Some(lock) => lock.holder(),
        None => return Ok(Observation::NotALock),
    };
    match holder {
        Ok(Some(holder)) => Ok(Observation::LockFile(attr, holder)),
        Ok(None) => Ok(Observation::None),
        Err(Error::Held { obstacle, .. }) => Ok(match *obstacle {
            Obstacle::Unreadable(error) | Obstacle::ReadDenied(_, error) => {
                Observation::Unreadable(error)
            }
            Obstacle::NotALock
            | Obstacle::Holder(_)
            | Obstacle::CannotBreak(..)
            | Obstacle::Queue
            | Obstacle::Dotlock(_)
            | Obstacle::CannotBreakDotlock(..)
            | Obstacle::Fcntl(_) => Observation::NotALock,
        }),
        Err(error) => Err(error),
    }
}

impl MailboxObserver {
    /// Observes the dotlock, and returns what may be done about it.
    pub(crate) fn observe(&mut self, context: &MailboxContext) -> Result<Verdict, Error> {
        let (attr, what) = match observe(context)? {
            Observation::Dotlock(attr, kind) => {
                let dotlock = describe(context, &attr, kind, Duration::ZERO);
                (attr, Occupant::Dotlock(dotlock))
            }
            Observation::LockFile(attr, holder) => (attr, Occupant::LockFile(holder)),
            Observation::None => return Ok(self.forget(Verdict::Gone)),
            Observation::NotALock => return Ok(self.forget(Verdict::Wait(Obstacle::NotALock))),
            Observation::Unreadable(error) => {
                return Ok(self.forget(Verdict::Wait(Obstacle::Unreadable(error))));
            }
        };
        let snapshot = Snapshot::take(context, attr)?;
        let unchanged_for = self.unchanged_for(context, snapshot);
        let what = what.unchanged_for(unchanged_for);
        Ok(if what.is_stale(context, unchanged_for >= context.unchanged_for) {
            Verdict::Stale(StaleDotlock { snapshot, what })
        } else {
            Verdict::Wait(what.obstacle())
        })
    }

    /// Forgets a dotlock that is gone.
    fn forget(&mut self, verdict: Verdict) -> Verdict {
        self.seen = None;
        verdict
    }

    fn unchanged_for(&mut self, context: &MailboxContext, snapshot: Snapshot) -> Duration {
        let now = context.core().now();
        match &self.seen {
            Some((seen, since)) if seen.is_unchanged(&snapshot) => now.saturating_sub(*since),
            _ => {
                self.seen = Some((snapshot, now));
                Duration::ZERO
            }
        }
    }
}

/// Whether the dotlock and the mailbox are unchanged.
pub(crate) fn is_still(context: &MailboxContext, before: &Snapshot) -> Result<bool, Error> {
    let Some(dotlock) = context.core().machine.find(&context.dotlock)? else { return Ok(false) };
    Ok(before.is_unchanged(&Snapshot::take(context, dotlock)?))
}

/// Whether the lease has been over for the clock slop, which is the rule for these locks.
pub(crate) fn is_lease_over(context: &MailboxContext, holder: &Holder) -> bool {
    let over = holder.expires_at.checked_add(context.core().config.clock_slop);
    over.is_some_and(|over| over < holder.server_time)
}

pub(crate) fn describe(
    context: &MailboxContext,
    attr: &Attr,
    kind: DotlockKind,
    unchanged_for: Duration,
) -> Dotlock {
    let core = context.core();
    let life = context.proc.life(&kind, attr.ctime, core.names.host(), core.is_local());
    Dotlock { kind, life, changed_at: attr.ctime, unchanged_for }
}
