//! Administration of a lock: the server's time, breaking a lock, listing its waiters, and sweeping
//! what dead processes left behind.

use std::path::PathBuf;
use std::time::SystemTime;

use crate::error::{Error, Operation};
use crate::events;
use crate::holder::{Holder, Obstacle, Role};
use crate::lock::Lock;
use crate::lock_file::LockFile;
use crate::model::context::Context;
use crate::model::names::{ClaimName, Neighbour};
use crate::protocol::claim::{Claim, unless_swept};
use crate::protocol::observe::{
    Evidence, Incarnation, Observation, Recheck, holder_by, is_abandoned, observe, observe_file,
    recheck,
};
use crate::protocol::sweep::{orphans, sweep};
use crate::protocol::takeover::{self, TakeoverOutcome};
use crate::sys::fs::Attr;

impl Lock {
    /// The file server's time, by which leases are measured. To learn it, this makes a file beside
    /// the lock file and removes it again. From then on [`holder`](Self::holder) and
    /// [`state`](Self::state) use that time too. Blocks for a few file operations.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// use std::time::{Duration, SystemTime};
    ///
    /// let ahead = linklock::Lock::new(&path)?.server_time()?.duration_since(SystemTime::now());
    /// assert!(ahead.unwrap_or_default() < Duration::from_secs(5), "on this machine's own disk");
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if no file can be made in the lock's directory.
    pub fn server_time(&self) -> Result<SystemTime, Error> {
        drop(Claim::make(&self.context, self.lifetime())?);
        Ok(self.context.server_time())
    }

