//! A claim: the file of one waiter or holder. The lock file is a hard link to its holder's claim.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::error::{Error, Operation};
use crate::events;
use crate::holder::Holder;
use crate::model::context::Context;
use crate::model::lease::Lease;
use crate::model::names::ClaimName;
use crate::model::nonce::Nonce;
use crate::model::server_clock::ObservedDate;
use crate::protocol::new_claim::new_name;
use crate::protocol::not_made::{date_not_kept, not_dated, not_made};
use crate::protocol::wake_up::pass_on;
use crate::sys::dates::{DateNotKept, is_kept};
use crate::sys::errno::{is_estale, is_gone, is_in_use};
use crate::sys::fs::{Attr, FileId, HeldOpen, Mount};
use crate::sys::os_str::OsStrExt;
use crate::sys::process::Process;
use crate::wait::hints::Hints;

/// How often to try to make a claim that another process removes at once.
const ATTEMPTS: u32 = 4;
/// How often to try to make a claim whose inode is busy because its number was reused: for some two
/// seconds.
const ATTEMPTS_IF_BUSY: u32 = 9;

/// A claim of ours. When dropped, it is removed, unless it was let go of or we are a forked child. It
/// goes from hand to hand, so it is boxed when it is made.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) context: Arc<Context>,
    pub(crate) name: ClaimName,
    pub(crate) path: Arc<Path>,
    pub(crate) id: FileId,
    pub(crate) lifetime: Duration,
    pub(crate) lease: Lease,
    /// The end of the lease as last written, with a tag of ours in it: see [`begin_lease`].
    mtime: SystemTime,
    /// The seat that it may still be in: see [`takeover`](crate::protocol::takeover).
    pub(crate) forfeited: Option<(Nonce, u32)>,
    /// When that seat was forfeited.
    pub(crate) forfeited_at: Duration,
    /// Another process's claim, as last seen in a seat that this one wanted.
    pub(crate) seen_in_seat: Option<ObservedDate>,
    /// The last seat that was found to be forsaken.
    pub(crate) seats_passed: Option<(Nonce, u32)>,
    /// Whether it was ever the lock file with an expired lease: another process may then have
    /// observed it as stale, so it is never linked again.
    pub(crate) was_late: bool,
    held_open: HeldOpen,
    /// Wake-up hints, if the options ask for them: for claims that contend.
    pub(crate) hints: Option<Hints>,
    /// The process responsible for the file, or `None` once the claim was let go of.
    responsible: Option<u32>,
}

/// Why a step with a claim of ours failed.
#[derive(Debug)]
pub(crate) enum ClaimError {
    /// Another process has removed the claim, as a sweeper may do once the claim has expired.
    Swept,
    Other(Error),
}

impl From<Error> for ClaimError {
    fn from(error: Error) -> ClaimError {
        ClaimError::Other(error)
    }
}

/// `None` if the claim was swept.
pub(crate) fn unless_swept<T>(step: Result<T, ClaimError>) -> Result<Option<T>, Error> {
    match step {
        Ok(done) => Ok(Some(done)),
        Err(ClaimError::Swept) => Ok(None),
        Err(ClaimError::Other(error)) => Err(error),
    }
}

impl Claim {
    /// Makes a claim for this process.
    pub(crate) fn make(context: &Arc<Context>, lifetime: Duration) -> Result<Box<Claim>, Error> {
        let this = context.machine.processes.this();
        Claim::create(context, lifetime, &this, this.pid, None)
    }

    /// Makes a claim for this process to contend with, which can be asked for wake-up hints.
    pub(crate) fn make_to_contend(
        context: &Arc<Context>,
        lifetime: Duration,
    ) -> Result<Box<Claim>, Error> {
        let this = context.machine.processes.this();
        Claim::create(context, lifetime, &this, this.pid, Hints::open(context))
    }

    /// Makes a claim that counts as another process's.
    pub(crate) fn make_for(
        owner: &Process,
        context: &Arc<Context>,
        lifetime: Duration,
    ) -> Result<Box<Claim>, Error> {
        Claim::create(context, lifetime, owner, context.machine.processes.pid(), None)
    }

