//! Reads the lock file: who holds the lock, by the file's inode, its content and the files beside it.
//!
//! An incarnation is the lock file's inode and the name of the claim that has that inode. The
//! content gives the name quickly. If the content is lost or torn in a power cut, or not readable
//! by us, the directory gives the name: the claim is beside the lock file. If the claim is gone
//! too, only the inode is left to go by.

pub(crate) mod observer;

use std::io;
use std::path::Path;
use std::time::SystemTime;

use crate::error::{Error, Operation, Successor};
use crate::holder::{Format, Holder, Obstacle};
use crate::lock_file::LockFile;
use crate::model::context::Context;
use crate::model::names::{CONTENT_MAX, ClaimName, Neighbour};
use crate::model::safeguard::Safeguard;
use crate::protocol::claim::Claim;
use crate::sys::errno::{is_busy, is_estale, is_forbidden, is_gone, is_read_denied};
use crate::sys::fs::{Attr, FileId};
use crate::sys::os_str::OsStrExt;
use crate::sys::process::Life;

/// One tenure of the lock, as others see it. An inode number alone does not identify it, since file
/// systems reuse numbers at once; the claim's name has a nonce.
#[derive(Clone, Debug)]
pub(crate) struct Incarnation {
    pub(crate) id: FileId,
    pub(crate) claim: ClaimName,
    pub(crate) evidence: Evidence,
}

/// How the claim of an incarnation is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// The content of the lock file.
    Content,
    /// The claim beside the lock file, which has its inode: nothing else reveals it.
    Directory,
    /// Nothing: there is no content and no such claim, and the name is made up from the inode.
    Nothing,
}

/// The result of observing the lock file.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // there is only one at a time, and never for long
pub(crate) enum Observation {
    /// The lock is free.
    Free,
    Held(Incarnation, Holder),
    /// A file that is not a lock, and is never touched.
    NotALock,
    /// A file that may be a lock, but could not be read.
    Unreadable(io::Error),
}

impl Incarnation {
    /// Whether both are the same tenure, refreshed or not.
    pub(crate) fn is(&self, other: &Incarnation) -> bool {
        self.id == other.id && self.claim == other.claim
    }
}

impl Observation {
    pub(crate) fn successor(self) -> Successor {
        match self {
            Observation::Free => Successor::Nobody,
            Observation::Held(_, holder) => Successor::Holder(Box::new(holder)),
            Observation::NotALock | Observation::Unreadable(_) => Successor::Stranger,
        }
    }
}

/// Observes the lock file, by attributes forced from the server and by its content.
pub(crate) fn observe(context: &Context) -> Result<Observation, Error> {
    let path = context.lock_path();
    match context.machine.find(path)? {
        None => Ok(Observation::Free),
        Some(attr) => observe_file(context, &attr),
    }
}

/// Observes a lock file that has these attributes.
pub(crate) fn observe_file(context: &Context, attr: &Attr) -> Result<Observation, Error> {
    // Only a regular file is opened: opening a device may have any effect.
    if !attr.is_file() {
        return Ok(Observation::NotALock);
    }
    match context
        .machine
        .retry_busy(|| context.machine.fs.read(context.lock_path(), CONTENT_MAX + 1))
    {
        Ok((attr, content)) if attr.is_file() && content.len() <= CONTENT_MAX => {
            match context.names.parse_content(&content) {
                Some(claim) => Ok(held(context, &attr, claim, Evidence::Content)),
                None => Ok(match claim_by_another_spelling(context, &attr, &content) {
                    Some(claim) => held(context, &attr, claim, Evidence::Content),
                    None => unnamed(context, &attr, &content)?,
                }),
            }
        }
        Ok(_) => Ok(Observation::NotALock),
        Err(error) if is_gone(&error) => Ok(Observation::Free),
        Err(error) if is_read_denied(&error) => Ok(match claim_beside(context, attr)? {
            Some(claim) => held(context, attr, claim, Evidence::Directory),
            None => Observation::Unreadable(error),
        }),
        Err(error)
            if is_estale(&error) || is_busy(&error) || context.config.is_to_be_retried(&error) =>
        {
            Ok(Observation::Unreadable(error))
        }
        Err(error) => Err(Error::io(Operation::Read, context.lock_path())(error)),
    }
}

