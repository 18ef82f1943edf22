//! Looking at the lock file, and judging whether whoever holds it may be succeeded.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::claim::Claim;
use crate::context::{Context, is_gone};
use crate::error::{Error, Operation, Successor};
use crate::fs::{Attr, FileId};
use crate::holder::{Format, Holder, Obstacle, StalePolicy};
use crate::names::{CONTENT_MAX, ClaimName};
use crate::process::Life;
use crate::safeguard::Safeguard;

/// One tenure of the lock. An inode number alone is no identity, since file systems use them
/// again at once; the claim's name has a nonce.
#[derive(Clone, Debug)]
pub(crate) struct Incarnation {
    pub(crate) id: FileId,
    pub(crate) claim: ClaimName,
    pub(crate) expires_at: SystemTime,
}

/// What a look at the lock file shows.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // one at a time, and never for long
pub(crate) enum Sight {
    /// Nobody holds it.
    Free,
    Held(Incarnation, Holder),
    /// A file that is no lock, and is never touched.
    NotALock,
    /// A file that may be a lock.
    Unreadable(io::Error),
}

impl Incarnation {
    /// Whether it is the same tenure, refreshed or not.
    pub(crate) fn is(&self, other: &Incarnation) -> bool {
        self.id == other.id && self.claim == other.claim
    }
}

impl Sight {
    pub(crate) fn successor(self) -> Successor {
        match self {
            Sight::Free => Successor::Nobody,
            Sight::Held(_, holder) => Successor::Holder(Box::new(holder)),
            Sight::NotALock | Sight::Unreadable(_) => Successor::Stranger,
        }
    }
}

/// Looks at the lock file, by attributes forced from the server and by its content.
pub(crate) fn look(context: &Context) -> Result<Sight, Error> {
    let path = context.lock();
    match context.find(path)? {
        None => Ok(Sight::Free),
        Some(attr) => look_at(context, &attr),
    }
}

/// Reads what the lock file's content says of its holder.
fn look_at(context: &Context, attr: &Attr) -> Result<Sight, Error> {
    // Nothing but a plain file is opened: a device may do anything when it is.
    if !attr.is_file {
        return Ok(Sight::NotALock);
    }
    match context.until_fresh(|| context.fs.read(context.lock(), CONTENT_MAX + 1)) {
        Ok((attr, content)) if attr.is_file && content.len() <= CONTENT_MAX => {
            let claim = context.names.parse_content(&content);
            Ok(claim.map_or(Sight::NotALock, |claim| held(context, &attr, claim)))
        }
        Ok(_) => Ok(Sight::NotALock),
        Err(error) if is_gone(&error) => Ok(Sight::Free),
        Err(error) => match error.raw_os_error() {
            Some(libc::EACCES | libc::EPERM | libc::ESTALE) => Ok(Sight::Unreadable(error)),
            Some(errno) if context.retry_errnos.contains(&errno) => Ok(Sight::Unreadable(error)),
            _ => Err(Error::io(Operation::Read, context.lock())(error)),
        },
    }
}

fn held(context: &Context, attr: &Attr, claim: ClaimName) -> Sight {
    let holder = holder_by(context, attr, &claim);
    Sight::Held(Incarnation { id: attr.id, claim, expires_at: attr.mtime }, holder)
}

/// What a claim and its file's attributes say of whoever made it.
pub(crate) fn holder_by(context: &Context, attr: &Attr, claim: &ClaimName) -> Holder {
    Holder {
        host: claim.host.to_os_string(),
        pid: claim.pid,
        claim: claim.path.to_path_buf(),
        format: if claim.is_foreign() { Format::FluflLock } else { Format::Linklock },
        life: life(context, claim),
        expires_at: attr.mtime,
        refreshed_at: attr.ctime,
        server_time: context.server_time(),
    }
}

/// Whether the process that a claim names lives, as far as that can be told from here.
pub(crate) fn life(context: &Context, claim: &ClaimName) -> Life {
    let same_host = *claim.host == *context.names.host();
    if same_host { context.processes.life(&claim.process()) } else { Life::Unknown }
}