    /// Breaks the lock if `condition` holds for its holder, and returns that holder; `None` if
    /// nothing was broken. For administrators: the guarantee does not cover a lock that is broken
    /// while its lease runs, since its holder does not know.
    ///
    /// The condition is checked again in the seat, and never on a file that is not a lock. Of
    /// several processes that break a lock at once, exactly one succeeds, and none can break the
    /// next holder's lock. Blocks for a few file operations.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// use std::time::Duration;
    /// use linklock::{Life, Lock};
    ///
    /// let guard = Lock::new(&path)?.lock()?;
    /// let unused = Duration::from_secs(600);
    /// let broken = Lock::new(&path)?.break_if(|holder| holder.idle() > unused)?;
    /// assert_eq!(broken, None);
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`holder`](Self::holder), and [`Error::Held`] if the file system does not permit
    /// breaking the lock.
    pub fn break_if(
        &self,
        condition: impl FnMut(&Holder) -> bool,
    ) -> Result<Option<Holder>, Error> {
        let broken = self.end_if(condition)?;
        if let Some(holder) = &broken {
            events::broken_on_request(&self.context, holder);
        }
        Ok(broken)
    }

    /// Like [`break_if`](Self::break_if), but emits no event: for a program that keeps locks on
    /// behalf of others, such as a server, and ends them when their holders ask for it. Such a
    /// program then calls [`LockGuard::discard_if_lost`](crate::LockGuard::discard_if_lost) on its
    /// own guards of the lock.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// use linklock::Lock;
    ///
    /// let guard = Lock::new(&path)?.lock()?;
    /// let ended = Lock::new(&path)?.end_if(|holder| holder.claim_path() == guard.claim_path())?;
    /// assert!(ended.is_some() && guard.discard_if_lost().is_ok());
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`break_if`](Self::break_if).
    pub fn end_if(
        &self,
        mut condition: impl FnMut(&Holder) -> bool,
    ) -> Result<Option<Holder>, Error> {
        let mut claim = Claim::make(&self.context, self.lifetime())?;
        let (stale, holder) = match observe(&self.context)? {
            Observation::Held(held, holder) if condition(&holder) => (held, holder),
            _ => return self.holder().map(|_| None),
        };
        let mut still = |now: &_| condition(&unless_refreshed(&holder, now));
        let still = |_: &Claim| recheck(&self.context, &stale, &mut still);
        match unless_swept(takeover::take_over(&mut claim, &stale, still))? {
            Some(TakeoverOutcome::Ended) => Ok(Some(holder)),
            Some(TakeoverOutcome::Gone | TakeoverOutcome::NotNow) | None => Ok(None),
            Some(TakeoverOutcome::Forbidden(error)) => {
                let obstacle = Box::new(Obstacle::CannotBreak(holder, error));
                Err(Error::Held { path: self.path().into(), obstacle })
            }
        }
    }

    /// Removes the regular file with the lock's name, whatever it contains, if `condition` holds for
    /// it, and returns a description of the file; `None` if nothing was removed. For
    /// administrators: unlike [`break_if`](Self::break_if), this also removes a file that is not a
    /// lock or that this process may not read. Anything but a regular file is left alone: a
    /// directory, a symbolic link, a FIFO, a device.
    ///
    /// The condition gets the file and, if it is a lock, its holder; it is checked again in the
    /// seat. Of several processes that break a file at once, exactly one succeeds, and none can
    /// break the next file of that name: the file is renamed, checked, and put back if it is
    /// another. Blocks for a few file operations.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// use linklock::Lock;
    ///
    /// std::fs::write(&path, "left by another program").unwrap();
    /// let lock = Lock::new(&path)?;
    /// assert!(lock.try_lock().is_err() && lock.break_if(|_| true).is_err());
    /// let broken = lock.break_file_if(|_, holder| holder.is_none())?;
    /// assert_eq!(broken.unwrap().size(), 23);
    /// assert!(lock.try_lock().is_ok());
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Held`] if it is not a regular file, or if it is a lock and the file system does not
    /// permit breaking it; [`Error::Io`] if a file operation failed.
    pub fn break_file_if(
        &self,
        mut condition: impl FnMut(&LockFile, Option<&Holder>) -> bool,
    ) -> Result<Option<LockFile>, Error> {
        let context = &self.context;
        let mut claim = Claim::make(context, self.lifetime())?;
        let found = match find(context)? {
            Some(found) if condition(&found.file, found.holder.as_ref()) => found,
            _ => return Ok(None),
        };
        let recheck = |_: &_| {
            Ok(match find(context)? {
                Some(now) if now.is(&found) => {
                    let (file, holder) = now.unless_changed(&found);
                    if condition(&file, holder.as_ref()) {
                        Recheck::StillStale
                    } else {
                        Recheck::NotStale
                    }
                }
                _ => Recheck::Gone,
            })
        };
        let outcome = unless_swept(takeover::take_over(&mut claim, &found.incarnation, recheck))?;
        let Some(outcome) = outcome else { return Ok(None) };
        match (outcome, found.holder) {
            (TakeoverOutcome::Ended, Some(holder)) => events::broken_on_request(context, &holder),
            (TakeoverOutcome::Ended, None) => {
                events::removed_on_request(context, found.is_readable);
            }
            (TakeoverOutcome::Gone | TakeoverOutcome::NotNow, _) => {
                return Ok(None);
            }
            (TakeoverOutcome::Forbidden(error), Some(holder)) => {
                let obstacle = Box::new(Obstacle::CannotBreak(holder, error));
                return Err(Error::Held { path: self.path().into(), obstacle });
            }
            (TakeoverOutcome::Forbidden(error), None) => {
                return Err(Error::io(Operation::Rename, self.path())(error));
            }
        }
        Ok(Some(found.file))
    }

    /// The waiters for the lock, as far as their claims show: the claims whose process is alive or
    /// whose lease runs. A waiter of flufl.lock does not renew its claim while it waits, so it is
    /// missing from the list once it has waited for longer than its lifetime.
    ///
    /// A claim exists while its process waits, is about to take the lock, or keeps the claim for
    /// the next acquisition ([`LockOptions::keep_claim`](crate::LockOptions::keep_claim)). A process
    /// that has the lock as a [reader](crate::RwLock) is not in the list. Blocks
    /// for a listing of the directory and a check of each claim.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// use linklock::Lock;
    ///
    /// let guard = Lock::new(&path)?.lock()?;
    /// assert!(Lock::new(&path)?.waiters()?.is_empty());
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the directory cannot be listed or a claim cannot be checked.
    pub fn waiters(&self) -> Result<Vec<Holder>, Error> {
        let context = &self.context;
        let holders = match observe(context)? {
            Observation::Held(held, _) => Some(held.id),
            Observation::Free | Observation::NotALock | Observation::Unreadable(_) => None,
        };
        let mut waiters = Vec::new();
        let entries = list(context)?;
        let readers = entries.iter().filter_map(|entry| context.names.parse_reader_claim(entry));
        let readers: Vec<_> = readers.map(|claim| (claim.host, claim.pid)).collect();
        let is_in = |claim: &ClaimName| readers.contains(&(claim.host.clone(), claim.pid));
        for entry in entries {
            let Some(Neighbour::Claim(claim)) = context.names.parse_neighbour(&entry) else {
                continue;
            };
            if claim.nonce.role() == Role::Entrance && is_in(&claim) {
                continue; // kept for its next reading
            }
            let Some(attr) = context.machine.find(&claim.path)? else { continue };
            if holders != Some(attr.id) && !is_abandoned(context, &attr, Some(&claim)) {
                waiters.push(holder_by(context, &attr, &claim));
            }
        }
        Ok(waiters)
    }

    /// The files that [`sweep`](Self::sweep) would remove. Blocks for a listing of the directory
    /// and a check of each such file.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("report.lock");
    /// for orphan in linklock::Lock::new(&path)?.orphans()? {
    ///     println!("left behind: {}", orphan.display());
    /// }
    /// # Ok::<(), linklock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`sweep`](Self::sweep).
    pub fn orphans(&self) -> Result<Vec<PathBuf>, Error> {
        self.server_time()?;
        let mut found = Vec::new();
        orphans(&self.context, |path| found.push(path))?;
        Ok(found)
    }

    /// Removes the files that dead processes left beside the lock file (claims and the like that
    /// have expired and are not the lock file) and returns their paths. Touches no other files.
    /// Blocks for a listing of the directory and a check of each such file.
    ///
    /// A handle sweeps by itself before it first acquires the lock.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the directory cannot be listed or a claim cannot be made. A file that may
    /// not be removed is left.
    pub fn sweep(&self) -> Result<Vec<PathBuf>, Error> {
        let claim = Claim::make(&self.context, self.lifetime())?; // learns the server's time
        let swept = sweep(&self.context);
        drop(claim);
        swept
    }
}

/// A regular file that has the lock's name.
struct Found {
    attr: Attr,
    file: LockFile,
    /// What distinguishes it from later files of that name: if it is not a lock, its inode.
    incarnation: Incarnation,
    holder: Option<Holder>,
    is_readable: bool,
}

/// Observes the regular file with the lock's name.
fn find(context: &Context) -> Result<Option<Found>, Error> {
    let path = context.lock_path();
    let Some(attr) = context.machine.find(path)? else { return Ok(None) };
    let file = LockFile::of(&attr, context.server_time());
    let found = |incarnation, holder, is_readable| {
        Ok(Some(Found { attr, file, incarnation, holder, is_readable }))
    };
    let by_inode = || Incarnation {
        id: attr.id,
        claim: context.names.nameless(attr.id.ino),
        evidence: Evidence::Nothing,
    };
    match observe_file(context, &attr)? {
        Observation::Free => Ok(None),
        Observation::Held(incarnation, holder) => found(incarnation, Some(holder), true),
        Observation::Unreadable(_) => found(by_inode(), None, false),
        Observation::NotALock if attr.is_file() => found(by_inode(), None, true),
        Observation::NotALock => {
            Err(Error::Held { path: path.into(), obstacle: Box::new(Obstacle::NotALock) })
        }
    }
}

impl Found {
    /// Whether it is the same file and, if it is not a lock, unchanged.
    fn is(&self, other: &Found) -> bool {
        self.incarnation.is(&other.incarnation)
            && (self.holder.is_some() || self.has_content_of(other))
    }

    fn has_content_of(&self, other: &Found) -> bool {
        (self.attr.mtime, self.attr.size) == (other.attr.mtime, other.attr.size)
    }

    /// The file as it is now, with the time of the last change that was not ours.
    fn unless_changed(&self, before: &Found) -> (LockFile, Option<Holder>) {
        let file = if self.has_content_of(before) { &before.file } else { &self.file };
        let holder = match (&before.holder, &self.holder) {
            (Some(before), Some(now)) => Some(unless_refreshed(before, now)),
            (_, now) => now.clone(),
        };
        (file.clone(), holder)
    }
}

/// The holder at the recheck, with the time of its own last refresh: by then the takeover has
/// changed the ctime of its files.
fn unless_refreshed(before: &Holder, now: &Holder) -> Holder {
    let is_refreshed = now.expires_at != before.expires_at;
    let refreshed_at = if is_refreshed { now.refreshed_at } else { before.refreshed_at };
    Holder { refreshed_at, ..now.clone() }
}

fn list(context: &Context) -> Result<Vec<std::ffi::OsString>, Error> {
    let dir = context.names.dir();
    context.machine.fs.list(dir).map_err(Error::io(Operation::List, dir))
}