/// Observes a lock file whose content names no claim.
fn unnamed(context: &Context, attr: &Attr, content: &[u8]) -> Result<Observation, Error> {
    Ok(match claim_beside(context, attr)? {
        Some(claim) => held(context, attr, claim, Evidence::Directory),
        None if is_blank(content) => nameless(context, attr),
        None => Observation::NotALock,
    })
}

/// The claim that the content names by another spelling of this lock's name, as it may in a
/// directory that takes `x.lock` and `X.Lock` for one name. The inode proves that it does.
fn claim_by_another_spelling(context: &Context, attr: &Attr, content: &[u8]) -> Option<ClaimName> {
    let (lock, claim) = context.names.parse_other_spelling(content)?;
    let found = context.machine.find(&lock).ok().flatten()?;
    (found.id == attr.id).then_some(claim)
}

/// The claim beside the lock file that has its inode.
fn claim_beside(context: &Context, attr: &Attr) -> Result<Option<ClaimName>, Error> {
    if !Safeguard::DirectoryDecides.stands() {
        return Ok(None);
    }
    let dir = context.names.dir();
    for entry in context.machine.fs.list(dir).map_err(Error::io(Operation::List, dir))? {
        let claim = match context.names.parse_neighbour(&entry) {
            Some(Neighbour::Claim(claim)) => claim,
            Some(_) => continue,
            None => match context.names.parse_other_spelling(entry.as_bytes()) {
                Some((_, claim)) => claim,
                None => continue,
            },
        };
        if context.machine.find(&claim.path)?.is_some_and(|it| it.id == attr.id) {
            return Ok(Some(claim));
        }
    }
    Ok(None)
}

/// Whether the content never reached the disk: it is empty, or zeros of the same length.
fn is_blank(content: &[u8]) -> bool {
    content.iter().all(|byte| *byte == 0)
}

fn nameless(context: &Context, attr: &Attr) -> Observation {
    if !Safeguard::DirectoryDecides.stands() {
        return Observation::NotALock;
    }
    held(context, attr, context.names.nameless(attr.id.ino), Evidence::Nothing)
}

pub(crate) fn held(
    context: &Context,
    attr: &Attr,
    claim: ClaimName,
    evidence: Evidence,
) -> Observation {
    let holder = holder_by(context, attr, &claim);
    Observation::Held(Incarnation { id: attr.id, claim, evidence }, holder)
}

/// The obstacle when the lock file, with these attributes if they are known, cannot be read.
pub(crate) fn unreadable(context: &Context, attr: Option<&Attr>, error: io::Error) -> Obstacle {
    match attr {
        Some(attr) if is_forbidden(&error) => {
            Obstacle::ReadDenied(LockFile::of(attr, context.server_time()), error)
        }
        _ => Obstacle::Unreadable(error),
    }
}

/// Describes the maker of a claim, by the claim's name and its file's attributes.
pub(crate) fn holder_by(context: &Context, attr: &Attr, claim: &ClaimName) -> Holder {
    Holder {
        host: claim.host.to_os_string(),
        pid: claim.pid,
        claim: claim.path.to_path_buf(),
        role: claim.nonce.role(),
        format: if claim.is_foreign() { Format::FluflLock } else { Format::Linklock },
        life: life(context, claim),
        expires_at: attr.mtime,
        refreshed_at: attr.ctime,
        server_time: context.server_time(),
    }
}

/// Whether the process that a claim names is alive, as far as this process can tell.
pub(crate) fn life(context: &Context, claim: &ClaimName) -> Life {
    if *claim.host != *context.names.host() {
        return Life::Unknown;
    }
    let process = claim.process();
    match context.machine.processes.life(&process) {
        // Only this machine's processes can have made the claim: if an earlier boot's did, it is dead.
        Life::Unknown if context.is_this_machines_alone() => {
            context.machine.processes.life_by_boot(&process)
        }
        life => life,
    }
}

/// The lock file's attributes, if its inode number is the claim's. They are the same file only if
/// the claim still exists *after* that request: an inode that has lost its last name is reused at
/// once.
pub(crate) fn lock_file_like(claim: &Claim) -> Result<Option<Attr>, Error> {
    let lock = claim.context.lock_path();
    let attr = claim.context.machine.find(lock)?;
    Ok(attr.filter(|attr| attr.id == claim.id))
}