/// The lock file's attributes, if its inode number is the claim's. That means the same only if the
/// claim is there *after* the look: an inode that has lost its last name is used again at once.
pub(crate) fn lock_file_like(claim: &Claim) -> Result<Option<Attr>, Error> {
    let lock = claim.context.lock();
    let attr = claim.context.find(lock)?;
    Ok(attr.filter(|attr| attr.id == claim.id))
}

/// [`lock_file_like`] a claim that is in no seat, if the link count agrees: the inode has two names,
/// then. A name that an NFS client has cached may lead to the claim's inode after the lock file is
/// gone, and old BSD clients turned EEXIST into success; the count betrays both.
pub(crate) fn linked(claim: &Claim) -> Result<Option<Attr>, Error> {
    Ok(lock_file_like(claim)?.filter(|attr| attr.nlink >= 2))
}

/// Whether the lock file is this claim's inode, though the claim may have been swept.
pub(crate) fn is_lock_file(claim: &Claim) -> Result<bool, Error> {
    Ok(lock_file_like(claim)?.is_some() && (claim.is_there()? || names_claim(claim)?))
}

/// Whether the lock file is this claim's inode and names it: for a claim that may not be there to
/// be asked.
pub(crate) fn names_claim(claim: &Claim) -> Result<bool, Error> {
    match look(&claim.context)? {
        Sight::Held(held, _) => Ok(held.id == claim.id && held.claim == claim.name),
        Sight::Free | Sight::NotALock => Ok(false),
        Sight::Unreadable(error) => Err(Error::io(Operation::Read, claim.context.lock())(error)),
    }
}

/// Whether the lock file is this holder's: by its attributes if they prove it, or else by what it
/// says.
pub(crate) fn has_lock_file(claim: &Claim) -> Result<bool, Error> {
    match linked(claim)? {
        Some(attr) if claim.is_surely(&attr) => Ok(true),
        _ => names_claim(claim),
    }
}

/// What the second look shows, in the seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    StillOver,
    /// It is the same tenure, refreshed; or that can't be told.
    NotOver,
    /// The lock file is another's, or none.
    Gone,
}

/// The second look of one who is to succeed another.
pub(crate) fn look_again(
    context: &Context,
    over: &Incarnation,
    is_over: impl FnOnce(&Incarnation, &Holder) -> bool,
) -> Result<Again, Error> {
    Ok(match look(context)? {
        Sight::Held(held, holder) if held.is(over) => {
            if is_over(&held, &holder) {
                Again::StillOver
            } else {
                Again::NotOver
            }
        }
        Sight::Free | Sight::Held(..) => Again::Gone,
        Sight::NotALock => Again::NotOver,
        Sight::Unreadable(error) => return Err(Error::io(Operation::Read, context.lock())(error)),
    })
}

/// The second look of a holder that is late.
pub(crate) fn look_again_for_own(claim: &Claim) -> Result<Again, Error> {
    Ok(if is_lock_file(claim)? { Again::StillOver } else { Again::Gone })
}

/// A contender's judgement of the lock, from look to look.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    /// What was seen last: a lock file that has not changed since need not be read again.
    last: Option<(Attr, Incarnation)>,
    /// Since when this claim's holder has been seen dead.
    dead_since: Option<(ClaimName, Duration)>,
}

/// What a contender may do.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Link: nobody holds it.
    Free,
    /// Nothing: the lock is held by the contender's own claim. The reply to its LINK was lost.
    Mine,
    /// Give up: the lock file has the content of our claim, but is another inode.
    NotLinked,
    /// Take over: its incarnation is over.
    Over(Incarnation, Holder),
    Wait(Obstacle),
}

impl Judge {
    /// Looks at the lock for the one who contends with `claim`, and judges it.
    pub(crate) fn judge(&mut self, claim: &Claim) -> Result<Verdict, Error> {
        let context = &claim.context;
        Ok(match self.look(context)? {
            Sight::Free => Verdict::Free,
            Sight::Held(held, _) if held.claim == claim.name => {
                if held.id == claim.id {
                    Verdict::Mine
                } else {
                    Verdict::NotLinked
                }
            }
            Sight::Held(held, holder) if self.is_over(context, &held, &holder) => {
                Verdict::Over(held, holder)
            }
            Sight::Held(_, holder) => Verdict::Wait(Obstacle::Holder(holder)),
            Sight::NotALock => Verdict::Wait(Obstacle::NotALock),
            Sight::Unreadable(error) => Verdict::Wait(Obstacle::Unreadable(error)),
        })
    }