    /// Creates the file, with its own path as content and the end of its lease as mtime.
    fn create(
        context: &Arc<Context>,
        lifetime: Duration,
        owner: &Process,
        responsible: u32,
        hints: Option<Hints>,
    ) -> Result<Box<Claim>, Error> {
        let address = hints.as_ref().map(|hints| hints.socket.address());
        if context.machine.fs.is_append_only(context.names.dir()) {
            let lacks =
                "is append-only in that directory (chattr +a), so that no lock could be released";
            return Err(context.unsupported(lacks, None));
        }
        for attempt in 1.. {
            let name = new_name(context, owner, address)?;
            let path = name.path.clone();
            let (mut lease, mut mtime) = (Lease { ends: Duration::ZERO }, SystemTime::UNIX_EPOCH);
            let before = context.now();
            let (content, permissions) = (path_bytes(&path), context.config.mode);
            let made = context.machine.fs.create(&path, content, permissions, &mut |attr| {
                context.learn_time(attr.ctime, before);
                (lease, mtime) = begin_lease(context, context.now(), lifetime);
                mtime
            });
            match made {
                // Another process has removed it before it was filled.
                Err(error) if is_estale(&error) && attempt < ATTEMPTS => {}
                Err(error) if is_in_use(&error) && attempt < ATTEMPTS_IF_BUSY => {
                    context.machine.clock.sleep(Duration::from_millis(4 << attempt));
                }
                Err(error) => return Err(not_made(context, &path, error)),
                Ok((Attr { id, .. }, held_open)) => {
                    return Ok(Box::new(Claim {
                        context: context.clone(),
                        name,
                        path,
                        id,
                        lifetime,
                        lease,
                        mtime,
                        forfeited: None,
                        forfeited_at: Duration::ZERO,
                        seen_in_seat: None,
                        seats_passed: None,
                        was_late: false,
                        held_open,
                        hints,
                        responsible: Some(responsible),
                    }));
                }
            }
        }
        unreachable!("the last attempt returns")
    }

    /// Takes on the claim of a lock that is held. Its lease is the shorter of the one written and
    /// the one intended: the server's clock may have been set back since.
    pub(crate) fn take_on(
        context: &Arc<Context>,
        name: ClaimName,
        id: FileId,
        holder: &Holder,
        lifetime: Duration,
    ) -> Box<Claim> {
        let now = context.now();
        let since = |moment| holder.expires_at.duration_since(moment).unwrap_or_default();
        let left = since(context.lease_start(now)).min(since(holder.refreshed_at));
        Box::new(Claim {
            path: name.path.clone(),
            name,
            id,
            lifetime,
            lease: Lease { ends: now.saturating_add(left) },
            mtime: holder.expires_at,
            forfeited: None,
            forfeited_at: Duration::ZERO,
            seen_in_seat: None,
            seats_passed: None,
            was_late: true, // as far as this process knows
            held_open: HeldOpen::default(),
            hints: None,
            responsible: Some(context.machine.processes.pid()),
            context: context.clone(),
        })
    }

    /// Moves the end of the lease to a lifetime from now. The lock file has the same inode, so
    /// while we hold the lock this renews it.
    pub(crate) fn touch(&mut self) -> Result<(), ClaimError> {
        let (lease, mtime) = begin_lease(&self.context, self.context.now(), self.lifetime);
        match self.context.machine.retry_estale(|| self.context.machine.fs.touch(&self.path, mtime))
        {
            Ok(()) => {
                (self.lease, self.mtime) = (lease, mtime);
                Ok(())
            }
            Err(error) if is_gone(&error) => Err(ClaimError::Swept),
            Err(error) => Err(not_dated(&self.context, &self.path, error).into()),
        }
    }

    /// Sets the date that was written last once more, after a rename of the file that may have changed
    /// it, if only by a part of a second (in encfs). The lease stays as it is, whatever comes of this.
    pub(crate) fn date_again(&self) {
        if self.context.mount() == Mount::Other {
            let _ = self.context.machine.fs.touch(&self.path, self.mtime);
        }
    }

    /// Touches the claim if no more than a third of its lease is left, so that a lock file never
    /// appears with a lease that has already expired, however long the wait was.
    pub(crate) fn touch_if_due(&mut self) -> Result<(), ClaimError> {
        if self.touch_due_in().is_zero() { self.renew() } else { Ok(()) }
    }

    /// Touches a claim that may have been in use for long.
    pub(crate) fn renew(&mut self) -> Result<(), ClaimError> {
        let is_old = self.context.memory.server.is_old(self.context.now());
        if is_old { self.touch_by_server() } else { self.touch() }
    }

    /// Touches the claim and so learns the server's time. An old sample loses value, since no two
    /// clocks run alike.
    pub(crate) fn touch_by_server(&mut self) -> Result<(), ClaimError> {
        for _ in 0..2 {
            let before = self.context.now();
            self.touch()?;
            match self.context.machine.find(&self.path)? {
                Some(attr) if attr.id == self.id => {
                    if self.learn_time(&attr, before) {
                        break;
                    }
                }
                _ => return Err(ClaimError::Swept),
            }
        }
        Ok(())
    }

