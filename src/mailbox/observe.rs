//! Looking at another's dotlock, from look to look, and judging whether it may be ended.

use std::io;
use std::time::Duration;

use crate::dotlock::{DOTLOCK_MAX, Dotlock, DotlockKind};
use crate::error::{Error, Operation};
use crate::holder::{Holder, Obstacle, StalePolicy};
use crate::mailbox::context::Site;
use crate::model::context::is_gone;
use crate::sys::fs::Attr;
use crate::sys::process::Life;

/// A dotlock, as one look shows it.
#[derive(Debug)]
pub(crate) enum Sight {
    None,
    /// A mail program's.
    Dotlock(Attr, DotlockKind),
    /// One of [`Lock`](crate::Lock)'s kind.
    Leased(Attr, Holder),
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
pub(crate) struct Watch {
    seen: Option<(Scene, Duration)>,
}

/// What a contender may do about a dotlock that is in its way.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Nothing: it is gone.
    Gone,
    /// End it.
    Over(Over),
    Wait(Obstacle),
}

/// A dotlock that may be ended.
#[derive(Debug)]
pub(crate) struct Over {
    pub(crate) scene: Scene,
    pub(crate) what: Stale,
}

#[cfg(test)]
impl Over {
    /// Whatever there is now, as if it had been judged.
    pub(crate) fn now(site: &Site) -> Over {
        let mut watch = Watch::default();
        let Ok(Verdict::Wait(Obstacle::Dotlock(dotlock))) = watch.judge(site) else {
            panic!("no dotlock that would have to be waited for");
        };
        let (scene, _) = watch.seen.expect("it was looked at");
        Over { scene, what: Stale::Dotlock(dotlock) }
    }
}

/// By whose rules it is to be ended.
#[derive(Debug)]
pub(crate) enum Stale {
    Dotlock(Dotlock),
    Leased(Holder),
}

impl Stale {
    pub(crate) fn obstacle(self) -> Obstacle {
        match self {
            Stale::Dotlock(dotlock) => Obstacle::Dotlock(dotlock),
            Stale::Leased(holder) => Obstacle::Holder(holder),
        }
    }

    pub(crate) fn forbidden(self, error: io::Error) -> Obstacle {
        match self {
            Stale::Dotlock(dotlock) => Obstacle::CannotBreakDotlock(dotlock, error),
            Stale::Leased(holder) => Obstacle::CannotBreak(holder, error),
        }
    }
}

/// Looks at the mailbox's dotlock, by attributes forced from the server and by its content.
pub(crate) fn look(site: &Site) -> Result<Sight, Error> {
    let context = site.context();
    let Some(attr) = context.find(&site.dotlock)? else { return Ok(Sight::None) };
    if !attr.is_file {
        return Ok(Sight::NotALock);
    }
    // An empty one need not be opened: mutt's may be by nobody but root.
    let content = if attr.size == 0 {
        Vec::new()
    } else {
        match context.until_fresh(|| context.fs.read(&site.dotlock, DOTLOCK_MAX + 1)) {
            Ok((read, content)) if read == attr => content,
            Ok(_) => return Ok(Sight::Unreadable(io::Error::from_raw_os_error(libc::EAGAIN))),
            Err(error) if is_gone(&error) => return Ok(Sight::None),
            Err(error) => match error.raw_os_error() {
                Some(libc::EACCES | libc::EPERM | libc::ESTALE | libc::EIO) => {
                    return Ok(Sight::Unreadable(error));
                }
                _ => return Err(Error::io(Operation::Read, &site.dotlock)(error)),
            },
        }
    };
    match DotlockKind::parse(&content, attr.permissions) {
        Some(kind) => Ok(Sight::Dotlock(attr, kind)),
        None => look_for_lease(site, attr),
    }
}

fn look_for_lease(site: &Site, attr: Attr) -> Result<Sight, Error> {
    let holder = match &site.leased {
        Some(lock) => lock.holder(),
        None => return Ok(Sight::NotALock),
    };
    match holder {
        Ok(Some(holder)) => Ok(Sight::Leased(attr, holder)),
        Ok(None) => Ok(Sight::None),
        Err(Error::Held { obstacle, .. }) => Ok(match *obstacle {
            Obstacle::Unreadable(error) | Obstacle::ReadDenied(_, error) => {
                Sight::Unreadable(error)
            }
            _ => Sight::NotALock,
        }),
        Err(error) => Err(error),
    }
}

impl Watch {
    /// Looks at the dotlock, and says what may be done.
    pub(crate) fn judge(&mut self, site: &Site) -> Result<Verdict, Error> {
        let sight = look(site)?;
        let (Sight::Dotlock(attr, _) | Sight::Leased(attr, _)) = &sight else {
            self.seen = None;
            return Ok(match sight {
                Sight::None => Verdict::Gone,
                Sight::Unreadable(error) => Verdict::Wait(Obstacle::Unreadable(error)),
                _ => Verdict::Wait(Obstacle::NotALock),
            });
        };
        let scene = Scene { dotlock: *attr, mailbox: site.find_mailbox()? };
        let unchanged_for = self.unchanged_for(site, scene);
        let has_rested = unchanged_for >= site.unchanged_for;
        let (what, is_over) = match sight {
            Sight::Dotlock(attr, kind) => {
                let dotlock = describe(site, &attr, kind, unchanged_for);
                let is_over = match dotlock.life {
                    Life::Alive => false,
                    Life::Dead if site.stale == StalePolicy::ExpiredOrDead => true,
                    _ => has_rested && site.stale != StalePolicy::Never,
                };
                (Stale::Dotlock(dotlock), is_over)
            }
            Sight::Leased(_, holder) => {
                let is_over = has_rested && is_lease_over(site, &holder);
                (Stale::Leased(holder), is_over && site.stale != StalePolicy::Never)
            }
            _ => unreachable!("all others have been told already"),
        };
        Ok(if is_over {
            Verdict::Over(Over { scene, what })
        } else {
            Verdict::Wait(what.obstacle())
        })
    }

    fn unchanged_for(&mut self, site: &Site, scene: Scene) -> Duration {
        let now = site.context().now();
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
pub(crate) fn is_still(site: &Site, scene: &Scene) -> Result<bool, Error> {
    let context = site.context();
    let (dotlock, mailbox) = (context.find(&site.dotlock)?, site.find_mailbox()?);
    Ok(dotlock == Some(scene.dotlock) && mailbox == scene.mailbox)
}

/// By the rule of such locks: its lease has been over for the clock slop.
pub(crate) fn is_lease_over(site: &Site, holder: &Holder) -> bool {
    let over = holder.expires_at.checked_add(site.context().clock_slop);
    over.is_some_and(|over| over < holder.server_time)
}

pub(crate) fn describe(
    site: &Site,
    attr: &Attr,
    kind: DotlockKind,
    unchanged_for: Duration,
) -> Dotlock {
    let context = site.context();
    let life = site.proc.life(&kind, attr.ctime, context.names.host(), context.is_local());
    Dotlock { kind, life, changed_at: attr.ctime, unchanged_for }
}