    /// The second look of a contender, in the seat.
    pub(crate) fn look_again(&mut self, claim: &Claim, over: &Incarnation) -> Result<Again, Error> {
        let context = &claim.context;
        look_again(context, over, |held, holder| self.is_over(context, held, holder))
    }

    /// [`look`], for one request if the lock file has not changed since the last time.
    fn look(&mut self, context: &Context) -> Result<Sight, Error> {
        let path = context.lock();
        let Some(attr) = context.find(path)? else {
            return Ok(Sight::Free);
        };
        if let Some((seen, incarnation)) = &self.last {
            if *seen == attr {
                return Ok(held(context, &attr, incarnation.claim.clone()));
            }
        }
        let sight = look_at(context, &attr)?;
        self.last = match &sight {
            Sight::Held(incarnation, _) => Some((attr, incarnation.clone())),
            _ => None,
        };
        Ok(sight)
    }

    /// Whether the policy lets this tenure be ended.
    fn is_over(&mut self, context: &Context, held: &Incarnation, holder: &Holder) -> bool {
        match context.stale {
            StalePolicy::Never => false,
            StalePolicy::Expired => has_expired(context, held.expires_at),
            StalePolicy::ExpiredOrDead => {
                has_expired(context, held.expires_at) || self.is_dead(context, held, holder)
            }
        }
    }

    /// Whether the holder is dead, and nothing that it asked for is still under way. On a local
    /// file system nothing ever is. A request to a server may outlive its process: it is given the
    /// time that every request is given.
    fn is_dead(&mut self, context: &Context, held: &Incarnation, holder: &Holder) -> bool {
        if holder.life != Life::Dead {
            self.dead_since = None;
            return false;
        }
        let now = context.now();
        let since = match &self.dead_since {
            Some((claim, since)) if *claim == held.claim => *since,
            _ => self.dead_since.insert((held.claim.clone(), now)).1,
        };
        let nothing_is_under_way = context.is_local() || !Safeguard::RestForTheDead.stands();
        nothing_is_under_way || now.saturating_sub(since) >= context.clock_slop
    }
}

/// Whether a lease that ends then has been over for the clock slop, in the server's time.
pub(crate) fn has_expired(context: &Context, expires_at: SystemTime) -> bool {
    let over = expires_at.checked_add(context.clock_slop);
    over.is_some_and(|over| over < context.server_time())
}

/// Whether the file of a contender that is not the lock's holder is no use to anyone: a seat in
/// which it is may be passed over, and it may be swept.
pub(crate) fn is_abandoned(context: &Context, attr: &Attr, claim: Option<&ClaimName>) -> bool {
    let dead = |claim| context.is_local() && life(context, claim) == Life::Dead;
    has_expired(context, attr.mtime) || claim.is_some_and(dead)
}

/// The claim that a seat or a put-aside file is a link to, if it can be read.
pub(crate) fn claim_in(context: &Context, path: &Path) -> Option<ClaimName> {
    let (_, content) = context.fs.read(path, CONTENT_MAX).ok()?;
    context.names.parse_content(&content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Names;
    use crate::process::Process;

    #[test]
    fn neither_an_inode_number_nor_a_name_alone_tells_a_tenure() {
        let names = Names::new(Path::new("/shared/lock"), '|', "host".as_ref()).unwrap();
        let claim = |random| names.new_claim(random, &Process { pid: 1, proof: None });
        let tenure = |ino, random, seconds| Incarnation {
            id: FileId { dev: 1, ino },
            claim: claim(random),
            expires_at: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
        };
        let this = tenure(1, 1, 1);
        assert!(this.is(&tenure(1, 1, 2)), "refreshed");
        assert!(!this.is(&tenure(1, 2, 1)), "its inode number is used again");
        assert!(!this.is(&tenure(2, 1, 1)), "its content was copied");
    }
}