    /// Learns the server's time from a touch after the moment `before`. Returns whether the end of the
    /// lease that it wrote is late enough: if the server's clock was set forward, it is too near.
    pub(crate) fn learn_time(&self, attr: &Attr, before: Duration) -> bool {
        if attr.is_changed_at_mtime() {
            return true; // what the server stamped when the claim was made still counts
        }
        self.context.learn_time(attr.ctime, before);
        let ends = attr.mtime.checked_add(self.context.config.clock_slop / 2);
        ends.is_none_or(|ends| ends >= attr.ctime + self.lifetime)
    }

    /// How long until only a third of its lease is left.
    pub(crate) fn touch_due_in(&self) -> Duration {
        self.lease.remaining(self.context.now()).saturating_sub(self.lifetime / 3)
    }

    /// Whether the claim is still good: an expired claim may be swept, and a seat that it is in may
    /// be passed over.
    pub(crate) fn has_lease(&self) -> bool {
        self.lease.runs(self.context.now())
    }

    /// The first seat of the incarnation with that nonce that the claim may take.
    pub(crate) fn first_seat(&self, incarnation: &Nonce) -> u32 {
        let after = |seat: &Option<(Nonce, u32)>| match seat {
            Some((of, number)) if of == incarnation => number + 1,
            _ => 0,
        };
        after(&self.forfeited).max(after(&self.seats_passed))
    }

    /// The end of the lease as others read it: the mtime last written.
    pub(crate) fn expires_at(&self) -> SystemTime {
        self.mtime
    }

    /// Whether this process may use and remove the file.
    pub(crate) fn is_ours(&self) -> bool {
        self.responsible == Some(self.context.machine.processes.pid())
    }

    /// Closes the file, whose name is about to be removed: an NFS client does not remove a file
    /// that it has open, but renames it.
    pub(crate) fn close(&mut self) {
        self.held_open = HeldOpen::default();
    }

    /// Removes the file; returns whether it was there.
    pub(crate) fn remove(&mut self) -> Result<bool, Error> {
        self.responsible = None;
        self.close();
        self.context.machine.remove(&self.path).map_err(Error::io(Operation::Remove, &self.path))
    }

    /// Gives the claim its name back, by a link from another name of its inode, if that still exists.
    pub(crate) fn restore(&mut self, from: &Path) -> Result<(), Error> {
        self.responsible = Some(self.context.machine.processes.pid());
        match self.context.machine.retry_estale(|| self.context.machine.fs.link(from, &self.path)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !is_gone(&error) => {
                Err(Error::io(Operation::Link, &self.path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Whether these are the attributes of this very claim. An inode number is reused as soon as
    /// its file is gone, but then the mtime is not the one that was written here. Where the file
    /// system keeps less than microseconds the answer may be a false no, but never a false yes.
    pub(crate) fn is_surely(&self, attr: &Attr) -> bool {
        attr.id == self.id && attr.mtime == self.mtime
    }

    /// Whether these attributes have the date that was set.
    pub(crate) fn is_dated(&self, attr: &Attr) -> bool {
        is_kept(attr.mtime, self.mtime)
    }

    /// An error unless these attributes have the date that was set.
    pub(crate) fn check_date(&self, attr: &Attr) -> Result<(), Error> {
        if self.is_dated(attr) {
            return Ok(());
        }
        Err(date_not_kept(
            &self.context,
            DateNotKept::Changed { set: self.mtime, kept: attr.mtime },
        ))
    }

    /// Whether the file is there.
    pub(crate) fn is_there(&self) -> Result<bool, Error> {
        let found = self.context.machine.find(&self.path)?;
        Ok(found.is_some_and(|attr| attr.id == self.id))
    }

    /// Leaves the file behind: it now belongs to another process, or is left to its lease.
    pub(crate) fn let_go(&mut self) -> &Path {
        self.responsible = None;
        &self.path
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.is_ours() {
            self.hints.as_mut().map(pass_on); // the turn, if it was ours
            if let Err(error) = self.remove() {
                events::left_behind(&self.context, &self.path, &error);
            }
        }
    }
}

/// A lease that begins now, and the mtime that announces it to others. The mtime is never before
/// the lease's own end. It is in whole microseconds, since many servers keep no more, and up to
/// 1023 of them are added at random, so that no two claims have the same.
fn begin_lease(context: &Context, now: Duration, lifetime: Duration) -> (Lease, SystemTime) {
    let tag = Duration::from_micros(u64::from(context.machine.random_number()) % 1024);
    let ends = context.lease_start(now) + lifetime + tag;
    let since_epoch = ends.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let short_of_one = 1000 - since_epoch.subsec_nanos() % 1000;
    (Lease { ends: now + lifetime }, ends + Duration::from_nanos(short_of_one.into()))
}

/// The content of a claim is its own path, without a newline.
fn path_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}