/// [`lock_file_like`] for a claim that is in no seat, if the link count agrees: the inode then has
/// two names. A name that an NFS client has cached may lead to the claim's inode after the lock
/// file is gone, and old BSD clients turned EEXIST into success; the count reveals both.
pub(crate) fn linked(claim: &Claim) -> Result<Option<Attr>, Error> {
    Ok(lock_file_like(claim)?.filter(|attr| attr.nlink >= 2))
}

/// Whether the lock file is this claim's inode, though the claim may be gone.
pub(crate) fn is_lock_file(claim: &Claim) -> Result<bool, Error> {
    Ok(lock_file_like(claim)?.is_some() && (claim.is_there()? || names_claim(claim)?))
}

/// Whether the lock file is this claim's inode and names it: for a claim that may be gone.
pub(crate) fn names_claim(claim: &Claim) -> Result<bool, Error> {
    match observe(&claim.context)? {
        Observation::Held(held, _) => Ok(held.id == claim.id && held.claim == claim.name),
        Observation::Free | Observation::NotALock => Ok(false),
        Observation::Unreadable(error) => {
            Err(Error::io(Operation::Read, claim.context.lock_path())(error))
        }
    }
}

/// Whether the lock file is this holder's: by its attributes if they prove it, or else by its content.
pub(crate) fn has_lock_file(claim: &Claim) -> Result<bool, Error> {
    match linked(claim)? {
        Some(attr) if claim.is_surely(&attr) => Ok(true),
        _ => names_claim(claim),
    }
}

/// The result of the recheck in the seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recheck {
    StillStale,
    /// It is the same tenure, refreshed; or that cannot be decided.
    NotStale,
    /// The lock file is another process's, or there is none.
    Gone,
}

/// The recheck of a process that is about to take over another's lock.
pub(crate) fn recheck(
    context: &Context,
    stale: &Incarnation,
    is_stale: impl FnOnce(&Holder) -> bool,
) -> Result<Recheck, Error> {
    Ok(match observe(context)? {
        Observation::Held(held, holder) if held.is(stale) => {
            if is_stale(&holder) {
                Recheck::StillStale
            } else {
                Recheck::NotStale
            }
        }
        Observation::Free | Observation::Held(..) => Recheck::Gone,
        Observation::NotALock => Recheck::NotStale,
        Observation::Unreadable(error) => {
            return Err(Error::io(Operation::Read, context.lock_path())(error));
        }
    })
}

/// The recheck of a late holder.
pub(crate) fn recheck_own(claim: &Claim) -> Result<Recheck, Error> {
    Ok(if is_lock_file(claim)? { Recheck::StillStale } else { Recheck::Gone })
}

/// The claim that a seat or a put-aside file is a link to, if it can be read.
pub(crate) fn claim_in(context: &Context, path: &Path) -> Option<ClaimName> {
    let (_, content) =
        context.machine.retry_busy(|| context.machine.fs.read(path, CONTENT_MAX)).ok()?;
    context.names.parse_content(&content)
}

/// Whether a file that was last changed at `changed_at` expired at `ends`, more than the clock slop
/// ago: by dates, if those are comparable.
pub(crate) fn is_dated_over(context: &Context, changed_at: SystemTime, ends: SystemTime) -> bool {
    let is_comparable =
        context.memory.server.is_comparable(changed_at) || !Safeguard::ObservedAfterJump.stands();
    is_comparable && has_expired(context, ends)
}

/// Whether a lease that ended at `expires_at` did so more than the clock slop ago, in the server's
/// time.
pub(crate) fn has_expired(context: &Context, expires_at: SystemTime) -> bool {
    let over = expires_at.checked_add(context.config.clock_slop);
    over.is_some_and(|over| over < context.server_time())
}

/// Whether a file other than the lock file is useless to every process and may be swept: its lease
/// expired more than the clock slop ago, or the process of its claim is provably dead and none of
/// its requests is under way.
pub(crate) fn is_abandoned(context: &Context, attr: &Attr, claim: Option<&ClaimName>) -> bool {
    let dead = |claim| context.is_local() && life(context, claim) == Life::Dead;
    is_dated_over(context, attr.ctime, attr.mtime) || claim.is_some_and(dead)
}
