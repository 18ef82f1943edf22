//! Looking at another's dotlock, from look to look, and judging whether it may be ended.

use std::io;
use std::time::Duration;

use crate::dotlock::{DOTLOCK_MAX, Dotlock, DotlockKind};
use crate::error::{Error, Operation};
use crate::holder::{Holder, Obstacle, StalePolicy};
use crate::mailbox::context::MailboxContext;
use crate::sys::errno::{self, is_gone, is_unreadable};
use crate::sys::fs::Attr;
use crate::sys::process::Life;

/// A dotlock, as one look shows it.
#[derive(Debug)]
pub(crate) enum Observation {
    None,
    /// A mail program's.
    Dotlock(Attr, DotlockKind),
    /// One of [`Lock`](crate::Lock)'s kind.
    LockFile(Attr, Holder),
    NotALock,
    Unreadable(io::Error),
}

/// What may change while a mailbox is worked on: whoever does it touches one or the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scene {
    pub(crate) dotlock: Attr,
    mailbox: Option<Attr>,
}

/// Since when a handle has seen the same scene.
#[derive(Debug, Default)]
pub(crate) struct MailboxObserver {
    seen: Option<(Scene, Duration)>,
}

/// What a contender may do about a dotlock that is in its way.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Nothing: it is gone.
    Gone,
    /// End it.
    Stale(StaleDotlock),
    Wait(Obstacle),
}

/// A dotlock that may be ended.
#[derive(Debug)]
pub(crate) struct StaleDotlock {
    pub(crate) scene: Scene,
    pub(crate) what: Occupant,
}

#[cfg(test)]
impl StaleDotlock {
    /// Whatever there is now, as if it had been judged.
    pub(crate) fn now(context: &MailboxContext) -> StaleDotlock {
        let mut observer = MailboxObserver::default();
        let Ok(Verdict::Wait(Obstacle::Dotlock(dotlock))) = observer.observe(context) else {
            panic!("no dotlock that would have to be waited for");
        };
        let (scene, _) = observer.seen.expect("it was looked at");
        StaleDotlock { scene, what: Occupant::Dotlock(dotlock) }
    }
}

/// By whose rules it is to be ended.
#[derive(Debug)]
pub(crate) enum Occupant {
    Dotlock(Dotlock),
    LockFile(Holder),
}

impl Occupant {
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

/// Looks at the mailbox's dotlock, by attributes forced from the server and by its content.
pub(crate) fn observe(context: &MailboxContext) -> Result<Observation, Error> {
    let core = context.core();
    let Some(attr) = core.find(&context.dotlock)? else { return Ok(Observation::None) };
    if !attr.is_file() {
        return Ok(Observation::NotALock);
    }
    // An empty one need not be opened: mutt's may be by nobody but root.
    let content = if attr.size == 0 {
        Vec::new()
    } else {
        match core.retry_estale(|| core.fs.read(&context.dotlock, DOTLOCK_MAX + 1)) {
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
            _ => Observation::NotALock,
        }),
        Err(error) => Err(error),
    }
}

impl MailboxObserver {
    /// Looks at the dotlock, and says what may be done.
    pub(crate) fn observe(&mut self, context: &MailboxContext) -> Result<Verdict, Error> {
        let sight = observe(context)?;
        let (Observation::Dotlock(attr, _) | Observation::LockFile(attr, _)) = &sight else {
            self.seen = None;
            return Ok(match sight {
                Observation::None => Verdict::Gone,
                Observation::Unreadable(error) => Verdict::Wait(Obstacle::Unreadable(error)),
                _ => Verdict::Wait(Obstacle::NotALock),
            });
        };
        let scene = Scene { dotlock: *attr, mailbox: context.find_mailbox()? };
        let unchanged_for = self.unchanged_for(context, scene);
        let has_rested = unchanged_for >= context.unchanged_for;
        let (what, is_stale) = match sight {
            Observation::Dotlock(attr, kind) => {
                let dotlock = describe(context, &attr, kind, unchanged_for);
                let is_stale = match dotlock.life {
                    Life::Alive => false,
                    Life::Dead if context.stale == StalePolicy::ExpiredOrDead => true,
                    _ => has_rested && context.stale != StalePolicy::Never,
                };
                (Occupant::Dotlock(dotlock), is_stale)
            }
            Observation::LockFile(_, holder) => {
                let is_stale = has_rested && is_lease_over(context, &holder);
                (Occupant::LockFile(holder), is_stale && context.stale != StalePolicy::Never)
            }
            _ => unreachable!("all others have been told already"),
        };
        Ok(if is_stale {
            Verdict::Stale(StaleDotlock { scene, what })
        } else {
            Verdict::Wait(what.obstacle())
        })
    }

    fn unchanged_for(&mut self, context: &MailboxContext, scene: Scene) -> Duration {
        let now = context.core().now();
        match &self.seen {
            Some((seen, since)) if *seen == scene => now.saturating_sub(*since),
            _ => {
                self.seen = Some((scene, now));
                Duration::ZERO
            }
        }
    }
}

/// Whether the scene is still what it was.
pub(crate) fn is_still(context: &MailboxContext, scene: &Scene) -> Result<bool, Error> {
    let core = context.core();
    let (dotlock, mailbox) = (core.find(&context.dotlock)?, context.find_mailbox()?);
    Ok(dotlock == Some(scene.dotlock) && mailbox == scene.mailbox)
}

/// By the rule of such locks: its lease has been over for the clock slop.
pub(crate) fn is_lease_over(context: &MailboxContext, holder: &Holder) -> bool {
    let over = holder.expires_at.checked_add(context.core().clock_slop);
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
