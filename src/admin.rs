//! What administrators do with a lock: see what time it is for its leases, break it, see who waits
//! for it, and sweep what the dead have left.

use std::path::PathBuf;
use std::time::SystemTime;

use crate::error::{Error, Operation};
use crate::events;
use crate::holder::{Holder, Obstacle};
use crate::lock::Lock;
use crate::lock_file::LockFile;
use crate::model::context::Context;
use crate::model::names::Neighbour;
use crate::protocol::claim::{Claim, unless_swept};
use crate::protocol::observe::{
    Evidence, Incarnation, Observation, Recheck, holder_by, is_abandoned, observe, observe_file,
    recheck,
};
use crate::protocol::sweep::{orphans, sweep};
use crate::protocol::takeover::{self, TakeoverOutcome};
use crate::sys::fs::Attr;

impl Lock {
    /// What time it is on the file server, whose clock leases are judged by. Asked by a file that
    /// is made beside the lock file and removed again. From then on [`holder`](Self::holder) and
    /// [`state`](Self::state) judge by it too.
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
    /// [`Error::Io`] if no file can be made there.
    pub fn server_time(&self) -> Result<SystemTime, Error> {
        drop(Claim::make(&self.context, self.lifetime())?);
        Ok(self.context.server_time())
    }

    /// Ends the tenure of the holder, if `condition` says so, and says whose it was.
    /// For administrators: to a lock whose lease runs the guarantee does not extend any more, since
    /// its holder does not know.
    ///
    /// The condition is asked again in the seat, and never about a file that is no lock. Exactly one
    /// of those who break a lock at once succeeds, and none of them can break its successor's.
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
    /// As for [`holder`](Self::holder), and [`Error::Held`] if the file system does not permit it.
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

    /// [`break_if`](Self::break_if) without its event in the log: for a program that keeps locks on
    /// behalf of others, such as a server, and ends them when their holders ask for it. To its own
    /// guards of the lock it applies [`LockGuard::discard_if_lost`](crate::LockGuard::discard_if_lost).
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

    /// Takes away whatever plain file has the lock's name, if `condition` says so, and says what it
    /// was. For administrators: this also ends what [`break_if`](Self::break_if) leaves alone, a file
    /// that is no lock or that this process may not read. Anything else than a plain file is left
    /// alone: a directory, a symbolic link, a FIFO, a device.
    ///
    /// The condition is asked about the file and, if it is a lock, about its holder; in the seat it
    /// is asked again. Exactly one of those who break a file at once succeeds, and none of them can
    /// break what comes after it: the file is renamed, looked at, and put back if it is another.
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
    /// [`Error::Held`] if it is no plain file, or if it is a lock and the file system does not permit
    /// to end it; [`Error::Io`].
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

    /// Who waits for the lock, as far as their claims tell: the files of those that are alive, or
    /// whose lease runs. flufl.lock's do not renew theirs while they wait, so that one who has
    /// waited for longer than his lifetime is not told.
    ///
    /// A claim is there while somebody waits, or is about to take the lock, or keeps it for the next
    /// time ([`LockOptions::keep_claim`](crate::LockOptions::keep_claim)). Blocks for a listing of the
    /// directory and a look at each claim.
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
    /// [`Error::Io`] if the directory can't be listed or a claim not be looked at.
    pub fn waiters(&self) -> Result<Vec<Holder>, Error> {
        let context = &self.context;
        let holders = match observe(context)? {
            Observation::Held(held, _) => Some(held.id),
            Observation::Free | Observation::NotALock | Observation::Unreadable(_) => None,
        };
        let mut waiters = Vec::new();
        for entry in list(context)? {
            let Some(Neighbour::Claim(claim)) = context.names.parse_neighbour(&entry) else {
                continue;
            };
            let Some(attr) = context.find(&claim.path)? else { continue };
            if holders != Some(attr.id) && !is_abandoned(context, &attr, Some(&claim)) {
                waiters.push(holder_by(context, &attr, &claim));
            }
        }
        Ok(waiters)
    }

    /// What [`sweep`](Self::sweep) would remove.
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

    /// Removes what processes that died have left beside the lock file: claims and the like that
    /// have expired and that the lock file is not. Says which files. Touches nothing else.
    ///
    /// A handle does so by itself before it first acquires the lock.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the directory can't be listed or a claim can't be made. What may not be
    /// removed is left.
    pub fn sweep(&self) -> Result<Vec<PathBuf>, Error> {
        let claim = Claim::make(&self.context, self.lifetime())?; // shows the server's time
        let swept = sweep(&self.context);
        drop(claim);
        swept
    }
}

/// A plain file that has the lock's name.
struct Found {
    attr: Attr,
    file: LockFile,
    /// What tells it from what comes after it: of a file that is no lock, its inode.
    incarnation: Incarnation,
    holder: Option<Holder>,
    is_readable: bool,
}

/// Looks at the plain file that has the lock's name.
fn find(context: &Context) -> Result<Option<Found>, Error> {
    let path = context.lock_path();
    let Some(attr) = context.find(path)? else { return Ok(None) };
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
    /// Whether it is the same file; of one that is no lock, whether it has not changed either.
    fn is(&self, other: &Found) -> bool {
        self.incarnation.is(&other.incarnation)
            && (self.holder.is_some() || self.has_content_of(other))
    }

    fn has_content_of(&self, other: &Found) -> bool {
        (self.attr.mtime, self.attr.size) == (other.attr.mtime, other.attr.size)
    }

    /// What it is now, and when it was last changed by anybody but us.
    fn unless_changed(&self, before: &Found) -> (LockFile, Option<Holder>) {
        let file = if self.has_content_of(before) { &before.file } else { &self.file };
        let holder = match (&before.holder, &self.holder) {
            (Some(before), Some(now)) => Some(unless_refreshed(before, now)),
            (_, now) => now.clone(),
        };
        (file.clone(), holder)
    }
}

/// A holder at the second look, and when it last refreshed the lock: ending its tenure has changed the
/// ctime of its files by then.
fn unless_refreshed(before: &Holder, now: &Holder) -> Holder {
    let is_refreshed = now.expires_at != before.expires_at;
    let refreshed_at = if is_refreshed { now.refreshed_at } else { before.refreshed_at };
    Holder { refreshed_at, ..now.clone() }
}

fn list(context: &Context) -> Result<Vec<std::ffi::OsString>, Error> {
    let dir = context.names.dir();
    context.fs.list(dir).map_err(Error::io(Operation::List, dir))
}
