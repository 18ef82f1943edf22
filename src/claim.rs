//! A claim: the file of one waiter or holder, which a lock file is a hard link to.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::context::{Context, is_gone};
use crate::error::{Error, Operation};
use crate::fs::{Attr, FileId};
use crate::lease::Lease;
use crate::names::{ClaimName, Nonce};
use crate::process::Process;
use crate::report::report;

/// How often a claim is made that somebody has, or that somebody removes at once.
const ATTEMPTS: u32 = 4;

/// A claim of ours. Dropped, it is removed, unless it was let go of or we are a forked child.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) context: Arc<Context>,
    pub(crate) name: ClaimName,
    pub(crate) path: PathBuf,
    pub(crate) id: FileId,
    pub(crate) lifetime: Duration,
    pub(crate) lease: Lease,
    /// The seat that it last expired in: see [`succession`](crate#succession).
    pub(crate) forfeited: Option<(Nonce, u32)>,
    /// The process that answers for the file: who lets go of it is nobody any more.
    keeper: Option<u32>,
}

/// What became of an operation on our own claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Yes,
    /// Somebody has removed the file, as a sweeper may once it has expired.
    Swept,
}

impl Claim {
    /// Makes a claim of this process.
    pub(crate) fn make(context: &Arc<Context>, lifetime: Duration) -> Result<Claim, Error> {
        let this = context.processes.this();
        Claim::create(context, lifetime, &this, this.pid)
    }

    /// Makes a claim that counts as another process's.
    pub(crate) fn make_for(
        owner: &Process,
        context: &Arc<Context>,
        lifetime: Duration,
    ) -> Result<Claim, Error> {
        Claim::create(context, lifetime, owner, context.processes.pid())
    }

    /// Exclusively, with its own path for content, and with the end of its lease for mtime.
    fn create(
        context: &Arc<Context>,
        lifetime: Duration,
        owner: &Process,
        keeper: u32,
    ) -> Result<Claim, Error> {
        for attempt in 1.. {
            let name = context.names.new_claim((context.random)(), owner);
            let path = context.names.claim(&name);
            let before = context.now();
            let made = context.fs.create(&path, path_bytes(&path));
            let after = context.now();
            let attr = match made {
                // Another's by chance, or our own, if the reply to a first request was lost. If
                // so it is swept one day.
                Err(error)
                    if error.kind() == io::ErrorKind::AlreadyExists && attempt < ATTEMPTS =>
                {
                    continue;
                }
                made => made.map_err(Error::io(Operation::Create, &path))?,
            };
            context.server.set(attr.ctime, before, after);
            let mut claim = Claim {
                context: context.clone(),
                name,
                path,
                id: attr.id,
                lifetime,
                lease: Lease { ends: after },
                forfeited: None,
                keeper: Some(keeper),
            };
            if claim.touch()? == Kept::Yes {
                return Ok(claim);
            }
            if attempt == ATTEMPTS {
                let gone = io::Error::from_raw_os_error(libc::ENOENT);
                return Err(Error::io(Operation::Touch, &claim.path)(gone));
            }
        }
        unreachable!("the last attempt returns")
    }

    /// Takes on a claim that is there already.
    pub(crate) fn adopt(
        context: &Arc<Context>,
        name: ClaimName,
        attr: &Attr,
        lifetime: Duration,
    ) -> Claim {
        let now = context.now();
        let left = attr.mtime.duration_since(context.lease_start(now)).unwrap_or_default();
        Claim {
            path: context.names.claim(&name),
            name,
            id: attr.id,
            lifetime,
            lease: Lease { ends: now.saturating_add(left) },
            forfeited: None,
            keeper: Some(context.processes.pid()),
            context: context.clone(),
        }
    }

    /// Puts the end of the lease a lifetime ahead. The lock file has the same inode: while we
    /// hold the lock, this prolongs it.
    pub(crate) fn touch(&mut self) -> Result<Kept, Error> {
        let began = self.context.now();
        let mtime = self.context.lease_start(began) + self.lifetime;
        match self.context.until_fresh(|| self.context.fs.touch(&self.path, mtime)) {
            Ok(()) => {
                self.lease = Lease { ends: began + self.lifetime };
                Ok(Kept::Yes)
            }
            Err(error) if is_gone(&error) => Ok(Kept::Swept),
            Err(error) => Err(Error::io(Operation::Touch, &self.path)(error)),
        }
    }

    /// Touches the claim if less than half of its lease is left, so that a lock file never
    /// appears with a lease that is already over, however long the wait was.
    pub(crate) fn freshen(&mut self) -> Result<Kept, Error> {
        if self.lease.remaining(self.context.now()) > self.lifetime / 2 {
            return Ok(Kept::Yes);
        }
        self.touch()
    }

    /// Whether what we claim is still ours to claim: a claim that expired may be swept, and a
    /// seat that it is in be passed over.
    pub(crate) fn is_fresh(&self) -> bool {
        self.lease.runs(self.context.now())
    }

    /// The first seat of that succession that it may sit in.
    pub(crate) fn first_seat(&self, succession: &Nonce) -> u32 {
        match &self.forfeited {
            Some((of, number)) if of == succession => number + 1,
            _ => 0,
        }
    }

    /// The mtime that the lease's end looks like to others, for an error message.
    pub(crate) fn expires_at(&self) -> SystemTime {
        let now = self.context.now();
        self.context.lease_start(now) + self.lease.remaining(now)
    }

    /// Removes the file, and says whether it was there.
    pub(crate) fn remove(&mut self) -> Result<bool, Error> {
        self.keeper = None;
        self.context.remove(&self.path).map_err(Error::io(Operation::Remove, &self.path))
    }

    /// Gives the claim its name back, from another name of its inode.
    pub(crate) fn restore(&mut self, from: &Path) -> Result<(), Error> {
        self.keeper = Some(self.context.processes.pid());
        match self.context.fs.link(from, &self.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(Error::io(Operation::Link, &self.path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Whether the file is there.
    pub(crate) fn is_there(&self) -> Result<bool, Error> {
        let found = self.context.find(&self.path)?;
        Ok(found.is_some_and(|attr| attr.id == self.id))
    }

    /// Whether it is still to be removed.
    pub(crate) fn is_kept(&self) -> bool {
        self.keeper.is_some()
    }

    /// Leaves the file behind: it is another's now, or the lease's.
    pub(crate) fn let_go(&mut self) -> &Path {
        self.keeper = None;
        &self.path
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let is_ours = |keeper| keeper == self.context.processes.pid();
        if self.keeper.is_some_and(is_ours) {
            if let Err(error) = self.remove() {
                report!(error, "a claim was left behind: it will be swept once it has expired");
            }
        }
    }
}

/// The content of a claim is its own path, without a newline.
fn path_bytes(path: &Path) -> &[u8] {
    std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str())
}
